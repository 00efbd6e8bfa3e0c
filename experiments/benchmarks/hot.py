"""The other programs that take long: metrics by size, both metrics of e-GLASS, and training steps
of GAN and flow.

`benchmark.py` prints the table. A GAN's step is measured as most steps are, and as one of those
that run R1 and path lengths too; its network is the prior's.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.clock import Limits, measured
from jaxsr import explore, metrics, weights
from jaxsr.explore import pullback
from jaxsr.nets import stylegan2
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.training import flow, gan
from jaxsr.types import Params

SIDES = (64, 256, 1024)  # of images that are compared; MS-SSIM needs more than 160 px
SIMPLE = {"PSNR": metrics.psnr, "SSIM": metrics.ssim, "MS-SSIM": metrics.ms_ssim}
CHUNK = 16  # passes of e-GLASS at once
FLOW_BATCH = 100  # latents of a flow's step


class Case(NamedTuple):
    """A program to measure, of so many photos of so many px."""

    what: str
    px: int
    photos: int
    function: Callable
    args: tuple


def table(
    source: str,
    prior: Prior,
    params: Params,
    operator: Operator,
    *,
    sizes: tuple[int, ...],
    rates: Limits,
    repeats: int,
    smoke: bool,
) -> Iterator[dict]:
    """A row for each case; with `smoke` those of the smallest images alone."""
    sides = SIDES[:1] if smoke else SIDES
    made = [lambda: compared(sides, sizes), lambda: explored(prior, params, operator)]
    if not smoke:
        made += [lambda: gan_steps(source, prior, sizes), lambda: flow_step(prior)]
    for case in (case for cases in made for case in cases()):
        row, _ = measured(case.function, case.args, rates, repeats)
        yield {"what": case.what, "px": case.px, "photos": case.photos, **row}


def compared(sides: tuple[int, ...], sizes: tuple[int, ...]) -> Iterator[Case]:
    """Metrics of pairs of images, and the perceptual distance of the bundled network."""
    net, params = metrics.load_features()
    perceptual = functools.partial(metrics.feature_distance, net, params)
    for px in sides:
        for photos in sizes:
            pair = tuple(
                jax.random.uniform(key, (photos, px, px, 3))
                for key in jax.random.split(jax.random.key(0))
            )
            fitting = {
                name: metric for name, metric in SIMPLE.items() if name != "MS-SSIM" or px > 160
            }
            for name, metric in (fitting | {f"distance, {net.name}": perceptual}).items():
                yield Case(name, px, photos, jax.vmap(metric), pair)


def explored(prior: Prior, params: Params, operator: Operator) -> Iterator[Case]:
    """H_Y and H_X at a latent z of the prior, all columns."""
    problem = explore.problem(prior, operator, explore.Config(perceptual="features", chunk=CHUNK))
    params = params | metrics.load_embedding(problem.network)
    start = explore.start(prior, "z", params, {"z": prior.sample(jax.random.key(0), params)})

    def both(params: Params, start: explore.Start) -> tuple[jax.Array, ...]:
        return pullback.metrics(
            lambda latent: problem.both(params, start, latent), start.latent, chunk=CHUNK
        )

    yield Case(
        f"e-GLASS, both metrics of {prior.info.z_dim} latents",
        prior.info.resolution,
        1,
        both,
        (params, start),
    )


def gan_steps(source: str, prior: Prior, sizes: tuple[int, ...]) -> Iterator[Case]:
    """Steps of training a network of the prior's sizes; none where it is no StyleGAN2."""
    record = weights.read_config(source)
    if record["architecture"] != "stylegan2":
        return
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in record["net"].items()
    }
    net = stylegan2.Config(**settings)
    for batch in (size for size in sizes if size > 1):
        config = gan.Config(batch=batch)
        state = gan.begin(jax.random.key(0), net, config)
        photos = jnp.full((batch, net.resolution, net.resolution, 3), 127, jnp.uint8)
        for what, step in (
            ("GAN training step", 1),
            ("GAN training step with R1 and path lengths", 0),
        ):
            yield Case(
                what,
                net.resolution,
                batch,
                gan.make_step(net, config),
                (state._replace(step=jnp.int32(step)), photos),
            )


def flow_step(prior: Prior) -> Iterator[Case]:
    """A step of training a flow over w; none where the prior has no w."""
    if prior.info.w_dim:
        w = jax.random.normal(jax.random.key(0), (FLOW_BATCH, prior.info.w_dim))
        config = flow.Config(batch_size=FLOW_BATCH)
        state = flow.begin(jax.random.key(1), w, config)
        yield Case(
            "flow training step (latents)",
            prior.info.resolution,
            FLOW_BATCH,
            functools.partial(flow.train_step, config=config),
            (state, w),
        )
