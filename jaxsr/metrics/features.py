"""Distances in the features of a network that jaxsr trained itself: for the domain of the bundled
prior, with no weights to fetch.

They are not LPIPS, FID or an identity score, and never printed under those names:
`experiments/train_features.py` made the network, which reads the type and attributes of blood
cells, and its card (jaxsr/assets/features) says how well.
"""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxsr import weights
from jaxsr.metrics._checks import require_pair
from jaxsr.records import files
from jaxsr.types import AnyImage, Params, Scalar

if TYPE_CHECKING:
    from jaxsr.nets.features import Features

FOLDER = files.ASSETS / "features"
DEFAULT = "pbc64"


def load_features(source: str | Path = DEFAULT) -> tuple["Features", Params]:
    """A feature network and its parameters, float32: a bundled name, or a folder that
    experiments/train_features.py wrote.

    Raises:
        ValueError: neither such a name nor such a folder, or a folder that holds another network.
    """
    from jaxsr.nets import features

    folder = (
        FOLDER / str(source) if (FOLDER / str(source) / "config.json").is_file() else Path(source)
    )
    if not folder.is_dir():
        known = sorted(path.parent.name for path in FOLDER.glob("*/config.json"))
        near = difflib.get_close_matches(str(source), known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"unknown feature network {str(source)!r}: {hint}expected one of "
            f"{', '.join(known)}, or a folder"
        )
    record = weights.read_config(folder)
    config = _config(folder, record)
    params, _ = weights.load(folder)
    expected, got = (
        jax.tree.map(jnp.shape, tree)
        for tree in (jax.eval_shape(lambda: features.init(jax.random.key(0), config)), params)
    )
    if expected != got:
        raise ValueError(f"{folder}: the arrays do not fit the network that config.json describes")
    return features.features(config, str(record.get("name", folder.name))), params


def _config(folder: Path, record: dict[str, Any]) -> Any:
    from jaxsr.nets import features

    try:
        if record["architecture"] != "features":
            raise ValueError(f"architecture {record['architecture']!r}")
        net = record["net"]
        heads = tuple((name, tuple(values)) for name, values in net["heads"])
        return features.Config(heads, net["resolution"], tuple(net["widths"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}/config.json: expected a feature network's, got {error}"
        ) from error


def feature_distance(net: "Features", params: Params, x: AnyImage, ref: AnyImage) -> Scalar:
    """LPIPS without heads (arXiv:1801.03924) in this network's maps: 0 for equal images, at most 2
    a stage.

    At each place of each map the channels are scaled to unit length; the squared difference is
    summed over channels, averaged over places and summed over stages. The images [h, w, 3] in [0,
    1] are clipped, as a saved file would be.

    Raises:
        ValueError: images of different shapes.
    """
    require_pair(x, ref)
    pairs = zip(unit_maps(net, params, x), unit_maps(net, params, ref), strict=True)
    return sum((jnp.mean(jnp.sum((f - g) ** 2, -1)) for f, g in pairs), jnp.float32(0))


def unit_maps(net: "Features", params: Params, image: AnyImage) -> list[jax.Array]:
    """The maps [r, r, c] that `feature_distance` compares, finest first, each pixel's channels
    scaled to unit length."""
    return [_unit(x) for x in net.maps(params, jnp.clip(image, 0.0, 1.0))]


def same_type(net: "Features", params: Params, x: AnyImage, ref: AnyImage) -> Bool[Array, ""]:
    """Whether the network reads the same type (its first label) off both images [h, w, 3] in [0,
    1]: the counterpart of identity."""
    require_pair(x, ref)
    name = net.config.heads[0][0]
    first, second = (
        jnp.argmax(net.read(params, jnp.clip(image, 0.0, 1.0))[name]) for image in (x, ref)
    )
    return first == second


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True) + 1e-8)
