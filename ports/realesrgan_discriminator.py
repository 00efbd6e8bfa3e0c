"""Real-ESRGAN's U-Net discriminator in a checkpoint: BasicSR's PyTorch files."""

from typing import Any

import numpy as np

from jaxsr.nets import discriminators
from ports.layouts import flat, hwio
from ports.restorers import Arrays, Found, conv_rows, state_dict
from ports.tables import Row

LICENCE = "not stated in the file; Real-ESRGAN's own weights: BSD-3-Clause"
# Layers whose kernels are under spectral normalisation: theirs -> ours, and the kernel's side.
_SPECTRAL = {f"conv{i + 1}": (f"down{i}", 4) for i in range(3)}
_SPECTRAL |= {f"conv{i + 4}": (f"up{i}", 3) for i in range(3)}
_SPECTRAL |= {f"conv{i + 7}": (f"end{i}", 3) for i in range(2)}


def find(contents: list[Any]) -> Found | None:
    """The discriminator in what `torch_files.read` returned of one file, or None."""
    state = state_dict(contents) or {}
    if not {"conv1.weight_orig", "conv9.weight"} <= state.keys():
        return None
    return Found(
        discriminators.UNET,
        discriminators.init,
        "U-Net discriminator PyTorch (BasicSR)",
        LICENCE,
        state,
        _rows(),
        (),
        _sized,
        lambda config: 0,
    )


def _rows() -> list[Row]:
    rows = [*conv_rows("conv0", "first"), *conv_rows("conv9", "last")]
    for theirs, (ours, side) in _SPECTRAL.items():
        rows += [
            Row(rf"{theirs}\.weight_orig", f"{ours}/kernel", hwio),
            Row(rf"{theirs}\.weight_u", f"{ours}/u", flat),
            Row(rf"{theirs}\.weight_v", f"{ours}/v", lambda v, side=side: _inputs(v, side)),
        ]
    return rows


def _inputs(v: np.ndarray, side: int) -> np.ndarray:
    """[channels * side * side] in the order channel, row, column -> row, column, channel."""
    return v.reshape(-1, side, side).transpose(1, 2, 0).reshape(-1)


def _sized(arrays: Arrays) -> discriminators.UNet:
    return discriminators.UNet(arrays["first/kernel"].shape[3])
