"""Resumable training state: any pytree of arrays and a small readable `meta`, written atomically
with Orbax.

A folder holds one sub-folder for each saved step; what else lies there is left alone. Leaves are
stored under their path in the pytree ("params.mapping.w"), so the file format knows nothing of
Python classes: nothing is pickled, and nothing in a checkpoint is executed when it is read.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

FORMAT = "jaxsr.training 1"


def save(folder: str | Path, step: int, state: Any, meta: dict, *, keep: int = 2) -> None:
    """Writes `state` as step `step` of `folder` (made when missing) and deletes all but the last
    `keep` steps.

    A process killed at any moment leaves the steps that were complete before. Returns when
    everything is on the disk.

    Args:
        folder: where the steps lie.
        step: a number above that of every step already saved.
        state: pytree of arrays; float, integer, bfloat16, bool and typed PRNG key leaves.
        meta: what JSON can hold, e.g. the settings of the run.
        keep: number of steps to keep.

    Raises:
        ValueError: the folder is a file, or `step` is not above the latest, or its name is taken.
    """
    last = latest(folder)
    if last is not None and step <= last:
        raise ValueError(f"{folder}: expected a step above {last}, the latest saved, got {step}")
    if (Path(folder) / str(step)).exists():
        raise ValueError(f"{folder}/{step}: expected no such file, got one: move it elsewhere")
    leaves = {name: _to_host(leaf) for name, leaf in _named(state)}
    # Orbax refuses arrays of zero size; their shape in the table is all there is to know of them.
    args = ocp.args.Composite(
        state=ocp.args.PyTreeSave({name: leaf for name, leaf in leaves.items() if leaf.size}),
        meta=ocp.args.JsonSave(
            {
                "format": FORMAT,
                "leaves": {name: _describe(leaf) for name, leaf in _named(state)},
                "meta": meta,
            }
        ),
    )
    with _manager(folder) as manager:
        manager.save(step, args=args, force=True)
        # Orbax would delete any folder with a number for a name.
        for old in _steps(manager, Path(folder))[:-keep]:
            manager.delete(old)


def latest(folder: str | Path) -> int | None:
    """The last complete step in `folder`, None when there is none.

    Raises:
        ValueError: `folder` is a file.
    """
    folder = Path(folder)
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of checkpoints, got a file")
    with _manager(folder, read_only=True) as manager:
        return max(_steps(manager, folder), default=None)


def _steps(manager: ocp.CheckpointManager, folder: Path) -> list[int]:
    """The complete steps in a folder, in order; a folder of something else is none, though its name
    be a number."""
    found = sorted(manager.all_steps())
    return [step for step in found if (folder / str(step) / "_CHECKPOINT_METADATA").is_file()]


def read_meta(folder: str | Path) -> dict:
    """The `meta` of the last complete step, e.g. to compare settings before a template can be
    built.

    Raises:
        ValueError: there is no checkpoint, or it is not one of ours.
    """
    step = _expect_latest(folder)
    with _manager(folder, read_only=True) as manager:
        return _read_record(manager, step, folder)["meta"]


def restore(folder: str | Path, template: Any) -> tuple[Any, dict]:
    """Reads the last complete step: (state, meta), bit for bit what was saved.

    Args:
        folder: as given to `save`.
        template: a pytree with the structure, shapes and dtypes of the state: a fresh state, or
            `jax.eval_shape`'s of one. A leaf is put on the devices of the template's leaf where
            that one was placed explicitly, else on the default device.

    Raises:
        ValueError: there is no checkpoint, it is not one of ours, or a leaf is missing, left over
            or of another shape or dtype, or its files are damaged.
    """
    step = _expect_latest(folder)
    named = _named(template)
    expected = {name: _describe(leaf) for name, leaf in named}
    with _manager(folder, read_only=True) as manager:
        record = _read_record(manager, step, folder)
        _check_leaves(f"{folder}/{step}", expected, record["leaves"])
        values = _read_values(manager, step, folder, [name for name, leaf in named if leaf.size])
    leaves = [_to_device(values.get(name), leaf) for name, leaf in named]
    return jax.tree.unflatten(jax.tree.structure(template), leaves), record["meta"]


def resume(
    folder: str | Path, template: Any, settings: dict, defaults: dict | None = None
) -> tuple[Any, dict]:
    """The last complete state and its `meta`, or the template and {} where there is none.

    Where a setting is a dict, what `defaults` has for it stands in for entries that the checkpoint
    is too old to know.

    Raises:
        ValueError: as `restore`, or `meta` has another value of one of `settings` (it is named):
            the folder is another run's.
    """
    if latest(folder) is None:
        return template, {}
    saved = read_meta(folder)
    for name, value in json.loads(json.dumps(settings)).items():
        there = saved.get(name)
        if isinstance(there, dict) and isinstance(value, dict):  # name only what differs
            there = json.loads(json.dumps((defaults or {}).get(name, {}))) | there
            names = [key for key in {**there, **value} if there.get(key) != value.get(key)]
            there, value = ({key: tree.get(key) for key in names} for tree in (there, value))
        if there != value:
            raise ValueError(
                f"{folder}: holds a run with {name} = {there}, got {value}; choose another folder"
            )
    return restore(folder, template)


def digest(photos: np.ndarray) -> str:
    """Of the number of photos [n, ...] and of at most 256 of them, evenly spaced: what tells one
    training set from another."""
    state = hashlib.sha256(str(photos.shape).encode())
    for i in np.unique(np.linspace(0, len(photos) - 1, 256).astype(int)):
        state.update(photos[i].tobytes())
    return state.hexdigest()[:16]


def _expect_latest(folder: str | Path) -> int:
    step = latest(folder)
    if step is None:
        raise ValueError(
            f"{folder}: expected a checkpoint, got a folder that is missing or has none"
        )
    return step


def _read_record(manager: ocp.CheckpointManager, step: int, folder: str | Path) -> dict:
    try:
        record = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
    # An Orbax checkpoint of another program has no such item.
    except (KeyError, FileNotFoundError, ValueError):
        record = None
    found = record.get("format") if isinstance(record, dict) else None
    if not isinstance(record, dict) or found != FORMAT:
        raise ValueError(
            f"{folder}/{step}: expected a checkpoint of format {FORMAT!r}, got {found!r}"
        )
    return record


def _read_values(
    manager: ocp.CheckpointManager, step: int, folder: str | Path, names: list[str]
) -> dict[str, np.ndarray]:
    as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
    try:
        return manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.PyTreeRestore(restore_args=as_numpy))
        )["state"]
    # Damaged files surface as many types, most of them with a long multi-line text.
    except Exception as error:
        line = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(
            f"{folder}/{step}: expected a readable checkpoint, got {type(error).__name__}: {line}"
        ) from error


def _check_leaves(where: str, expected: dict[str, str], got: dict[str, str]) -> None:
    for name in sorted(expected.keys() | got.keys()):
        want, have = expected.get(name, "no such leaf"), got.get(name, "no such leaf")
        if want != have:
            raise ValueError(f"{where}: expected {name} to be {want}, got {have}")


def _named(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), _as_array(leaf))
        for path, leaf in leaves
    ]


def _as_array(leaf: Any) -> Any:
    return leaf if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) else jnp.asarray(leaf)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(leaf: Any) -> str:
    """ "float32[3,4]" or, for PRNG keys, "key<fry>[]": dtype and shape."""
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def _to_host(leaf: jax.Array) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _to_device(value: np.ndarray | None, leaf: Any) -> jax.Array:
    if value is None:
        value = np.zeros(leaf.shape, leaf.dtype)
    # Only leaves that someone placed are placed: pinning the others would forbid mixing them with
    # arrays that are spread over devices.
    placed = isinstance(leaf, jax.Array) and leaf.committed
    if not _is_key(leaf):
        return jax.device_put(value, leaf.sharding) if placed else jnp.asarray(value)
    # Asked of an array, because key_impl takes no ShapeDtypeStruct.
    impl = jax.random.key_impl(jnp.empty((0,), leaf.dtype))
    key = jax.random.wrap_key_data(jnp.asarray(value), impl=impl)
    return jax.device_put(key, leaf.sharding) if placed else key


@contextmanager
def _manager(folder: str | Path, *, read_only: bool = False) -> Iterator[ocp.CheckpointManager]:
    """Orbax's manager of `folder`, saving synchronously, its log silenced below errors while it is
    in use."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    options = ocp.CheckpointManagerOptions(
        read_only=read_only,
        cleanup_tmp_directories=not read_only,  # what a kill in the middle of an earlier save left
        enable_async_checkpointing=False,
    )
    try:
        with ocp.CheckpointManager(Path(folder).absolute(), options=options) as manager:
            yield manager
    finally:
        logger.setLevel(level)
