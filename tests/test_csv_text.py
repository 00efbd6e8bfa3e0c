"""Tables as spreadsheets save them: read whatever their encoding and what separates columns."""

import csv
import io

import pytest

from jaxsr.records import csv_text, files, report

ROWS = [
    {"file": "c 00.png", "cell_class": "neutrophil", "x": "12.5"},
    {"file": "p/caf\xe9, 1.png", "cell_class": 'the "odd" one', "x": "-3"},
    {"file": "c;02.png", "cell_class": "", "x": "1e-07"},
]
SAVED = {  # as which program saves them: encoding, delimiter, line end, decimal mark
    "this package": ("utf-8", ",", "\n", "."),
    "Excel, CSV UTF-8": ("utf-8-sig", ",", "\r\n", "."),
    "Excel, CSV UTF-8, Germany": ("utf-8-sig", ";", "\r\n", ","),
    "Excel, CSV": ("cp1252", ",", "\r\n", "."),
    "Excel, CSV, France": ("cp1252", ";", "\r\n", ","),
    "Excel, Unicode text": ("utf-16", "\t", "\r\n", "."),
    "Notepad, UTF-16 BE": ("utf-16-be", ",", "\r\n", "."),
    "Numbers": ("utf-8", ";", "\n", ","),
    "Excel of old Macs": ("utf-8", ",", "\r", "."),
}


def saved(rows, encoding, delimiter, end, decimal) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows({**row, "x": row["x"].replace(".", decimal)} for row in rows)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    return (mark + text.getvalue()).encode(encoding)


@pytest.mark.parametrize("program", SAVED)
def test_a_table_is_read_as_it_was_typed(program, tmp_path):
    """Labels that a spreadsheet saved are refused, or all photos are without a label."""
    (tmp_path / "t.csv").write_bytes(saved(ROWS, *SAVED[program]))
    assert report.read_csv(tmp_path / "t.csv") == ROWS


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("sep=;\r\na;b\r\n1,5;x\r\n", [{"a": "1.5", "b": "x"}]),
        ("a,b,,\r\n1,2,,\r\n,,,\r\n", [{"a": "1", "b": "2"}]),  # cells that were emptied
        (" file , type\nx.png,1\n", [{"file": "x.png", "type": "1"}]),
        ('"a,b";c\n1;2\n', [{"a,b": "1", "c": "2"}]),
        ("file\nx;y.png\n", [{"file": "x;y.png"}]),
        ("a,b\n1\n1,2,3\n", [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]),
        ("\ufeff\ufeff\r\n\na;b\n1;2\n", [{"a": "1", "b": "2"}]),
        ("", []),
    ],
)
def test_odd_tables(text, rows):
    assert csv_text.rows_of(text, "t.csv") == rows


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0", b'a,b\n"open', b"\x81\x8d\xff"])
def test_what_is_no_table_is_one_line(content, tmp_path):
    """A picture under the name of a table would give rows of nonsense."""
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match="is not a CSV table") as error:
        report.read_csv(tmp_path / "t.csv")
    assert "\n" not in str(error.value)


COLUMNS = ("output", "digest", "status", "file")


@pytest.mark.parametrize("program", SAVED)
def test_a_run_goes_on_after_a_spreadsheet_saved_its_table(program, tmp_path):
    """Looked at in Excel, saved by habit, with a remark in a column of its own: the run refuses to
    go on, does all anew, mixes two encodings, or loses the remark."""
    rows = [
        {
            "output": f"{i}.png",
            "digest": "d",
            "status": "ok",
            "file": f"caf\xe9{i}.png",
            "x": "good",
        }
        for i in range(2)
    ]
    order = [f"{i}.png" for i in range(4)]
    report.open_run(tmp_path, {"settings": {}}, COLUMNS, order)
    for row in rows:
        (tmp_path / row["output"]).touch()
    (tmp_path / "results.csv").write_bytes(saved(rows, *SAVED[program]))
    run = report.open_run(tmp_path, {"settings": {}}, COLUMNS, order)
    assert [run.is_done(name, "d") for name in order] == [True, True, False, False]
    run.add([{"output": "2.png", "status": "ok", "file": "caf\xe92.png"}])
    run.add([{"output": "3.png", "status": "ok", "file": "caf\xe93.png"}])
    run.put_in_order()
    table = report.read_csv(tmp_path / "results.csv")
    assert [row["file"] for row in table] == [f"caf\xe9{i}.png" for i in range(4)]
    assert [row["x"] for row in table] == ["good", "good", "", ""]


ODD = ["caf\udce9.png", "\udcff\udcfe", "\ud800", "plain \xe9 \u4e2d"]


@pytest.mark.parametrize("text", ODD)
def test_any_name_of_a_file_can_be_written(text, tmp_path):
    """A name that is no UTF-8 ends the run when its row, the page or a line is written."""
    report.write_csv(tmp_path / "t.csv", [{"output": text}], ("output",))
    assert report.read_csv(tmp_path / "t.csv") == [{"output": files.shown(text)}]
    files.write_text(tmp_path / "t.html", text)
    assert (tmp_path / "t.html").read_text(encoding="utf-8") == files.shown(text)
    assert files.shown(files.shown(text)) == files.shown(text)
    for encoding in ("utf-8", "ascii", "latin-1"):
        assert text.encode(encoding, files.ESCAPE)
    assert text.isprintable() == (files.shown(text) == text)


def test_a_byte_is_shown_as_a_byte():
    assert files.shown("caf\udce9") == "caf\\xe9"
    assert files.encoded("caf\xe9") == b"caf\xc3\xa9"
