"""The list of ports/fetch.py keeps its laws, and nothing but the user starts it."""

import ast
import itertools
import re
from pathlib import Path

from jaxsr.metrics.networks import PACKAGE, SOURCES
from ports import fetch

ROOT = Path(__file__).parents[1]


def drive(address):
    """An address of Google Drive in the form that downloads."""
    return re.sub(
        r"https://drive\.google\.com/file/d/([^/]+)/view.*",
        r"https://drive.google.com/uc?export=download&id=\1",
        address,
    )


def test_the_manifest_keeps_its_laws():
    """If it fails: a checkpoint without licence or source, over an open line, or one that another
    one's file is taken for."""
    entries = fetch.read_manifest()
    for name, official in entries.items():
        assert all(
            [official.what, official.file, official.address, official.licence, official.source]
        ), name
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name) and re.fullmatch(
            r"[A-Za-z0-9._-]+", official.file
        ), name
        assert (
            official.address.startswith("https://")
            and official.source.startswith("https://")
            and " " not in official.address
        ), name
        assert official.address == drive(official.address), name
        assert re.fullmatch(r"([0-9a-f]{8}|[0-9a-f]{64})?", official.sha256), name
        assert not any("\n" in text for text in official), name
    for field in ("file", "address", "what"):
        assert len({getattr(official, field) for official in entries.values()}) == len(entries), (
            field
        )
    assert all(
        "non-commercial" in e.licence
        for e in entries.values()
        if "nvidia" in e.address or "NVlabs" in e.source
    )


def test_the_metric_networks_are_those_that_the_metrics_ask_for():
    """If it fails: fetch brings a file that metrics.networks refuses, or the report names another
    address."""
    entries = fetch.read_manifest()
    for name, source in SOURCES.items():
        if source.address.startswith(PACKAGE):  # pip brings it
            assert name not in entries
            continue
        got = entries[name]
        assert (got.what, got.file, got.licence, got.sha256) == (
            source.what,
            source.file,
            source.licence,
            source.sha256,
        )
        assert got.address == drive(source.address)


STARTERS = {
    "run",
    "Popen",
    "call",
    "check_call",
    "check_output",
    "system",
    "popen",
    "run_path",
    "run_module",
    "import_module",
    "__import__",
}
NETWORK = {
    "urllib",
    "http",
    "socket",
    "ftplib",
    "requests",
    "aiohttp",
    "httpx",
    "gdown",
    "huggingface_hub",
}


def reaches_out(node):
    """Whether a statement imports ports/fetch.py or what opens connections, or starts a command
    that names fetch."""
    if isinstance(node, ast.Import):
        return any(
            a.name.split(".")[0] in NETWORK or a.name.split(".")[-1] == "fetch" for a in node.names
        )
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        return (
            module.split(".")[0] in NETWORK
            or module.split(".")[-1] == "fetch"
            or any(a.name == "fetch" for a in node.names)
        )
    if isinstance(node, ast.Call):
        called = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        texts = [
            n.value
            for n in ast.walk(node)
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        return called in STARTERS and any("fetch" in text for text in texts)
    return False


def test_nothing_but_the_user_starts_fetch():
    """If it fails: training, restoring or measuring may download something behind the user's
    back."""
    paths = itertools.chain.from_iterable(
        (ROOT / folder).rglob("*.py") for folder in ("jaxsr", "experiments", "ports")
    )
    others = [path for path in paths if path != Path(fetch.__file__)]
    assert len(others) > 50
    found = [
        f"{p}:{n.lineno}"
        for p in others
        for n in ast.walk(ast.parse(p.read_text()))
        if reaches_out(n)
    ]
    assert not found
    for line in (
        "from ports import fetch",
        "import ports.fetch",
        "import urllib.request",
        "subprocess.run(['ports/fetch.py'])",
    ):
        assert reaches_out(
            next(
                n
                for n in ast.walk(ast.parse(line))
                if isinstance(n, ast.Import | ast.ImportFrom | ast.Call)
            )
        )
