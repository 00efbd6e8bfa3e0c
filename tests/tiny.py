"""A random 16 px prior in a folder and photos for it, small enough that tests of super_resolve.py
restore them in a second."""

import csv
import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
from super_resolve import Settings

from jaxsr import flows, images, priors, weights
from jaxsr.nets import stylegan2
from jaxsr.types import Params

NET = stylegan2.Config(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channels=(8, 8, 8))


@functools.cache
def params() -> Params:
    made = stylegan2.init(jax.random.key(0), NET)
    made["statistics"] = priors.latent_statistics(
        stylegan2.stylegan2(NET), made, jax.random.key(1), num_samples=2_000
    )
    made["flow"] = flows.init(jax.random.key(2), flows.Config(dim=8, hidden=16, num_blocks=2))
    return made


def write_prior(folder: Path) -> str:
    """Writes the prior with its flow and two examples; returns the folder."""
    config = {"architecture": "stylegan2", "name": "tiny", "domain": "noise"}
    weights.save(folder, params(), config | {"net": dataclasses.asdict(NET)})
    (folder / "examples").mkdir()
    for i in range(2):
        images.write(folder / "examples" / f"e{i}.png", photo(4, i))
    return str(folder)


def photo(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.8, (side, side, 3)).astype(np.float32)


def photos_folder(tmp_path: Path, *names: str) -> tuple[str]:
    """Writes photos of these names; returns what --input takes."""
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(names):
        images.write(tmp_path / "photos" / name, photo(4, i))
    return (str(tmp_path / "photos"),)


def quick(**settings) -> Settings:
    return Settings(**{"method": "pulse", "smoke": True, "progress": False} | settings)


def rows(out: str | Path) -> list[dict[str, str]]:
    with open(Path(out) / "results.csv", newline="") as file:
        return list(csv.DictReader(file))
