"""RRDBNet in a checkpoint: ESRGAN's and Real-ESRGAN's PyTorch files, and those of others with the
same names."""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxsr.nets import rrdb
from ports.restorers import Arrays, Found, conv_rows, state_dict
from ports.tables import Row

LICENCE = (
    "not stated in the file; ESRGAN's own weights: Apache-2.0, Real-ESRGAN's: BSD-3-Clause; those "
    "of others: ask them"
)
_MOST_UPS = 5


class Layout(NamedTuple):
    """Names of the layers, as patterns.

    Attributes:
        dense: (dense block, convolution), from 1 on -> a pattern whose group is the block's number.
        up: the number of an enlargement, from 1 on -> a pattern.
    """

    first: str
    dense: Callable[[int, int], str]
    body: str
    up: Callable[[int], str]
    hr: str
    last: str


def find(contents: list[Any]) -> Found | None:
    """The RRDBNet in what `torch_files.read` returned of one file, or None."""
    state = state_dict(contents) or {}
    for name, (mark, layout) in LAYOUTS.items():
        if mark in state:
            return Found(
                "rrdb",
                rrdb.init,
                f"RRDBNet PyTorch ({name})",
                LICENCE,
                state,
                _rows(layout(state)),
                ("trunk/blocks", "trunk/blocks/dense"),
                _sized,
                lambda config: config.factor,
            )
    return None


def _basicsr(state: dict[str, Any]) -> Layout:
    return Layout(
        "conv_first",
        lambda d, c: rf"body\.(\d+)\.rdb{d}\.conv{c}",
        "conv_body",
        lambda n: f"conv_up{n}",
        "conv_hr",
        "conv_last",
    )


def _esrgan(state: dict[str, Any]) -> Layout:
    return Layout(
        "conv_first",
        lambda d, c: rf"RRDB_trunk\.(\d+)\.RDB{d}\.conv{c}",
        "trunk_conv",
        lambda n: f"upconv{n}",
        "HRconv",
        "conv_last",
    )


def _numbered(state: dict[str, Any]) -> Layout:
    """All layers are numbered, so that their names depend on how many there are."""
    return Layout(
        r"model\.0",
        lambda d, c: rf"model\.1\.sub\.(\d+)\.RDB{d}\.conv{c}\.0",
        rf"model\.1\.sub\.{_highest(state, 'model.1.sub.(NUMBER).')}",
        lambda n: rf"model\.{3 * n}",
        rf"model\.{_highest(state, 'model.(NUMBER).') - 2}",
        rf"model\.{_highest(state, 'model.(NUMBER).')}",
    )


# How it is named -> a name that only its files have, and its layout.
LAYOUTS: dict[str, tuple[str, Callable[[dict[str, Any]], Layout]]] = {
    "BasicSR's names": ("body.0.rdb1.conv1.weight", _basicsr),
    "ESRGAN's names": ("RRDB_trunk.0.RDB1.conv1.weight", _esrgan),
    "names of 2018": ("model.1.sub.0.RDB1.conv1.0.weight", _numbered),
}


def _highest(state: dict[str, Any], name: str) -> int:
    """The highest number in the place of NUMBER of all names that begin like `name`."""
    pattern = re.compile(name.replace(".", r"\.").replace("NUMBER", r"\d{1,4}"))
    return max(int(m[1]) for key in state if (m := pattern.match(key)))


def _rows(layout: Layout) -> list[Row]:
    rows = [
        *conv_rows(layout.first, "trunk/first"),
        *conv_rows(layout.body, "trunk/last"),
        *conv_rows(layout.hr, "hr"),
        *conv_rows(layout.last, "last"),
    ]
    for d in range(3):
        for c in range(5):
            path = f"trunk/blocks/{{0}}/dense/{d}/conv{c}"
            rows += conv_rows(layout.dense(d + 1, c + 1), path)
    for n in range(_MOST_UPS):
        rows += conv_rows(layout.up(n + 1), f"up{n}")
    return rows


def _sized(arrays: Arrays) -> rrdb.Config:
    inputs, width = arrays["trunk/first/kernel"].shape[2:]
    unshuffle = math.isqrt(inputs // rrdb.CHANNELS)
    if inputs != rrdb.CHANNELS * unshuffle**2:
        raise ValueError(f"expected a network of RGB images, got one of {inputs} channels")
    growth = arrays["trunk/blocks/0/dense/0/conv0/kernel"].shape[3]
    blocks = {int(m[1]) for path in arrays if (m := re.match(r"trunk/blocks/(\d+)/", path))}
    return rrdb.Config(
        blocks=max(blocks) + 1,
        width=width,
        growth=growth,
        ups=sum(f"up{n}/kernel" in arrays for n in range(_MOST_UPS)),
        unshuffle=unshuffle,
    )
