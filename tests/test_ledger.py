"""ledger: rows survive kills, and several processes neither lose nor double one."""

import json
import subprocess
import sys
import textwrap

import pytest

from jaxsr.records.ledger import Ledger

SETTINGS = {"seed": 0, "prior": "toy"}


def ledger(folder, settings=SETTINGS):
    return Ledger(folder, settings, key=("cell", "photo"), about={"command": "test"})


def row(cell, photo, **more):
    return {"cell": cell, "photo": photo, "status": "ok", **more}


def test_rows_come_back_by_their_key_and_the_later_counts(tmp_path):
    book = ledger(tmp_path)
    book.add([row("a", "1", psnr=20.5), row("a", "2", psnr=float("inf"))])
    book.add([row("a", "1", psnr=21.0, tags=["x"], ssim=float("nan"))])
    again = ledger(tmp_path).rows()
    assert {key: found["psnr"] for key, found in again.items()} == {
        ("a", "1"): 21.0,
        ("a", "2"): float("inf"),
    }
    assert again["a", "1"]["ssim"] is None and again["a", "1"]["tags"] == ["x"]
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert all(json.loads(line, parse_constant=pytest.fail) for line in lines)  # strict JSON


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_line_cut_off_by_a_kill_costs_itself_alone(cut, tmp_path):
    """kill -9 in the middle of a write: what was whole stays, what follows is not glued to the
    stump."""
    book = ledger(tmp_path)
    book.add([row("a", "1", note="whole")])
    with open(tmp_path / "rows.jsonl", "ab") as file:
        file.write(json.dumps(row("a", "2", note="a longer text")).encode()[:cut])
    assert set(book.rows()) == {("a", "1")}
    book.add([row("a", "2", note="again")])
    assert {key: found["note"] for key, found in book.rows().items()} == {
        ("a", "1"): "whole",
        ("a", "2"): "again",
    }


def test_another_runs_folder_is_refused(tmp_path):
    """Rows of two settings in one table would be averaged as if they were one."""
    ledger(tmp_path)
    with pytest.raises(ValueError, match=r"another seed \(0 there, 1 now\)"):
        ledger(tmp_path, {**SETTINGS, "seed": 1})
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="not the record of a run"):
        ledger(tmp_path)


def test_a_claim_excludes_others_and_ends_with_its_process(tmp_path):
    """Two processes would do the same photo, or a killed one would block it for ever."""
    book = ledger(tmp_path)
    code = f"""
        import os
        from jaxsr.records.ledger import Ledger
        book = Ledger({str(tmp_path)!r}, {SETTINGS!r}, key=("cell", "photo"), about={{}})
        with book.claim("a") as mine:
            print(mine, flush=True)
            input()
            os.kill(os.getpid(), 9)
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline().strip() == "True"
    with book.claim("a") as mine, book.claim("b") as free:
        assert (mine, free) == (False, True)
    other.communicate("die\n")
    with book.claim("a") as mine:
        assert mine


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    """Lines of two processes would be interleaved, or one would overwrite the other's."""
    ledger(tmp_path)
    code = f"""
        import sys
        from jaxsr.records.ledger import Ledger
        book = Ledger({str(tmp_path)!r}, {SETTINGS!r}, key=("cell", "photo"), about={{}})
        for i in range(60):
            book.add([{{"cell": sys.argv[1], "photo": str(i), "status": "ok", "text": "x" * 5000}}])
    """
    started = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), name]) for name in ("a", "b")
    ]
    assert [process.wait() for process in started] == [0, 0]
    assert set(ledger(tmp_path).rows()) == {(name, str(i)) for name in "ab" for i in range(60)}
