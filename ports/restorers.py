"""What the ports of restorers share: how their files wrap a state dict, how a network found in one
becomes a model's folder, and the networks that are known and refused."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsr.types import Params
from ports import tables
from ports.layouts import hwio, same
from ports.priors import Choice
from ports.tables import Row, check, nest

Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]

_WRAPPERS = ("params_ema", "params", "state_dict")
# Network of the same kind that ours does not compute -> ends of names that its files have, in small
# letters; the first one that fits is told.
STRANGERS = {
    "ESRGAN+": ("rdb1.conv1x1.weight",),
    "HAT": ("attn.relative_position_bias_table", "conv_block.cab.0.weight"),
    "SwinIR": ("attn.relative_position_bias_table", "conv_first.weight"),
    "RCAN": ("conv_du.0.weight", "tail.1.weight"),
    "EDSR": ("body.0.body.0.weight", "tail.1.weight"),
    "EDSR (of BasicSR)": ("body.0.conv1.weight", "conv_after_body.weight"),
    "RestoreFormer": ("quantize.embedding.weight", "encoder.conv_in.weight"),
    "CodeFormer": ("quantize.embedding.weight", "position_emb"),
}
# How Torch7's serialisation of an object begins, in bytes and in text.
_TORCH7 = (b"\4\0\0\0\1\0\0\0\3\0\0\0V 1", b"4\n1\n3\nV 1\n")


class Found(NamedTuple):
    """A restorer in a checkpoint.

    Attributes:
        architecture: of the model's config.json.
        init: (key, config) -> params, whose shapes the file's must have.
        format: how it is written.
        licence: of the weights, as far as known.
        sources: arrays by the file's names.
        rows: the format's table; what `init` stacks has its number in the path behind the stack.
        stacks: paths of what `init` stacks along an axis; one inside of another comes behind it.
        sized: arrays by our paths -> the network's Config, from their shapes. Raises ValueError for
            a network that ours cannot compute.
        factor: (config) -> how much it enlarges; 0 for one that serves every factor.
    """

    architecture: str
    init: Callable[..., Params]
    format: str
    licence: str
    sources: dict[str, Any]
    rows: list[Row]
    stacks: tuple[str, ...]
    sized: Callable[[Arrays], Any]
    factor: Callable[[Any], int]


def state_dict(contents: list[Any]) -> dict[str, Any] | None:
    """The state dict in what `torch_files.read` returned of one file: of averaged weights where
    there are such; None for another content."""
    content = contents[0]
    if len(contents) > 1 or not isinstance(content, dict):
        return None
    inner = next(
        (content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)), content
    )
    return {str(name).removeprefix("module."): value for name, value in inner.items()}


def refuse_strangers(contents: list[Any]) -> None:
    """Raises ValueError for a network of `STRANGERS`."""
    names = state_dict(contents) or {}
    for stranger, ends in STRANGERS.items():
        if all(any(name.lower().endswith(end) for name in names) for end in ends):
            raise ValueError(f"expected a network that jaxsr computes, got one of {stranger}")


def refuse_torch7(path: str | Path) -> None:
    """Raises ValueError for a file of Torch7, as those of FSRNet's authors."""
    if Path(path).is_file():
        with open(path, "rb") as file:
            if file.read(16).startswith(_TORCH7):
                raise ValueError(
                    f"{path}: expected a file of PyTorch, TensorFlow or MATLAB, got one of Torch7 "
                    "(.t7, as FSRNet's), which jaxsr does not read"
                )


def conv_rows(source: str, path: str) -> list[Row]:
    """Rows of a torch convolution with a bias."""
    return [
        Row(source + r"\.weight", path + "/kernel", hwio),
        Row(source + r"\.bias", path + "/bias", same),
    ]


def convert(found: Found, choice: Choice) -> tuple[Params, dict[str, Any]]:
    """Parameters (float32) of the found network, and their {"architecture", "net", "factor", ...}
    for config.json.

    Raises:
        ValueError: arrays are missing, left over or of the wrong shape, with the lists; a network
            that ours cannot compute; a class was chosen.
    """
    choice.none("a restorer, which has no classes")
    converted = tables.convert(found.rows, found.sources)
    try:
        config = found.sized(converted.arrays)
    # Shapes that no network of the format has.
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"expected the arrays of {found.format}, got some of other shapes, or some missing "
            f"({error})"
        ) from error
    leaves = jax.tree_util.tree_leaves_with_path(
        jax.eval_shape(lambda: found.init(jax.random.key(0), config))
    )
    expected = {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in leaves
    }
    check(found.format, converted, _unstacked(expected, found.stacks))
    return nest(_stacked(converted.arrays, expected, found.stacks)), {
        "architecture": found.architecture,
        "version": 1,
        "net": dataclasses.asdict(config),
        "factor": found.factor(config),
        "licence": found.licence,
        "format": found.format,
    }


def _unstacked(expected: Mapping[str, tuple[int, ...]], stacks: tuple[str, ...]) -> Shapes:
    """{path: shape} of the arrays before they are stacked."""
    return {
        numbered: shape[_depth(path, stacks) :]
        for path, shape in expected.items()
        for numbered in _numbered(path, shape, stacks)
    }


def _stacked(
    arrays: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
    stacks: tuple[str, ...],
) -> Arrays:
    return {
        path: np.stack([arrays[name] for name in _numbered(path, shape, stacks)]).reshape(shape)
        for path, shape in expected.items()
    }


def _depth(path: str, stacks: tuple[str, ...]) -> int:
    return sum(path.startswith(f"{stack}/") for stack in stacks)


def _numbered(path: str, shape: tuple[int, ...], stacks: tuple[str, ...]) -> Iterator[str]:
    """The paths of all arrays in a stack: "blocks/dense/kernel" -> "blocks/0/dense/0/kernel",
    ..."""
    around = [stack for stack in stacks if path.startswith(f"{stack}/")]
    cuts = [0, *map(len, around), len(path)]
    parts = [path[start:end] for start, end in itertools.pairwise(cuts)]
    for index in np.ndindex(*shape[: len(around)]):
        numbers = [*(f"/{n}" for n in index), ""]
        yield "".join(part + number for part, number in zip(parts, numbers, strict=True))
