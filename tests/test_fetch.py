"""ports/fetch.py against a server on this machine: whole files only, resumed by bytes, and only
when somebody starts it."""

import dataclasses
import hashlib
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import commands
import numpy as np
import pytest

from ports import fetch

NEW, OLD = (np.random.default_rng(seed).bytes(5000) for seed in (1, 2))
PAGE = b"\n<!DOCTYPE HTML><html>Google Drive can't scan this file for viruses</html>"


@dataclasses.dataclass
class Answer:
    """What the server says to one request.

    cut: the bytes of the body after which it drops the connection.
    ranges, if_range: whether it knows Range, and If-Range.
    stall: sends no more than `cut` bytes and waits for this before it drops the connection.
    """

    body: bytes = NEW
    status: int = 200
    etag: str = '"new"'
    date: str = ""
    kind: str = "application/octet-stream"
    cut: int | None = None
    ranges: bool = True
    if_range: bool = True
    length: bool = True
    stall: threading.Event | None = None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        if answer.status != 200:
            return self.send_error(answer.status)
        start = self.start(answer)
        if start >= len(answer.body):
            return self.head(416, answer, {"Content-Range": f"bytes */{len(answer.body)}"})
        span = (
            {"Content-Range": f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}"}
            if start
            else {}
        )
        self.head(
            206 if start else 200,
            answer,
            span | ({"Content-Length": str(len(answer.body) - start)} if answer.length else {}),
        )
        self.wfile.write(answer.body[start:][: answer.cut])
        self.wfile.flush()
        if answer.stall:
            answer.stall.wait(10)

    def start(self, answer):
        asked, version = self.headers.get("Range"), self.headers.get("If-Range")
        current = version in (answer.etag, answer.date) and not (version or "").startswith("W/")
        return (
            int(asked[6:-1]) if asked and answer.ranges and (current or not answer.if_range) else 0
        )

    def head(self, status, answer, headers):
        self.send_response(status)
        named = {
            "ETag": answer.etag,
            "Last-Modified": answer.date,
            "Content-Type": answer.kind,
        } | headers
        for name, value in named.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch, "WAIT", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.answers = [], [Answer()]
        server.address = f"http://127.0.0.1:{server.server_port}/file"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def entry(server, sha256=""):
    return fetch.Entry(
        "Weights",
        "a.pkl",
        server.address,
        "CC BY-NC 4.0 (non-commercial)",
        "https://example.org",
        sha256,
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


ETAG_OLD, DATE = '"old"', "Mon, 01 Jan 2024 00:00:00 GMT"
DATED = Answer(cut=1000, etag="", date=DATE)
ARRIVES = {
    "in one piece": ([Answer()], [None]),
    "without a length": ([Answer(length=False)], [None]),
    "after a dropped connection": ([Answer(cut=1000), Answer()], [None, "bytes=1000-"]),
    "after two": (
        [Answer(cut=1000), Answer(cut=500), Answer()],
        [None, "bytes=1000-", "bytes=1500-"],
    ),
    "after more drops than tries in a row": (
        [*[Answer(cut=600)] * 6, Answer()],
        [None, *(f"bytes={n}-" for n in range(600, 3601, 600))],
    ),
    "by its date": (
        [DATED, DATED, Answer(etag="", date=DATE)],
        [None, "bytes=1000-", "bytes=2000-"],
    ),
    "anew, for no version is told": ([Answer(cut=1000, etag=""), Answer()], [None, None]),
    "anew, for a weak ETag promises no bytes": (
        [Answer(cut=1000, etag='W/"new"'), Answer()],
        [None, None],
    ),
    "anew, for Range is ignored": ([Answer(cut=1000), Answer(ranges=False)], [None, "bytes=1000-"]),
    "anew, for the file is another": (
        [Answer(OLD, etag=ETAG_OLD, cut=1000), Answer()],
        [None, "bytes=1000-"],
    ),
    "anew, for If-Range is ignored": (
        [Answer(OLD, etag=ETAG_OLD, cut=1000), Answer(if_range=False)],
        [None, "bytes=1000-", None],
    ),
    "anew, for the file is shorter": (
        [Answer(OLD * 2, etag=ETAG_OLD, cut=7000), Answer(if_range=False), Answer()],
        [None, "bytes=7000-", None],
    ),
    "from a busy server": ([Answer(status=500), Answer(status=503), Answer()], [None, None, None]),
}


@pytest.mark.parametrize("case", ARRIVES)
def test_the_file_arrives_whole_and_only_missing_bytes_are_asked_for(
    case, server, tmp_path, capsys
):
    """If it fails: a checkpoint is mixed of two versions or cut off, or 300 MB are downloaded once
    more after each dropped connection."""
    server.answers, asked = list(ARRIVES[case][0]), ARRIVES[case][1]
    path = fetch.fetch(
        entry(server, hashlib.sha256(NEW).hexdigest()[:8]), tmp_path / "new" / "folder"
    )
    assert path.read_bytes() == NEW and names(path.parent) == ["a.pkl"]
    assert server.asked == asked
    assert "licence: CC BY-NC 4.0 (non-commercial)" in capsys.readouterr().out.splitlines()[0]


FAILS = {
    "not there": ([Answer(status=404)], "the server answered 404", [], 1),
    "always busy": ([Answer(status=500)], "the server answered 500", [], fetch.TRIES),
    "always dropped": (
        [Answer(cut=0)],
        "ended after 0 of 5,000 bytes",
        ["a.pkl.part", "a.pkl.part.etag"],
        fetch.TRIES,
    ),
    "a page by its type": (
        [Answer(kind="text/html; charset=utf-8")],
        r"open it in a browser and save the file as .*a\.pkl",
        [],
        1,
    ),
    "a page by its text": (
        [Answer(PAGE)],
        r"open it in a browser and save the file as .*a\.pkl",
        [],
        1,
    ),
    "another file": (
        [Answer(OLD)],
        r"expected a\.pkl with sha256 [0-9a-f]{64}, got [0-9a-f]{64}; nothing of it was kept",
        [],
        1,
    ),
}


@pytest.mark.parametrize("case", FAILS)
def test_what_is_not_the_file_ends_in_one_line_and_gets_no_final_name(case, server, tmp_path):
    """If it fails: a Drive page or a foreign file lies where the converter expects a checkpoint, or
    the user reads a traceback."""
    server.answers, message, left, requests = FAILS[case]
    with pytest.raises(ValueError, match=message) as caught:
        fetch.fetch(entry(server, hashlib.sha256(NEW).hexdigest()), tmp_path)
    assert "\n" not in str(caught.value) and server.address in str(caught.value)
    assert names(tmp_path) == left and len(server.asked) == requests


def test_a_page_in_place_of_the_rest_does_not_cost_what_had_arrived(server, tmp_path):
    """Drive's limit of downloads answers a page also to the request that goes on."""
    server.answers = [Answer(cut=1000), Answer(PAGE, etag='"page"')]
    with pytest.raises(ValueError, match="open it in a browser"):
        fetch.fetch(entry(server), tmp_path)
    assert (tmp_path / "a.pkl.part").read_bytes() == NEW[:1000]
    server.answers = [Answer()]
    assert fetch.fetch(entry(server), tmp_path).read_bytes() == NEW
    assert server.asked == [None, "bytes=1000-", "bytes=1000-"]


def test_a_complete_part_needs_no_byte_more(server, tmp_path):
    """A kill between the last byte and the renaming must not cost the download, nor end in the
    error 416."""
    (tmp_path / "a.pkl.part").write_bytes(NEW)
    (tmp_path / "a.pkl.part.etag").write_text(f'{server.address}\n"new"')
    assert fetch.fetch(entry(server), tmp_path).read_bytes() == NEW
    assert server.asked == ["bytes=5000-"] and names(tmp_path) == ["a.pkl"]


def test_a_part_of_unknown_origin_is_not_continued(server, tmp_path):
    """Another address's beginning, or one without its note, would be mixed with this file's
    rest."""
    for note in (None, 'http://elsewhere/file\n"new"'):
        folder = tmp_path / str(note is None)
        folder.mkdir()
        (folder / "a.pkl.part").write_bytes(OLD[:1000])
        if note:
            (folder / "a.pkl.part.etag").write_text(note)
        assert fetch.fetch(entry(server), folder).read_bytes() == NEW
    assert server.asked == [None, None]


def test_a_file_that_is_there_is_left_alone(server, tmp_path, capsys):
    """If it fails: each start downloads again, or a file of the user's with the same name is
    overwritten."""
    (tmp_path / "a.pkl").write_bytes(OLD)
    for sha256 in ("", hashlib.sha256(OLD).hexdigest()):
        assert fetch.fetch(entry(server, sha256), tmp_path) == tmp_path / "a.pkl"
        assert "already there" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"a\.pkl: expected a\.pkl with sha256 00000000, got"):
        fetch.fetch(entry(server, "00000000"), tmp_path)
    assert (
        (tmp_path / "a.pkl").read_bytes() == OLD
        and names(tmp_path) == ["a.pkl"]
        and server.asked == []
    )


def test_nobody_answers(server, tmp_path):
    """Without a network the user reads which address, and why."""
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"127\.0\.0\.1.*Connection refused"):
        fetch.fetch(entry(server), tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named(server, tmp_path):
    (tmp_path / "a.pkl.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        fetch.fetch(entry(server), tmp_path)
    assert str(caught.value.filename).endswith("a.pkl.part") and len(server.asked) == 1


def test_a_killed_command_goes_on_and_two_at_once_do_not_mix(server, tmp_path):
    """As a user starts it: the second is refused while the first runs; after kill -9 the same
    command asks for the rest only."""
    manifest, out = tmp_path / "list.toml", tmp_path / "out"
    fields = {k: v for k, v in entry(server)._asdict().items() if v}
    manifest.write_text(
        "[mine]\n" + "".join(f'{key} = "{value}"\n' for key, value in fields.items())
    )
    stall = threading.Event()
    server.answers = [Answer(cut=2000, stall=stall), Answer()]
    flags = ("mine", "--out", str(out), f"--manifest={manifest}")
    with commands.start("fetch.py", *flags, cwd=tmp_path) as first:
        deadline = time.monotonic() + 8
        while (
            not ((out / "a.pkl.part").exists() and (out / "a.pkl.part").stat().st_size)
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        refused = commands.call("fetch.py", *flags)
        first.send_signal(signal.SIGKILL)
    stall.set()
    assert (
        refused.status == 2
        and refused.stderr.count("\n") == 1
        and "another process is fetching it" in refused.stderr
    )
    kept = (out / "a.pkl.part").stat().st_size
    assert not (out / "a.pkl").exists() and 0 < kept <= 2000
    done = commands.run("fetch.py", *flags, cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert (out / "a.pkl").read_bytes() == NEW and names(out) == ["a.pkl"]
    assert server.asked == [None, f"bytes={kept}-"]


def test_command_without_a_name_lists_names_and_licences(tmp_path):
    done = commands.run("fetch.py", cwd=tmp_path)
    assert done.status == 0 and done.stderr == ""
    for name, official in fetch.read_manifest().items():
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert official.what in line and official.licence in line


def test_command_ends_mistakes_with_one_line(tmp_path):
    """A wrong name tells the nearest; a folder that cannot be, a list that is none, and a second
    name are told; nothing is asked for."""
    (tmp_path / "file").write_text("")
    (tmp_path / "list.toml").write_text("[mine]\nwhat = 3\n")
    mistakes = {
        ("stylegan2-ffhq-confg-f",): "did you mean 'stylegan2-ffhq-config-f'?",
        ("--name=vgg61",): "did you mean 'vgg16'?",
        ("vgg16", f"--out={tmp_path / 'file' / 'folder'}"): "Not a directory",
        ("vgg16", "--out="): "--out is empty",
        (
            "mine",
            f"--manifest={tmp_path / 'list.toml'}",
        ): "expected TOML tables with what, file, address",
        ("vgg16", "alexnet"): "unexpected argument 'alexnet'",
    }
    for flags, message in mistakes.items():
        done = commands.call("fetch.py", *flags)
        assert done.status == 2 and done.stderr.count("\n") == 1 and message in done.stderr, (
            flags,
            done.stderr,
        )


def test_the_bare_name_is_told_from_the_values_of_flags():
    """If it fails: `--out DIR NAME` fetches a checkpoint called DIR."""
    for given, expected in {
        "a": "--name=a",
        "a --out=b": "--name=a --out=b",
        "--out b a": "--out b --name=a",
        "--out=b a": "--out=b --name=a",
        "--debug a": "--debug --name=a",
        "--name a": "--name a",
        "": "",
    }.items():
        assert fetch.with_name_flag(given.split()) == expected.split()
