"""GPEN in a checkpoint: the flat state dicts of its authors, and what its training leaves.

From the names and shapes of these files, the paper, and rosinality's StyleGAN2 (MIT), whose layers
they hold; no code of GPEN's repository, which has no licence.
"""

import re
from typing import Any

from jaxsr.nets import gpen
from ports.layouts import flattened_torch, hwio, same
from ports.priors import mapping_sizes, widths
from ports.restorers import Arrays, Found, state_dict
from ports.stylegan2_tables import is_filter, rosinality_generator
from ports.tables import Converted, Row

_LICENCE = (
    "not stated in the file; GPEN's own weights: no licence is given, once for academic and "
    "non-commercial use only"
)
_MARK = "ecd0.0.0.weight"
_MOST = 10  # levels, of 2,048 px


def find(contents: list[Any]) -> Found | None:
    """The GPEN in what `torch_files.read` returned of one file, or None; in a checkpoint of a
    training, the averaged one.

    Raises:
        ValueError: it has more levels than any.
    """
    content = contents[0]
    averaged = content.get("g_ema") if isinstance(content, dict) else None
    wrapped = [averaged, *contents[1:]] if isinstance(averaged, dict) else contents
    state = state_dict(wrapped) or {}
    if _MARK not in state:
        return None
    return Found(
        "gpen",
        gpen.init,
        "GPEN PyTorch",
        _LICENCE,
        state,
        _rows(_levels(state)),
        (),
        _sized,
        lambda config: 0,
    )


def _levels(state: dict[str, Any]) -> int:
    levels = sum(bool(re.fullmatch(r"ecd\d{1,3}\.0\.[01]\.weight", name)) for name in state)
    if levels > _MOST:
        raise ValueError(f"expected a GPEN of at most {_MOST} sizes, 4 to 2048 px, got {levels}")
    return levels


def _rows(levels: int) -> list[Row]:
    rows = [
        Row(r".*\.kernel", None, is_filter),
        Row(r"ecd0\.0\.0\.weight", "encoder/first/kernel", hwio),
        Row(r"ecd0\.0\.1\.bias", "encoder/first/bias", same),
        Row(r"final_linear\.0\.weight", "encoder/code/kernel", flattened_torch),
        Row(r"final_linear\.0\.bias", "encoder/code/bias", same),
    ]
    for i in range(1, levels):
        source, path = rf"ecd{i}\.0\.", f"encoder/down{4 << (levels - 1 - i)}"
        rows += [
            Row(source + r"1\.weight", path + "/kernel", hwio),
            Row(source + r"2\.bias", path + "/bias", same),
        ]
    return rows + rosinality_generator(2 * (levels - 1), r"generator\.", "generator/")


def _sized(arrays: Arrays) -> gpen.Config:
    own = {path.removeprefix("generator/"): array for path, array in arrays.items()}
    converted = Converted(own, [], [])
    sizes = mapping_sizes("GPEN", converted)
    return gpen.Config(
        widths=widths("GPEN", converted, r"synthesis/b(\d+)/conv1/kernel"),
        z_dim=sizes["z_dim"],
        w_dim=sizes["w_dim"],
        mapping_layers=sizes["mapping_layers"],
    )
