"""The moving average of weights that every training here ends with."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jaxsr.types import Params


@runtime_checkable
class Averaging(Protocol):
    """Settings of a training that rule its average."""

    @property
    def batch(self) -> int: ...
    @property
    def ema_images(self) -> float: ...
    @property
    def ema_rampup(self) -> float: ...


def averaged(config: Averaging, step: jax.Array, ema: Params, params: Params) -> Params:
    """The average after one more step; its half-life is `config.ema_images`, at most
    `config.ema_rampup` of the images seen in `step` steps of `config.batch` and this one."""
    half_life = jnp.minimum(config.ema_images, config.ema_rampup * (step + 1) * config.batch)
    keep = 0.5 ** (config.batch / half_life)
    return jax.tree.map(lambda e, p: keep * e + (1 - keep) * p, ema, params)
