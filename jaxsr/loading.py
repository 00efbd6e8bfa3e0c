"""Priors on disk: found by name or folder, read, and checked; and a random one for trials."""

import dataclasses
import difflib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsr import images, weights
from jaxsr.nets import ARCHITECTURES, stylegan2
from jaxsr.priors import Prior, latent_statistics
from jaxsr.records.files import ASSETS
from jaxsr.types import Params

DTYPES = ("float32", "bfloat16")


def bundled() -> list[str]:
    """Names of the priors that come with the package, the one of highest resolution first."""
    folders = [path.parent for path in ASSETS.glob("*/config.json")]
    return [
        f.name
        for f in sorted(
            folders, key=lambda f: (-weights.read_config(f)["net"]["resolution"], f.name)
        )
    ]


def default_source() -> str:
    """The name of the bundled prior of the highest resolution. Raises ValueError when none is
    bundled."""
    for name in bundled():
        return name
    raise ValueError("no prior is bundled with this copy: give --prior=DIR")


def prior_folder(source: str | Path) -> Path:
    """The folder of a prior given as a bundled name or as a path; a name wins.

    Raises:
        ValueError: it is neither (with the nearest bundled name).
    """
    if not isinstance(source, str | os.PathLike):
        raise ValueError(f"expected a prior's name or folder, got {source!r}")
    if str(source) in bundled():
        return ASSETS / str(source)
    if Path(source).is_dir():
        return Path(source)
    near = difflib.get_close_matches(str(source), bundled(), n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(
        f"unknown prior {str(source)!r}: {hint}expected one of {', '.join(bundled())}, or a "
        "folder with config.json and params/"
    )


def load_prior(
    source: str | Path,
    *,
    label: int | None = None,
    truncation: float | None = None,
    dtype: str | None = None,
) -> tuple[Prior, Params]:
    """Loads a prior and its parameters, float32.

    Args:
        source: a bundled name (`bundled()`), or a folder written by ports/convert.py or by
            training.
        label: the class of a BigGAN, from 0. None: the one that config.json names; without any, the
            latent has the class's vector too.
        truncation: of a BigGAN's latent, above 0 and at most 1. None: the one in config.json.
        dtype: what the convolutions of another network compute in, "float32" or "bfloat16", which
            accelerators are fast at; codes, parameters and sums into RGB stay float32. None: the
            one in config.json.

    Raises:
        ValueError: neither such a name nor such a folder, an unknown architecture, arrays that do
            not fit the config (both are named), or a label, truncation or dtype that the network
            does not know.
    """
    folder = prior_folder(source)
    config = weights.read_config(folder)
    chosen = _chosen(
        source,
        config.get("architecture"),
        {"label": label, "truncation": truncation, "dtype": dtype},
    )
    if chosen:
        config = config | {"net": config["net"] | chosen}
    prior, shapes = _build(folder, config)
    params, _ = weights.load(folder)
    _check_shapes(folder, shapes, {name: params.get(name) for name in shapes})
    return prior, params


def _chosen(source: str | Path, architecture: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """The settings of a network that were asked for. Raises ValueError for what it does not
    have."""
    chosen = {name: value for name, value in asked.items() if value is not None}
    # `_build` names an unknown one.
    options = (
        ARCHITECTURES[architecture].options if architecture in ARCHITECTURES else tuple(chosen)
    )
    unknown = [name for name in chosen if name not in options]
    if unknown:
        told = {name: chosen[name] for name in unknown}
        raise ValueError(
            f"{source}: expected no {' and no '.join(unknown)} for a {architecture} prior, "
            f"got {told}"
        )
    if chosen.get("dtype", "float32") not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {chosen['dtype']!r}")
    return chosen


def _build(folder: Path, config: dict) -> tuple[Prior, dict]:
    """The prior that a config describes, and the shapes that its parameters must have."""
    try:
        architecture = ARCHITECTURES[config["architecture"]]
        settings: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config["net"].items()
        }
        net = architecture.Config(**settings)
        about = {name: str(config.get(name, "")) for name in ("name", "domain", "licence")}
    except (KeyError, TypeError) as error:
        expected = f'"architecture" (one of {", ".join(ARCHITECTURES)}) and its "net" settings'
        raise ValueError(f"{folder}/config.json: expected {expected}, got {error}") from error
    prior = architecture.prior(net, **about)
    shapes = jax.eval_shape(lambda: architecture.init(jax.random.key(0), net))
    if config.get("discriminator", True):
        return prior, shapes
    return prior._replace(discriminate=_no_discriminator), {
        name: shape for name, shape in shapes.items() if name != "discriminator"
    }


def _no_discriminator(params: Params, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
    raise ValueError("this prior has no discriminator: its checkpoint held a generator alone")


def _check_shapes(folder: Path, expected: dict, got: dict) -> None:
    def named(tree: dict) -> dict[str, tuple[int, ...]]:
        return {
            jax.tree_util.keystr(path, simple=True, separator="/"): x.shape
            for path, x in jax.tree_util.tree_leaves_with_path(tree)
        }

    want, have = named(expected), named(got)
    wrong = [
        f"{k} {want.get(k, 'unknown')} (got {have.get(k, 'nothing')})"
        for k in sorted(want | have)
        if want.get(k) != have.get(k)
    ]
    if wrong:
        raise ValueError(
            f"{folder}: {len(wrong)} arrays do not fit config.json, expected {'; '.join(wrong[:3])}"
        )


def toy_prior(folder: Path) -> Path:
    """A random 8 px StyleGAN2 with its latent statistics and an example of 4 px, written to
    `folder`."""
    net = stylegan2.Config(resolution=8, z_dim=8, w_dim=8, mapping_layers=2, channels=(4, 4))
    params = stylegan2.init(jax.random.key(0), net)
    prior = stylegan2.stylegan2(net)
    params["statistics"] = latent_statistics(prior, params, jax.random.key(1), num_samples=2_000)
    weights.save(
        folder, params, {"architecture": "stylegan2", "name": "toy", "net": dataclasses.asdict(net)}
    )
    sample = np.asarray(prior.decode(params, prior.sample(jax.random.key(2), params)))
    (folder / "examples").mkdir(exist_ok=True)
    images.write(
        folder / "examples" / "sample_4px.png", images.resize_area(np.clip(sample, 0, 1), 4)
    )
    return folder
