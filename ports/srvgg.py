"""SRVGGNetCompact in a checkpoint: Real-ESRGAN's small PyTorch files."""

import math
import re
from typing import Any

from jaxsr.nets import srvgg
from ports.layouts import same
from ports.restorers import Arrays, Found, conv_rows, state_dict
from ports.tables import Row

LICENCE = (
    "not stated in the file; Real-ESRGAN's own weights: BSD-3-Clause; those of others: ask them"
)
_MOST = 100  # convolutions


def find(contents: list[Any]) -> Found | None:
    """The SRVGGNetCompact in what `torch_files.read` returned of one file, or None."""
    state = state_dict(contents) or {}
    numbers = [int(m[1]) for name in state if (m := re.fullmatch(r"body\.(\d{1,3})\.\w+", name))]
    if not {"body.0.weight", "body.1.weight", "body.2.weight"} <= state.keys() or not numbers:
        return None
    layers = (max(numbers) - 2) // 2
    if layers > _MOST:
        raise ValueError(f"expected at most {_MOST} convolutions, got {layers}")
    return Found(
        "srvgg",
        srvgg.init,
        "SRVGGNetCompact PyTorch",
        LICENCE,
        state,
        _rows(layers),
        ("middle",),
        lambda arrays: _sized(arrays, layers),
        lambda config: config.factor,
    )


def _rows(layers: int) -> list[Row]:
    """Even numbers are convolutions, odd ones slopes."""
    paths = ["first", *(f"middle/{i}" for i in range(layers))]
    rows = conv_rows(rf"body\.{2 * layers + 2}", "last")
    for i, path in enumerate(paths):
        rows += conv_rows(rf"body\.{2 * i}", f"{path}/conv")
        rows.append(Row(rf"body\.{2 * i + 1}\.weight", f"{path}/slope", same))
    return rows


def _sized(arrays: Arrays, layers: int) -> srvgg.Config:
    outputs = arrays["last/bias"].shape[0]
    factor = math.isqrt(outputs // srvgg.CHANNELS)
    if outputs != srvgg.CHANNELS * factor**2:
        raise ValueError(f"expected a network of RGB images, got one of {outputs} last channels")
    return srvgg.Config(layers, arrays["first/conv/kernel"].shape[3], factor)
