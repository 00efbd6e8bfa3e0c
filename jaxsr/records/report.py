"""Rows of results: dictionaries to and from CSV files, Markdown tables, summary numbers, and
folders of results that a run goes on with."""

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsr.records import csv_text
from jaxsr.records.files import shown, write_text

SHOWN_DIFFERENCES, LONGEST_VALUE = 4, 80  # of settings, in an error; letters of one

Row = Mapping[str, object]


def write_csv(path: str | os.PathLike, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Writes rows as CSV (RFC 4180, UTF-8), at once and with `columns` in that order; a value a row
    lacks, None and NaN are left empty.

    Raises:
        ValueError: a row has a column that `columns` lacks. OSError: the file cannot be written.
    """
    write_text(
        path, _lines([dict(zip(columns, columns, strict=True))], columns) + _lines(rows, columns)
    )


def _lines(rows: Iterable[Row], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        unknown = set(row) - set(columns)
        if unknown:
            raise ValueError(
                f"the row has columns {sorted(unknown)}, the table has {list(columns)}"
            )
        writer.writerow([cell(row.get(name)) for name in columns])
    return text.getvalue()


def read_csv(path: str | os.PathLike) -> list[dict[str, str]]:
    """The rows of a CSV file as text, also of one that a spreadsheet saved; no rows where there is
    no file. Raises ValueError for a file that is no CSV table."""
    path = Path(path)
    return csv_text.rows_of(_text(path), path) if path.exists() else []


def _text(path: Path) -> str:
    try:
        return csv_text.text_of(path.read_bytes())
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a CSV table: {error}") from error


def cell(value: object) -> str:
    """A value as the tables print it: six significant digits, yes or no, nothing for None and
    NaN, a text as `shown`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else shown(str(value))


def markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """A Markdown table with one line a row."""
    lines = [columns, ["---"] * len(columns)] + [
        [cell(row.get(name)).replace("|", "\\|") for name in columns] for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def mean(rows: Iterable[Row], column: str) -> float:
    """Mean of a column over the rows that have a number there, which may be text as `read_csv`
    returns it; NaN when none has."""
    texts = [cell(row.get(column)) for row in rows]
    values = [float(text) for text in texts if text]
    return sum(values) / len(values) if values else math.nan


def share(rows: Iterable[Row], column: str) -> float:
    """Share of "yes" in a column among the rows that say yes or no; NaN when none does."""
    answers = [text for text in (cell(row.get(column)) for row in rows) if text]
    return answers.count("yes") / len(answers) if answers else math.nan


@dataclasses.dataclass
class Run:
    """A folder of results under way: FOLDER/config.json, FOLDER/results.csv with a row an output,
    and the outputs themselves.

    Attributes:
        folder: where it all lies.
        columns: of results.csv; among them "output" (a file name in `folder`), "status" ("ok" when
            done) and "digest" (of what it was made from).
        order: the outputs of this run, in the order of their rows; rows of other outputs stay,
            before them.
        rows: output -> row.
    """

    folder: Path
    columns: Sequence[str]
    order: Sequence[str]
    rows: dict[str, Row]

    def is_there(self, output: str) -> bool:
        """Whether the output exists and its row says ok."""
        return self.rows.get(output, {}).get("status") == "ok" and (self.folder / output).is_file()

    def is_done(self, output: str, digest: str) -> bool:
        """Whether the output is there and was made from the same content."""
        return self.is_there(output) and self.rows[output].get("digest") == digest

    def add(self, rows: Iterable[Row]) -> None:
        """Adds or replaces rows, at the end of results.csv, where the last row of an output counts.
        The outputs must be there before.

        Raises:
            OSError: the table cannot be written.
        """
        rows = list(rows)
        self.rows |= {str(row["output"]): row for row in rows}
        path = self.folder / "results.csv"
        if not path.exists():
            return self.put_in_order()
        try:
            with open(path, "a", encoding="utf-8", newline="") as file:
                file.write(_lines(rows, self.columns))
        except OSError as error:
            raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error

    def put_in_order(self) -> None:
        """Writes results.csv anew, at once: a row an output, those of other runs first, then this
        one's in their order."""
        ours = set(self.order)
        others = [name for name in self.rows if name not in ours]
        write_csv(
            self.folder / "results.csv",
            [self.rows[name] for name in [*others, *self.order] if name in self.rows],
            self.columns,
        )


def results(folder: str | os.PathLike) -> dict[str, dict[str, str]]:
    """output -> its last row in FOLDER/results.csv; a row that a kill cut off is left out. Raises
    ValueError as `read_csv`."""
    path = Path(folder) / "results.csv"
    if not path.exists():
        return {}
    text = _to_line_end(_text(path))
    while text.count('"') % 2:  # the newline is inside of a name
        text = _to_line_end(text[:-1])
    return {row.get("output", ""): row for row in csv_text.rows_of(text, path)}


def _to_line_end(text: str) -> str:
    return text[: max(text.rfind("\n"), text.rfind("\r")) + 1]


def check_writable(folder: str | os.PathLike) -> None:
    """Makes the folder and a file in it, which goes at once. Raises ValueError, naming the folder,
    when that fails."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        told = "expected a folder, got a file" if Path(folder).is_file() else error.strerror
        raise ValueError(f"cannot write into {folder}: {told}") from error


def open_run(
    folder: str | os.PathLike,
    config: Mapping,
    columns: Sequence[str],
    order: Sequence[str],
    *,
    pictures: Sequence[str] = (),
    overwrite: bool = False,
) -> Run:
    """Starts a run in a folder, or goes on with the one that is there.

    Args:
        folder: made when missing.
        config: what config.json is to hold. Its entry "settings" (name -> value or nested) must be
            that of the run being gone on with; of "values" and "photos" (name -> anything) those
            that only the earlier run has are kept, and "values" of both must be equal.
        columns, order: see `Run`.
        pictures: names of further files that the run will write.
        overwrite: start anew: the results that the table of an earlier run names are removed, files
            of other names stay.

    Raises:
        ValueError: the folder cannot be written, holds a run with other settings (each is named),
            or one of the outputs from elsewhere.

    Columns that a user added to the table stay, behind ours.
    """
    check_writable(folder)
    folder = Path(folder)
    record: dict = json.loads(json.dumps(config))
    rows: dict[str, Row] = {}
    if overwrite:
        _remove_results(folder)
    elif (folder / "config.json").exists():
        record = _merge(folder, record)
        rows = dict(results(folder))
    else:
        taken = [name for name in (*order, *pictures, "results.csv") if (folder / name).exists()]
        if taken:
            raise ValueError(
                f"{folder / taken[0]} exists and no config.json tells what made it: choose "
                "another folder, or overwrite"
            )
    write_text(folder / "config.json", json.dumps(record, indent=1) + "\n")
    columns = list(dict.fromkeys([*columns, *(name for row in rows.values() for name in row)]))
    run = Run(folder, columns, order, rows)
    # A table that a spreadsheet saved is of another encoding than the rows to come.
    if (folder / "results.csv").exists():
        run.put_in_order()
    return run


def _remove_results(folder: Path) -> None:
    """The table last, so that a kill in between leaves it to name what remains."""
    for name, row in results(folder).items():
        # Nothing outside the folder, whatever the table says.
        if row.get("status") == "ok" and Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
    (folder / "results.csv").unlink(missing_ok=True)


def begin_record(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes folder/config.json, or leaves the one that is there.

    Raises:
        ValueError: that one has other "settings" (each is named), or is no such record.
    """
    record: dict = json.loads(json.dumps(config))
    path = folder / "config.json"
    if path.exists():
        _refuse(
            folder,
            _differences(_settings_there(folder), record["settings"]),
            "choose another folder",
        )
    else:
        write_text(path, json.dumps(record, indent=1) + "\n")


def _settings_there(folder: Path) -> dict:
    return _record_there(folder, "choose another folder")["settings"]


def _record_there(folder: Path, advice: str) -> dict:
    """The folder's config.json, with "settings", "values" and "photos"."""
    path = folder / "config.json"
    record: dict = {}
    with contextlib.suppress(ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
    if not _is_record(record):
        raise ValueError(f"{path} is not the record of a run: {advice}")
    return {"values": {}, "photos": {}, **record}


def _is_record(found: Any) -> bool:
    """Whether its parts have names, and the values of each factor too."""
    if not isinstance(found, dict):
        return False
    values = found.get("values", {})
    parts = (found.get("settings"), found.get("photos", {}), values)
    return all(isinstance(part, dict) for part in parts) and all(
        isinstance(of_factor, dict) for of_factor in values.values()
    )


def _differences(there: dict, now: dict) -> dict[str, tuple]:
    pairs = {name: (there.get(name), now.get(name)) for name in {**there, **now}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _refuse(folder: Path, different: dict[str, tuple], advice: str) -> None:
    if different:
        shown = [
            f"{name} ({_short(old)} there, {_short(new)} now)"
            for name, (old, new) in list(different.items())[:SHOWN_DIFFERENCES]
        ]
        others = f" and {len(different) - len(shown)} more" if len(different) > len(shown) else ""
        raise ValueError(
            f"{folder} holds results of other settings: {', '.join(shown)}{others}: {advice}"
        )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 4]} ..."


def _merge(folder: Path, config: dict) -> dict:
    """`config` with what only the earlier run's has. Raises ValueError that names the settings and
    values in which the two differ."""
    advice = "choose another folder, or overwrite"
    there = _record_there(folder, advice)
    different = _differences(there["settings"], config["settings"])
    # Other settings make other values.
    _refuse(folder, different or _other_values(there, config), advice)
    return config | {name: there[name] | config.get(name, {}) for name in ("values", "photos")}


def _other_values(there: dict, config: dict) -> dict[str, tuple]:
    """The values of now that the earlier run has too, and otherwise."""
    return {
        f"{factor} {name}": (there["values"][factor].get(name), value)
        for factor, values in config.get("values", {}).items()
        if factor in there["values"]
        for name, value in values.items()
        if there["values"][factor].get(name) != value
    }
