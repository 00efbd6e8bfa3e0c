"""What a run on faces leaves beside its pictures: config.json, a row for each face and each photo,
and a grid."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsr import faces, images, plots, weights
from jaxsr.faces import pasting
from jaxsr.records import report
from restoration.aligned import Portrait, Snapshot, landmarks_digest
from restoration.faced_method import Searcher, noise_of
from restoration.jobs import Source
from restoration.options import Settings, named_otherwise, out_folder
from restoration.pictures import GRID, GRID_ROWS

COLUMNS = ("file", "output", "face", "solution", "method", "factor", "seconds", "residual")
COLUMNS += ("feasible", "residual_before", "noise", "square", "eyes", "covered", "remark")
COLUMNS += ("status", "error", "digest")
FIXED = ("align", "face", "preset", "network", "consistency", "noise", "kernel", "white", "depth")
FIXED += ("seed", "precision", "num_solutions", "smoke")
SHOWN = 256  # px of a cell in the grid


class Shown(NamedTuple):
    """A row of the grid: the face as the photo has it, turned upright, bicubic, and restored; and
    its caption."""

    pictures: list[np.ndarray | None]
    caption: str


def face_name(output: str, index: int) -> str:
    """NAME_00.png of NAME.png."""
    return f"{Path(output).stem}_{index:02d}.png"


def marked_name(output: str, settings: Settings) -> str:
    """NAME_faces.png, of all solutions one."""
    stem = Path(output).stem
    return (stem.removesuffix("_s0") if settings.num_solutions > 1 else stem) + "_faces.png"


def check_names(sources: Sequence[Source], settings: Settings) -> None:
    """Raises ValueError where a photo has the name that a face of another would have, or lies where
    a result would."""
    outputs = {output: source.file.name for source in sources for output in source.outputs}
    for output, file in outputs.items():
        stem, _, ending = Path(output).stem.rpartition("_")
        if f"{stem}.png" in outputs and re.fullmatch(r"\d\d|faces", ending):
            raise ValueError(
                f"{file}: its result would have the name of a face of "
                f"{outputs[f'{stem}.png']}: rename it, or choose two runs and another --out"
            )
    folder = out_folder(settings).resolve()
    for source in sources:
        if Path(source.file.name).resolve().parent == folder:
            raise ValueError(
                f"the run would write beside the photo {source.file.name}, where names are taken: "
                "choose another --out"
            )


def start_run(settings: Settings, sources: Sequence[Source], searcher: Searcher) -> report.Run:
    """The folder's table and record, those of an earlier run with the same settings gone on
    with."""
    fixed = {name: getattr(settings, name) for name in FIXED}
    fixed |= named_otherwise(settings)
    fixed |= {"method": searcher.method.name, "landmarks": landmarks_digest(settings.landmarks)}
    fixed |= {
        "prior": searcher.prior.info.name,
        "prior_sha256": weights.digest(searcher.method.params),
    }
    record = {
        "settings": fixed,
        "values": {"template": searcher.method.values},
        "command": shlex.join(["python", *sys.argv]),
        "photos": {source.outputs[0]: {"file": source.file.name} for source in sources},
    }
    order = [name for source in sources for name in source.outputs]
    return report.open_run(
        out_folder(settings),
        record,
        COLUMNS,
        order,
        pictures=[GRID],
        overwrite=settings.overwrite,
    )


def told(searcher: Searcher) -> str:
    """The lines that begin a run."""
    info, method = searcher.prior.info, searcher.method
    return (
        f"prior {info.name} ({info.resolution} px), faces as FFHQ has them\n"
        f"method: {method.name}, preset {method.values['preset']} ({method.why})"
    )


def failed(file: str, output: str, problem: object) -> dict[str, Any]:
    """The row of a photo or a face that has no result."""
    message = str(problem) if file in str(problem) else f"{file}: {problem}"
    return {"file": file, "output": output, "status": "error", "error": message}


def face_row(
    file: str, output: str, portrait: Portrait, searcher: Searcher, settings: Settings
) -> dict[str, Any]:
    """What is known of a face before it is restored."""
    square, face = portrait.face.square, portrait.face
    angle = np.degrees(np.arctan2(square.across[1], square.across[0]))
    return {
        "file": file,
        "output": output,
        "face": portrait.index,
        "method": searcher.method.name,
        "factor": searcher.resolution / square.side,
        "noise": noise_of(portrait, settings),
        "square": f"{square.centre[0]:.2f} {square.centre[1]:.2f} {square.side:.2f} {angle:.2f}",
        "eyes": float(np.hypot(*face.eye_to_eye)),
        "covered": portrait.covered,
        "remark": "; ".join(portrait.remarks),
        "digest": portrait.digest,
    }


def photo_row(file: str, output: str, snapshot: Snapshot, scale: int) -> dict[str, Any]:
    """The row of a photo with its faces drawn into it."""
    remark = f"photo enlarged {scale}x bicubically" if scale > 1 else "photo of its own size"
    return {
        "file": file,
        "output": output,
        "factor": scale,
        "remark": "; ".join(filter(None, [snapshot.remark, remark])),
        "status": "ok",
    }


def summarise(run: report.Run, lost: int) -> str:
    """The lines that end a run."""
    rows = [row for row in run.rows.values() if row["status"] == "ok" and str(row.get("face", ""))]
    lines = ["no result"]
    if rows:
        lines = [
            f"{len(rows)} results of faces in {run.folder}, "
            f"{report.share(rows, 'feasible'):.0%} feasible; "
            f"mean residual {report.mean(rows, 'residual'):.4g}"
        ]
    if lost:
        errors = [row["error"] for row in run.rows.values() if row["status"] == "error"]
        where = run.folder / "results.csv"
        lines.append(f"{lost} not restored; {where} says why, the first: {errors[0]}")
    return "\n".join(lines)


def shown(run: report.Run, snapshot: Snapshot, portrait: Portrait, output: str) -> Shown:
    """A face for the grid, from what lies in the folder."""
    assert portrait.cut is not None
    result = images.read(run.folder / output)
    square = portrait.face.square
    corners = np.stack(np.meshgrid(np.arange(len(result)), np.arange(len(result))), axis=-1)
    there = faces.mapped(faces.similarity(square, len(result)), corners)
    upright = np.clip(pasting.sampled(snapshot.image, there), 0, 1)
    residual = float(report.cell(run.rows[output]["residual"]))
    caption = f"{Path(output).stem}  {square.side:.0f} px, residual {residual:.2g}"
    return Shown([portrait.cut.pixels, upright, result], caption)


def draw_grid(run: report.Run, rows: Sequence[Shown]) -> str:
    """Writes OUT/grid.png; returns what it shows."""
    if not rows:
        return "no grid: there is no result"
    picture = plots.grid(
        [row.pictures for row in rows[:GRID_ROWS]],
        columns=["in the photo", "bicubic", "result"],
        captions=[row.caption for row in rows[:GRID_ROWS]],
        cell=SHOWN,
    )
    images.write(run.folder / GRID, picture, marks=images.of_run(run.folder))
    return str(run.folder / GRID)
