"""Inspections as rows: plain values, and the table that is printed."""

from collections.abc import Iterator, Sequence
from typing import Any

from jaxsr import images
from jaxsr.inspect import Inspection, is_clipped, is_noisy, is_rough, is_sharpened
from jaxsr.records.files import shown

COLUMNS = ("photo", "px", "bits", "file", "noise", "JPEG", "factor", "eps", "signs")
LONGEST = 40  # letters of a name


def plain(found: Inspection) -> dict[str, Any]:
    """The values of an inspection, flat, as tables and JSON hold them."""
    facts, grid, runs = found.facts, found.grid, found.repeated
    return {
        "file": shown(found.file),
        "width": found.width,
        "height": found.height,
        "bits": found.bits,
        "format": facts.format,
        "profile": facts.profile,
        "turned": facts.turned,
        "grey": found.is_grey,
        "alpha": found.has_alpha,
        "jpeg_quality": facts.quality and facts.quality.value,
        "jpeg_quality_exact": facts.quality and facts.quality.exact,
        "chroma": facts.chroma,
        "hidden_jpeg": grid is not None,
        "hidden_jpeg_quality": grid and grid.quality,
        "hidden_jpeg_place": [grid.left, grid.top] if grid else None,
        "noise": found.noise,
        "compression": found.compression,
        "enlarged": found.enlarged,
        "enlarged_by": "nearest" if runs.scale > 1 else "smooth" if found.enlarged > 1 else "",
        "noisy": is_noisy(found),
        "roughness": found.roughness,
        "rough": is_rough(found),
        "overshoot": found.overshoot,
        "sharpened": is_sharpened(found),
        "clipped": found.clipped,
        "is_clipped": is_clipped(found),
        **{f"eps_{name}": value for name, value in found.tolerance.terms.items()},
        "remarks": list(found.remarks),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line a photo, in columns."""
    cells = [COLUMNS, *(_cells(row) for row in rows if "error" not in row)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [zip(line, widths, strict=True) for line in cells]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in line).rstrip() for line in lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    name = row["file"]
    return (
        name if len(name) <= LONGEST else f"...{name[3 - LONGEST :]}",
        f"{row['width']}x{row['height']}",
        str(row["bits"]),
        _file(row),
        f"{255 * row['noise']:.1f}",
        f"{255 * row['compression']:.1f}",
        f"{row['factor'] or 'none'}",
        f"{row['eps']:.2g}",
        ", ".join(_signs(row)) or "-",
    )


def _file(row: dict[str, Any]) -> str:
    """Format, quality and chroma: "JPEG 75 4:2:0", "about" where the tables are no library's."""
    quality = row["jpeg_quality"]
    about = "" if quality is None or row["jpeg_quality_exact"] else "about "
    return " ".join(filter(None, (row["format"], f"{about}{quality or ''}", row["chroma"])))


def _signs(row: dict[str, Any]) -> Iterator[str]:
    """What speaks against restoring the photo as it is, in a word or two."""
    if row["enlarged"] > 1:
        about = "" if row["enlarged_by"] == "nearest" else "about "
        yield f"enlarged {about}{row['enlarged']}x ({row['enlarged_by']})"
    if row["hidden_jpeg"]:
        yield f"JPEG inside, about {row['hidden_jpeg_quality'] or '?'}"
    for name in ("noisy", "rough", "sharpened", "grey", "alpha", "turned"):
        if row[name]:
            yield name
    if row["is_clipped"]:
        yield f"clipped {row['clipped']:.0%}"
    if row["profile"]:
        yield row["profile"]


def told(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What was found, and what reading did, in a line a kind."""
    return images.summary(
        {row["file"]: [*row["findings"], *row["remarks"]] for row in rows if "error" not in row}
    )
