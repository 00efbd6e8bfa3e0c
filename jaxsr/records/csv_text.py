"""CSV as people have it: what this package writes, and what Excel, LibreOffice and Numbers save."""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable

# UTF-32 begins as UTF-16 does, so it comes first.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DELIMITERS = ",;\t"
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


def text_of(content: bytes) -> str:
    """The text of a file: by its byte order mark, else in UTF-8, else in Windows' code page 1252,
    in which Excel saves "CSV (comma delimited)". A letter that a kill cut in the middle is left
    out. Raises UnicodeDecodeError."""
    encodings = [encoding for mark, encoding in MARKS.items() if content.startswith(mark)]
    try:
        return codecs.getincrementaldecoder((encodings or ["utf-8"])[0])().decode(content)
    except UnicodeDecodeError:
        return content.decode("cp1252")


def rows_of(text: str, path: str | os.PathLike) -> list[dict[str, str]]:
    """The rows of a CSV table under its first line, which says by what columns are separated: a
    comma, a semicolon (Excel where the comma is the decimal mark) or a tab. Empty rows, and columns
    without a name, are left out.

    Args:
        text: RFC 4180; Excel's line "sep=;" may come first.
        path: what errors call it.

    Raises:
        ValueError: it is no such table.
    """
    delimiter, text = _delimiter(text)
    try:
        if "\0" in text:
            raise csv.Error("it holds the letter NUL")
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(rows, [])]
        return [_row(names, cells, delimiter) for cells in rows if any(cells)]
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV table: {error}") from error


def _delimiter(text: str) -> tuple[str, str]:
    """What separates columns, and the text from the line with their names on."""
    text = text.lstrip("\ufeff\r\n")  # empty lines; a mark that was written twice
    told = re.match(r'"?sep=(.)"?\r?\n', text)
    if told:
        return told[1], text[told.end() :]
    names = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", text, maxsplit=1)[0])
    return max(DELIMITERS, key=names.count), text


def _row(names: Iterable[str], cells: Iterable[str], delimiter: str) -> dict[str, str]:
    """A row's cells by name; those that it lacks are empty."""
    cells = [*cells]
    if delimiter != ",":
        cells = [c.replace(",", ".") if DECIMAL_COMMA.fullmatch(c) else c for c in cells]
    names = [*names]
    cells += [""] * (len(names) - len(cells))
    return {name: cell for name, cell in zip(names, cells, strict=False) if name}
