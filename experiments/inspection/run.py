"""What `inspect.py` does: photos found, looked at, and told of."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from restoration import jobs
from restoration.jobs import File
from tqdm import tqdm

from inspection import commands, tables
from inspection.options import Settings
from jaxsr import flags, loading
from jaxsr.inspect import Inspection, findings, inspect, propose
from jaxsr.records import files, report

NAME = "inspections"


def main(settings: Settings) -> int:
    """Raises ValueError where no photo can be read."""
    flags.require(settings, {}, ("input", "prior", "out"))
    if settings.out:
        report.check_writable(settings.out)
    source = settings.prior or loading.default_source()
    resolution = loading.load_prior(source)[0].info.resolution
    found = jobs.find_files(settings.input or (jobs.example_folder(source),), ())
    rows = [_row(*each, resolution, settings) for each in _looked_at(found, settings)]
    lost = [row for row in rows if "error" in row]
    if len(lost) == len(rows):
        raise ValueError(lost[0]["error"])
    print(tables.table(rows))
    for line in [*tables.told(rows), *commands.lines(rows, settings)]:
        print(line)
    for row in lost:
        print(f"cannot read {row['error']}")
    if settings.out:
        _write(Path(settings.out), rows)
    return flags.SOME_FAILED if lost else 0


def _looked_at(found: Sequence[File], settings: Settings) -> Iterator[tuple[str, Inspection | str]]:
    """Each file's name, and what was found of it, or why it cannot be read."""
    shown = settings.progress
    for file in tqdm(found, unit="photo", delay=2, leave=False, disable=not shown):
        try:
            yield file.name, file.problem or inspect(file.name, settings)
        except (ValueError, OSError) as error:
            yield file.name, str(error)


def _row(name: str, found: Inspection | str, resolution: int, settings: Settings) -> dict[str, Any]:
    """All that is told of a file, plain values only."""
    if isinstance(found, str):
        return {"file": name, "error": found if name in found else f"{name}: {found}"}
    proposal = propose(found, resolution)
    command = commands.command(name, proposal, settings) if proposal.factor else ""
    first = commands.shrinking(name, found) if proposal.shrink > 1 else ""
    return tables.plain(found) | {
        "findings": findings(found),
        **proposal._asdict(),
        "first": first,
        "command": command,
    }


def _write(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows, indent=2, ensure_ascii=False)
    files.write_text(folder / f"{NAME}.json", f"{text}\n")
    flat = [
        {name: "; ".join(map(str, v)) if isinstance(v, list) else v for name, v in row.items()}
        for row in rows
    ]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    report.write_csv(folder / f"{NAME}.csv", flat, columns)
    print(f"{folder / NAME}.csv, {folder / NAME}.json")
