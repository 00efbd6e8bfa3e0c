"""What the noise inputs of a prior do to its pictures: their power by frequency beside that of
photos, and how much of them is noise."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxsr import metrics
from jaxsr.priors import Prior, require_w, tile
from jaxsr.records import report
from jaxsr.types import Noise, Params

# Noise inputs as the tables call them -> as `Prior.noise` does.
KINDS = {"off": "none", "constant": "const", "fresh": "random"}
MOST, PIXELS = 32, 2**19  # pictures at once; pixels of them, which bound the memory


class NoiseSpectrum(NamedTuple):
    """What `noise_spectrum` measures.

    Attributes:
        shares: kind of noise inputs -> [bands], the power of the samples divided by that of the
            photos.
        noise: the share of a picture's variance that fresh noise explains, in [0, 1] but for
            chance.
        count: of samples, and of photos.
        resolution: their side.
    """

    shares: dict[str, np.ndarray]
    noise: float
    count: int
    resolution: int


def noise_spectrum(
    prior: Prior, params: Params, photos: np.ndarray, count: int, *, seed: int = 0
) -> NoiseSpectrum:
    """Compares `count` samples under each kind of noise inputs with as many photos, all as 8-bit
    files would hold them but not rounded.

    The samples of all kinds have the same w. The share of noise is the variance of a pixel over
    fresh noise at one w, averaged over w (from two pictures each), divided by its variance over
    samples; both are means over pixels and channels.

    Args:
        prior: one with a w space.
        params: its parameters.
        photos: uint8 [n, r, r, 3] at its resolution, of which the first `count` count.
        count: at least 2.
        seed: of w and noise.

    Raises:
        ValueError: fewer photos than `count`, of another size than the prior's, or a prior without
            a w space.
    """
    check_photos(prior, photos, count)
    of_photos = _mean_powers(
        lambda numbers: photos[numbers] / np.float32(255),
        count,
        prior.info.resolution,
        "spectrum of photos",
    )
    shares = {}
    for name, kind in KINDS.items():
        drawn = functools.partial(samples, prior, params, kind=kind, seed=seed)
        shares[name] = (
            _mean_powers(drawn, count, prior.info.resolution, f"spectrum, noise {name}") / of_photos
        )
    return NoiseSpectrum(
        shares, _noise_share(prior, params, count, seed), count, prior.info.resolution
    )


def check_photos(prior: Prior, photos: np.ndarray, count: int) -> None:
    """Raises ValueError where photos [n, r, r, 3] are fewer than `count` or not of the prior's
    size, or the prior has no w space."""
    require_w("a judgement of noise inputs and of searches in w", prior)
    side = prior.info.resolution
    if photos.shape[1:] != (side, side, 3) or len(photos) < count:
        raise ValueError(
            f"expected at least {count:,} photos of {side} px, got {len(photos):,} of shape "
            f"{list(photos.shape[1:])}"
        )


def samples(
    prior: Prior, params: Params, numbers: np.ndarray, *, kind: str, seed: int = 0, draw: int = 0
) -> np.ndarray:
    """Pictures [n, r, r, 3] in [0, 1] of the prior: a number fixes the w, a number and `draw` fix
    the noise of kind "random"."""
    key = jax.random.key(seed)
    return np.asarray(
        _pictures(prior)(params, key, numbers, _noise(prior, kind)(params, key, numbers, draw))
    )


@functools.lru_cache(maxsize=8)
def _noise(prior: Prior, kind: str) -> Callable:
    """(params, key, numbers [n], draw) -> noise inputs, each [n, r, r], which `_pictures` takes so
    that one program serves all."""

    def one(params: Params, key: jax.Array, number: jax.Array, draw: int) -> Noise:
        return prior.noise(
            kind, params, jax.random.fold_in(jax.random.fold_in(key, number), draw + 1)
        )

    return jax.jit(jax.vmap(one, (None, None, 0, None)))


@functools.lru_cache(maxsize=8)
def _pictures(prior: Prior) -> Callable:
    """(params, key, numbers [n], noise inputs) -> pictures [n, r, r, 3]."""

    def one(params: Params, key: jax.Array, number: jax.Array, noise: Noise) -> jax.Array:
        key_z = jax.random.fold_in(jax.random.fold_in(key, number), 0)
        w = prior.map(params, jax.random.normal(key_z, (prior.info.z_dim,)))
        return jnp.clip(prior.synthesize(params, tile(prior, w), noise), 0.0, 1.0)

    return jax.jit(jax.vmap(one, (None, None, 0, 0)))


def batches(
    count: int, resolution: int, title: str, most: int = MOST
) -> Iterator[tuple[np.ndarray, int]]:
    """(numbers [b], how many of them are real) from 0 to count - 1, under a progress bar.

    All batches have one length, so that one program serves all: the last number fills up the last
    batch.
    """
    length = max(1, min(most, count, PIXELS // resolution**2))
    with tqdm(total=count, desc=title, unit="picture", dynamic_ncols=True) as bar:
        for first in range(0, count, length):
            real = min(length, count - first)
            yield np.minimum(np.arange(first, first + length), count - 1), real
            bar.update(real)


def _mean_powers(
    read: Callable[[np.ndarray], Any], count: int, resolution: int, title: str
) -> np.ndarray:
    """The mean band powers [bands] of `count` pictures; `read` makes a batch from its numbers."""
    rows = [
        np.asarray(_powers(read(numbers)))[:real]
        for numbers, real in batches(count, resolution, title)
    ]
    return np.concatenate(rows).astype(np.float64).mean(0)


@jax.jit
@jax.vmap
def _powers(image: jax.Array) -> jax.Array:
    return metrics.band_powers(image[None])


def _noise_share(prior: Prior, params: Params, count: int, seed: int) -> float:
    """Sums in float64 on the host, a batch at a time."""
    side = prior.info.resolution
    within, total, squares = 0.0, np.zeros((side, side, 3)), np.zeros((side, side, 3))
    for numbers, real in batches(count, side, "share of noise"):
        pair = (
            samples(prior, params, numbers, kind="random", seed=seed, draw=draw)[:real]
            for draw in (0, 1)
        )
        first, again = (pictures.astype(np.float64) for pictures in pair)
        within += np.sum((first - again) ** 2) / 2
        total, squares = total + first.sum(0), squares + (first**2).sum(0)
    variance = (squares - total**2 / count) / (count - 1)
    return float(within / (count * side * side * 3) / variance.mean())


def band_names(resolution: int) -> list[str]:
    """The bands of metrics.BAND_EDGES in cycles a picture; for 64 px "0-4" to "28-32" and
    "corners"."""
    cycles = [f"{edge * resolution / 2:g}" for edge in metrics.BAND_EDGES[:-1]]
    return [f"{low}-{high}" for low, high in zip(cycles[:-1], cycles[1:], strict=True)] + [
        "corners"
    ]


def markdown(found: NoiseSpectrum) -> str:
    """The measurement as lines of a prior's card."""
    names = band_names(found.resolution)
    rows = [
        {"noise inputs": kind, **{name: _short(x) for name, x in zip(names, shares, strict=True)}}
        for kind, shares in found.shares.items()
    ]
    about = (
        f"Power of {found.count:,} samples divided by that of as many photos, by frequency in "
        "cycles a picture (1 is the photos')"
    )
    share = f"Fresh noise makes {found.noise:.1%} of the variance of the samples' pixels."
    return f"{about}:\n\n{report.markdown(rows, ['noise inputs', *names])}\n{share}\n"


def _short(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"
