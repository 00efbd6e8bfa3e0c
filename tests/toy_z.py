"""Small random priors without w, of the architectures that e-GLASS's paper explores; z and all
weights are random, so that pictures differ by their z."""

import dataclasses
import functools
from pathlib import Path

import jax

from jaxsr import operators, weights
from jaxsr.nets import biggan, pggan
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.types import Params

_BIGGAN = {"channels": (8, 8, 6), "attention": 0, "z_dim": 12, "z_part": 4, "shared_dim": 4}
NETS = {
    "pggan": pggan.Config(resolution=16, z_dim=16, channels=(8, 8, 6), hidden=9),
    "biggan": biggan.Config(**_BIGGAN, classes=3),
    "biggan of one class": biggan.Config(
        **_BIGGAN,
        classes=3,
        label=1,
        truncation=0.5,
        discriminator_channels=(4, 4),
        discriminator_halvings=1,
    ),
}


@functools.cache
def made(name: str) -> tuple[Prior, Params]:
    net = NETS[name]
    module = pggan if isinstance(net, pggan.Config) else biggan
    params = jax.jit(module.init, static_argnums=1)(jax.random.key(0), net)
    return (pggan.pggan if module is pggan else biggan.biggan)(net), params


def write(folder: Path, name: str) -> str:
    """Writes a prior as ports/convert.py does; returns the folder."""
    prior, params = made(name)
    config = {"architecture": name.split()[0], "name": prior.info.name}
    weights.save(folder, params, config | {"net": dataclasses.asdict(NETS[name])})
    return str(folder)


def operator_of(prior: Prior) -> Operator:
    """Down to 4 px."""
    side = prior.info.resolution
    return operators.downsample(side // 4, image_shape=(side, side, 3))
