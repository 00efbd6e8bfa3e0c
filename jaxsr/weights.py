"""Weights on disk: a folder with `config.json`, readable, and `params/`, Orbax arrays. Reading one
never executes anything in it."""

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.types import Params


def save(folder: str | Path, params: Params, config: dict[str, Any]) -> None:
    """Writes `params` (a nested dict or list of arrays, kept in their dtypes) and `config` (JSON)
    to `folder`, replacing what it held.

    Everything is written beside it and renamed, so the folder is never half written; other files in
    it, such as a card, are kept.

    Raises:
        ValueError: `folder` holds something that is not weights of ours.
        OSError: there is no space for it, or it cannot be written.
    """
    import orbax.checkpoint as ocp

    folder = Path(folder).resolve()
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(params)) + (1 << 20)
    # Orbax's own words for a full disk are hundreds of lines.
    if shutil.disk_usage(folder.parent).free < needed:
        raise OSError(
            errno.ENOSPC, f"no space left for {needed:,} bytes; nothing was written", str(folder)
        )
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        # Compressing takes as much memory again as the arrays, more time than writing them, and
        # saves 8 % of random-looking floats.
        with _quiet(), ocp.PyTreeCheckpointer(use_compression=False) as writer:
            writer.save(fresh / "params", jax.tree.map(np.asarray, params))
        (fresh / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        for extra in folder.iterdir() if folder.exists() else []:
            if extra.name not in ("params", "config.json"):
                (shutil.copytree if extra.is_dir() else shutil.copy2)(extra, fresh / extra.name)
        os.chmod(fresh, 0o755)
        if folder.exists():
            old = fresh.with_name(fresh.name + ".old")
            os.replace(folder, old)
            os.replace(fresh, folder)
            shutil.rmtree(old)
        else:
            os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_target(folder: str | Path) -> None:
    """Raises ValueError unless `folder` is new or holds weights, which `save` may replace, and its
    parents are folders."""
    folder = Path(folder).resolve()
    if folder.exists() and not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder}: expected a new folder or one with weights (config.json), got another "
            "one; nothing was written"
        )
    parent = next(parent for parent in folder.parents if parent.exists())
    if not parent.is_dir():
        raise ValueError(
            f"{folder}: expected a place in a folder, but {parent} is a file; nothing was written"
        )


def load(folder: str | Path) -> tuple[Params, dict[str, Any]]:
    """Reads what `save` wrote: (params with every floating array as float32, config).

    Raises:
        ValueError: the folder is missing, is not weights of ours, or its arrays are damaged.
    """
    params, config = load_stored(folder)
    return jax.tree.map(_to_float32, params), config


def load_stored(folder: str | Path) -> tuple[Params, dict[str, Any]]:
    """As `load`, but NumPy arrays in the precision that they are stored in."""
    import orbax.checkpoint as ocp

    folder = Path(folder).absolute()
    config = read_config(folder)
    try:
        with _quiet(), ocp.PyTreeCheckpointer() as reader:
            structure = reader.metadata(folder / "params").item_metadata.tree
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), structure)
            params = reader.restore(folder / "params", restore_args=as_numpy)
    except Exception as error:  # damaged arrays surface as many types, most with a long text
        line = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(
            f"{folder}/params: expected readable Orbax arrays, got {type(error).__name__}: {line}"
        ) from error
    return params, config


def read_config(folder: str | Path) -> dict[str, Any]:
    """The `config.json` of a weights folder.

    Raises:
        ValueError: the folder or the file is missing, or it is not a JSON object.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a folder of weights with config.json and params/, got "
            f"{_what(Path(folder))}"
        )
    try:
        config = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected JSON, got {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(config).__name__}")
    return config


def digest(params: Params) -> str:
    """SHA-256 of the names and values of all arrays."""
    state = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        state.update(jax.tree_util.keystr(path).encode() + np.ascontiguousarray(leaf).tobytes())
    return state.hexdigest()


def _what(path: Path) -> str:
    if not path.exists():
        return "nothing there"
    return "a folder without config.json" if path.is_dir() else "a file"


def _to_float32(array: np.ndarray) -> jax.Array:
    return (
        jnp.asarray(array, jnp.float32)
        if jnp.issubdtype(array.dtype, jnp.floating)
        else jnp.asarray(array)
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax's log below errors."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
