"""What an exploration keeps in its folder so that it goes on after a kill: the first solution, and
both metrics around it."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from restoration import photos

from jaxsr import operators, weights
from jaxsr.explore import Geometry, Scale
from jaxsr.explore.pullback import Spectrum
from jaxsr.records import files
from jaxsr.search import Solve, restore_tuned
from jaxsr.types import Params

START, METRICS = "start", "metrics.npz"
TOLD = {"prior_sha256": "prior or trained network", "photo_digest": "photo"}


def made_by(
    params: Params, operator: operators.Operator, digest: str, solve: Solve, settings: Any
) -> dict:
    """What a first solution depends on, in JSON's types."""
    names = ("method", "preset", "seed", "smoke")
    steps = [phase.steps for phase in solve.phases]
    about = {
        "prior_sha256": weights.digest(params),
        "photo_digest": digest,
        "operator": operator.name,
        "steps": steps,
    }
    return {**{name: getattr(settings, name) for name in names}, **about}


def method_of(start: str) -> str:
    """The method of the first solution in an exploration's folder, "" where it does not tell."""
    return weights.read_config(Path(start) / START).get("made_by", {}).get("method", "")


def check_start(
    folder: Path,
    solve: Solve,
    params: Params,
    y: np.ndarray,
    reference: np.ndarray | None,
    settings: Any,
) -> None:
    """Raises ValueError where --start's first solution is another photo's, prior's, method's or
    seed's, before the folder gets a record."""
    if settings.start is not None and not (folder / START).is_dir():
        _stored(
            Path(settings.start) / START,
            made_by(params, solve.operator, photos.digest(y, reference), solve, settings),
        )


def first_solution(
    folder: Path,
    solve: Solve,
    params: Params,
    y: np.ndarray,
    reference: np.ndarray | None,
    settings: Any,
) -> tuple[Params, dict, float]:
    """The weights tuned for the photo, the latent of the first solution, and the seconds that took:
    that in folder/start, or that of --start, or found now and kept.

    Raises:
        ValueError: the solution that is there is another photo's, prior's, method's or seed's; or
            --start holds none.
    """
    mine, asked = (
        folder / START,
        made_by(params, solve.operator, photos.digest(y, reference), solve, settings),
    )
    if not mine.is_dir() and settings.start is not None:
        weights.save(mine, *_stored(Path(settings.start) / START, asked))
    if mine.is_dir():
        stored, about = _stored(mine, asked)
        return params | stored.get("tuned", {}), stored["latent"], about["seconds"]
    begun = time.perf_counter()
    result, tuned = restore_tuned(solve, params, y, seed=settings.seed, progress=settings.progress)
    seconds = time.perf_counter() - begun
    changed = {name: tree for name, tree in tuned.items() if tree is not params.get(name)}
    latent = {
        name: list(leaf) if isinstance(leaf, tuple) else leaf
        for name, leaf in result.latent.items()
    }
    weights.save(
        mine,
        {"latent": latent, **({"tuned": changed} if changed else {})},
        {"seconds": seconds, "made_by": asked},
    )
    return params | changed, latent, seconds


def _stored(folder: Path, asked: dict[str, Any]) -> tuple[dict, dict]:
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: expected the first solution that an exploration left, got nothing there"
        )
    stored, about = weights.load(folder)
    different = [
        TOLD.get(name, name) for name in asked if about.get("made_by", {}).get(name) != asked[name]
    ]
    if different:
        raise ValueError(
            f"{folder} is the first solution of another {' and '.join(different)}: choose "
            "another --out or --start"
        )
    return stored, about


_EMPTY = Geometry(
    Spectrum(np.zeros(0), np.zeros(0), 0.0),
    Spectrum(np.zeros(0), np.zeros(0), 0.0),
    np.zeros(0),
    np.zeros(0),
    0,
    Scale(0, 0),
    0,
)


def geometry(folder: Path, find: Callable[[], Geometry]) -> Geometry:
    """Both metrics at the start, from folder/metrics.npz if it is there; float64 on the host."""
    path, shape = folder / METRICS, jax.tree.structure(_EMPTY)
    if path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            leaves = [arrays[f"arr_{i}"] for i in range(shape.num_leaves)]
        return jax.tree.unflatten(shape, [leaf if leaf.ndim else leaf.item() for leaf in leaves])
    found = find()
    file = io.BytesIO()
    np.savez(file, *jax.tree.leaves(found))
    files.write_bytes(path, file.getvalue())
    return found
