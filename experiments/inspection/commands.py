"""The command lines that an inspection proposes, as a shell takes them."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from restoration.options import AUTO_EPS

from inspection.options import Settings
from jaxsr import images
from jaxsr.inspect import Inspection, Proposal

MOST = 5  # commands that are printed; all of them are in the files


def command(file: str, proposal: Proposal, asked: Settings) -> str:
    """What restores a photo as proposed; where it is to be made small first, the smaller one."""
    return _restoring([smaller(file) if proposal.shrink > 1 else file], proposal._asdict(), asked)


def _restoring(inputs: Sequence[str], row: dict[str, Any], asked: Settings) -> str:
    settings = {
        "prior": asked.prior,
        "white": asked.white,
        "method": row["method"],
        "factor": row["factor"],
        "kernel": row["kernel"],
        "eps": AUTO_EPS,  # each photo's own, as it was told here
    }
    told = [f"--{name}={value}" for name, value in settings.items() if value is not None]
    words = [*(f"--input={name}" for name in inputs), *told]
    return shlex.join(["python", str(Path(sys.argv[0]).with_name("super_resolve.py")), *words])


def smaller(file: str) -> str:
    """Where the command of `shrinking` writes."""
    path = Path(file)
    return str(path.with_name(f"{path.stem}_small.png"))


def shrinking(file: str, found: Inspection) -> str:
    """What makes a photo as small as it was before it was enlarged: the mean of each block. Of
    repeated pixels that is the photo itself."""
    top, left = found.repeated.top, found.repeated.left
    box = f", box=({left}, {top}, im.width, im.height)" if top or left else ""
    code = (
        "import sys; from PIL import Image, ImageOps; "
        'im = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB"); '
        f"im.reduce({found.enlarged}{box}).save(sys.argv[2])"
    )
    return shlex.join(["python", "-c", code, file, smaller(file)])


def lines(rows: Sequence[dict[str, Any]], asked: Settings) -> list[str]:
    """What is to be run: one command for all photos that may go together, else one for each factor;
    what is to be made small first, photo by photo."""
    told = [row for row in rows if "error" not in row]
    lost = {row["file"]: [f"no factor ({row['why_not']})"] for row in told if row["why_not"]}
    fine = [row for row in told if not row["why_not"]]
    at_once = [row for row in fine if not row["first"]]
    factors = {row["factor"]: row for row in at_once}
    found = images.summary(lost)
    if len(at_once) == len(rows) and len(factors) == 1:
        return [*found, _together(asked.input, at_once, asked)]
    for factor in factors:
        group = [row for row in at_once if row["factor"] == factor]
        found.append(_together([row["file"] for row in group], group, asked))
    small_first = [row for row in fine if row["first"]]
    for row in small_first[:MOST]:
        found += [row["first"], row["command"]]
    if len(small_first) > MOST:
        found.append(f"{len(small_first) - MOST} more to make small first: --out lists them")
    return found


def _together(inputs: Sequence[str], rows: Sequence[dict[str, Any]], asked: Settings) -> str:
    """A command for several photos."""
    if len(rows) == 1:
        return rows[0]["command"]
    if len(inputs) > MOST:
        return f"factor {rows[0]['factor']}: {len(rows)} photos, whose commands --out lists"
    return _restoring(inputs, rows[0], asked)
