"""One table of (pattern -> path, transform) a format: how a checkpoint's names and layouts become a
parameter tree of ours."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxsr.types import Params
from ports.constructors import as_array

_MOST = 10_000  # arrays of one file; the largest official ones have some 1,500
_FEW = 6  # names that an error lists of each kind


class Row(NamedTuple):
    """What becomes of the arrays of one kind.

    Attributes:
        pattern: regular expression that a source's whole name matches.
        path: where the array goes, "block/layer/kernel"; {0} is the pattern's first group. None: it
            is checked and left out.
        transform: from the source's layout to ours. Raises ValueError for a value or shape that
            cannot be.
    """

    pattern: str
    path: str | None
    transform: Callable[[np.ndarray], Any]


class Converted(NamedTuple):
    """Arrays (float32) by path, the sources' names that no row matches, and what a transform
    refused."""

    arrays: dict[str, np.ndarray]
    left_over: list[str]
    refused: list[str]


def convert(rows: Sequence[Row], sources: Mapping[str, Any]) -> Converted:
    """Takes each of `sources` (`NDArray`, `Tensor` or number) through the first row that its name
    matches."""
    if len(sources) > _MOST:
        raise ValueError(f"expected at most {_MOST} arrays, got {len(sources)}")
    compiled = [(re.compile(row.pattern), row) for row in rows]
    result = Converted({}, [], [])
    for name, source in ((str(name), source) for name, source in sources.items()):
        found = next(
            ((m, row) for pattern, row in compiled if (m := pattern.fullmatch(name))), None
        )
        if found is None:
            result.left_over.append(name[:100])
        else:
            _take(result, name, source, *found)
    return result


def _take(result: Converted, name: str, source: Any, match: re.Match, row: Row) -> None:
    array = as_array(source)
    try:
        if not array.size:
            raise ValueError("empty")
        value = row.transform(array)
    except (ValueError, IndexError, TypeError):
        result.refused.append(f"{name} {list(array.shape)}")
        return
    if row.path is None:
        return
    value = np.array(value, np.float32, order="C")  # a copy, so that the file need not stay mapped
    if not np.isfinite(value).all():
        raise ValueError(f"expected finite numbers in {name}, got others: the file is damaged")
    path = row.path.format(*match.groups())
    if path in result.arrays:
        result.left_over.append(f"{name} (a second {path})")
    result.arrays[path] = value


def check(what: str, converted: Converted, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ValueError with the lists of what is missing, left over or of the wrong shape, for a
    network of `expected` {path: shape}."""
    got = {path: array.shape for path, array in converted.arrays.items()}
    wrong = [
        f"{path} {list(got[path])} instead of {list(expected[path])}"
        for path in expected
        if path in got and got[path] != expected[path]
    ]
    problems = {
        "missing": [path for path in expected if path not in got],
        "left over": converted.left_over + [path for path in got if path not in expected],
        "of the wrong shape or value": wrong + converted.refused,
    }
    if any(problems.values()):
        listed = "; ".join(f"{kind}: {few(names)}" for kind, names in problems.items())
        raise ValueError(f"expected the arrays of {what}, got others: {listed}")


def few(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    return (
        ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
        or "none"
    )


def nest(arrays: Mapping[str, np.ndarray]) -> Params:
    """{"a/b": x} -> {"a": {"b": x}}; a level of numbers 0, 1, ... becomes a list."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = array
    return _lists(tree)


def _lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(name.isdigit() for name in tree):
        return [_lists(tree[str(i)]) for i in range(len(tree))]
    return {name: _lists(branch) for name, branch in tree.items()}
