"""What a prior is judged by: distances of its samples from photos, their spectrum, and how near a
search in it comes to photos."""

import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from evaluation import spectra
from jaxsr import images, metrics, plots, search, weights
from jaxsr.metrics import networks
from jaxsr.nets.features import Features
from jaxsr.priors import Prior, tile
from jaxsr.types import Params

LEARNING_RATE = 0.05  # of Adam, in standard deviations of w
# Of the feature distance beside the mean squared error: nearly all it gives for 0.1 to 0.3 dB.
FEATURE_WEIGHT = 0.003
AT_ONCE = 8  # photos searched for
SHOWN = 8  # of them in the picture
CODES = ("w", "w_plus")


class Reader(NamedTuple):
    """A network in whose features sets are compared.

    Attributes:
        name: what tables call it.
        vector: (params, image [h, w, 3] in [0, 1]) -> [d].
        params: its parameters.
    """

    name: str
    vector: Callable
    params: Params


class Inverted(NamedTuple):
    """Photos that were searched for: the pictures found [n, r, r, 3], their PSNR [n] in dB and
    feature distance [n]."""

    pictures: np.ndarray | jax.Array
    psnr: np.ndarray | jax.Array
    distance: np.ndarray | jax.Array


def reader(source: str | Path) -> Reader:
    """A feature network of jaxsr's own (a bundled name, or a folder of train_features.py), or a
    folder of published weights.

    Raises:
        ValueError: it is neither; or the weights are not what `metrics.networks` expects.
    """
    folder = Path(source)
    kind = (
        str(weights.read_config(folder).get("architecture"))
        if (folder / "config.json").is_file()
        else "features"
    )
    if kind == "features":
        net, params = metrics.load_features(source)
        return Reader(net.name, net.vector, params)
    known = _published()
    if kind not in known:
        raise ValueError(
            f"{source}: expected a network of one of features, {', '.join(known)}, got {kind!r}"
        )
    return Reader(kind, known[kind], networks.load(kind, folder))


def _published() -> dict[str, Callable]:
    """Published networks by the names of `metrics.networks` -> (params, image) -> [d]; of
    classifiers the mean of the last map."""
    from jaxsr.nets import alexnet, efficientnet, inception, iresnet, squeezenet, vgg16

    def last(maps: Callable) -> Callable:
        return lambda params, image: maps(params, image)[-1].mean((0, 1))

    maps = {"alexnet": alexnet.features, "vgg16": vgg16.features, "squeezenet": squeezenet.features}
    vectors = {
        "efficientnet_lite0": efficientnet.vector,
        "inception_fid": inception.features,
        "ir101": iresnet.embed,
    }
    return vectors | {name: last(function) for name, function in maps.items()}


def sets(
    prior: Prior,
    params: Params,
    photos: np.ndarray,
    readers: Sequence[Reader],
    count: int,
    seed: int,
) -> dict[str, Any]:
    """Distances of `count` samples with constant noise from as many photos uint8 [n, r, r, 3].

    The first reader's features give "frechet", "kernel", "precision" and "recall", a second one's
    "frechet_2" and "kernel_2"; "remark" says what they suffer from.
    """
    side, found, remarks = prior.info.resolution, {}, []
    drawn: list[list[np.ndarray]] = [[] for _ in readers]
    real: list[list[np.ndarray]] = [[] for _ in readers]
    for numbers, rows in spectra.batches(count, side, "features"):
        pair = (
            spectra.samples(prior, params, numbers, kind="const", seed=seed),
            photos[numbers] / np.float32(255),
        )
        for vectors, pictures in zip((drawn, real), pair, strict=True):
            for of_reader, reader in zip(vectors, readers, strict=True):
                of_reader.append(
                    np.asarray(_vectors(reader.vector)(reader.params, pictures))[:rows]
                )
    for suffix, f, g in zip(("", "_2"), drawn, real, strict=False):
        values, warned = _distances(np.concatenate(f), np.concatenate(g))
        found |= {f"{name}{suffix}": value for name, value in values.items()}
        remarks += warned
    found["precision"], found["recall"] = metrics.precision_recall(
        np.concatenate(drawn[0]), np.concatenate(real[0])
    )
    return found | {"remark": "; ".join(dict.fromkeys(remarks))}


@functools.lru_cache(maxsize=4)
def _vectors(vector: Callable) -> Callable:
    return jax.jit(jax.vmap(vector, (None, 0)))


def _distances(f: np.ndarray, g: np.ndarray) -> tuple[dict[str, float], list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        frechet = metrics.frechet_distance(f, g)
    return {"frechet": frechet, "kernel": metrics.kernel_distance(f, g)}, [
        str(warning.message) for warning in caught
    ]


def invert(
    prior: Prior,
    params: Params,
    photos: np.ndarray,
    network: tuple[Features, Params],
    *,
    codes: str,
    steps: int,
) -> Inverted:
    """Searches for each of photos uint8 [n, r, r, 3] by Adam from the mean of w, with the noise
    inputs off.

    The loss is the mean squared error plus FEATURE_WEIGHT times `metrics.feature_distance`; the
    best of `steps` iterates counts.

    Args:
        prior: one with a w space.
        params: its parameters, with "statistics".
        photos: all of them are searched for.
        network: what `metrics.load_features` returns.
        codes: "w", one code for all layers, or "w_plus", one a layer.
        steps: of Adam.
    """
    found, (net, reading) = [], network
    run = _searcher(prior, net, codes, steps)
    for numbers, real in spectra.batches(
        len(photos), prior.info.resolution, f"search in {codes}", AT_ONCE
    ):
        batch = run(params, reading, photos[numbers] / np.float32(255))
        found.append(jax.tree.map(lambda leaf, real=real: np.asarray(leaf)[:real], batch))
    return Inverted(*(np.concatenate(leaves) for leaves in zip(*found, strict=True)))


@functools.lru_cache(maxsize=8)
def _searcher(prior: Prior, net: Features, codes: str, steps: int) -> Callable:
    layers = {"w": 1, "w_plus": prior.info.num_layers}[codes]

    def picture(params: Params, code: jax.Array) -> jax.Array:
        w = params["statistics"]["w_mean"] + params["statistics"]["w_std"] * code
        return prior.synthesize(params, tile(prior, w), prior.noise("none", params))

    def one(params: Params, reading: Params, photo: jax.Array) -> Inverted:
        def loss(code: jax.Array) -> tuple[jax.Array, dict]:
            image = picture(params, code)
            return jnp.mean((image - photo) ** 2) + FEATURE_WEIGHT * metrics.feature_distance(
                net, reading, image, photo
            ), {}

        start = jnp.zeros((layers, prior.info.w_dim))
        image = picture(
            params, search.minimise(loss, start, tx=optax.adam(LEARNING_RATE), steps=steps).latent
        )
        image = jnp.clip(image, 0.0, 1.0)
        return Inverted(
            image, metrics.psnr(image, photo), metrics.feature_distance(net, reading, image, photo)
        )

    return jax.jit(jax.vmap(one, (None, None, 0)))


def write_samples(path: Path, prior: Prior, params: Params, seed: int) -> None:
    """A picture of 64 samples with the noise inputs off."""
    numbers = spectra.batches(64, prior.info.resolution, "samples")
    drawn = [
        spectra.samples(prior, params, chosen, kind="none", seed=seed)[:real]
        for chosen, real in numbers
    ]
    images.write(path, plots.mosaic(np.concatenate(drawn), 8))


def write_inverted(path: Path, photos: np.ndarray, found: Sequence[Inverted]) -> None:
    """A picture of the first photos uint8 [n, r, r, 3], and under each what was found."""
    rows = [photos[:SHOWN] / np.float32(255), *(each.pictures[:SHOWN] for each in found)]
    images.write(path, plots.mosaic(np.concatenate(rows), len(rows[0])))
