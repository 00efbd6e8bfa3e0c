"""Malicious, damaged and random files: nothing is imported or executed, and each ends as one
ValueError, soon and in little memory. Old but honest ones are read."""

import codecs
import random
import re
import resource
import struct
import sys
import time

import numpy as np
import ports_files as files
import ports_modules
import ports_stylegan2 as writers
import pytest
from ports_malicious import (
    FLOATS,
    MALICIOUS,
    START,
    array_state,
    legacy_of,
    name,
    number,
    text,
)

from jaxsr.nets import stylegan2
from ports import constructors, convert, formats, priors, tables, torch_files

FUZZED = 300  # 5,000 with seed 1, once by hand: none did harm, see the commit
FORBIDDEN = (
    "import",
    "exec",
    "compile",
    "os.",
    "subprocess.",
    "pickle.",
    "socket.",
    "ctypes.",
    "shutil.",
)
EVENTS: list[str] | None = None


def _audit(event, args):
    if EVENTS is not None and event.startswith(FORBIDDEN):
        EVENTS.append(f"{event} {args!r}"[:200])


sys.addaudithook(_audit)  # for the life of the process; it costs nothing while EVENTS is None


def digest(path):
    """What reading the file as convert.py does, up to the tables, ends in; None if all is well.
    Nothing is imported or executed."""
    global EVENTS
    EVENTS, message = [], None
    try:
        look_at(convert.read(path)[0])
    except ValueError as error:
        message = str(error)
    finally:
        events, EVENTS = EVENTS, None
    assert not events, events
    assert message is None or (
        "\n" not in message and ("expected" in message or "refused" in message)
    ), message
    return message


def look_at(content):
    try:
        found = formats.find([content]).found
        tables.convert(
            found.rows if isinstance(found, priors.Found) else found.network.rows, found.sources
        )
    except ValueError as error:
        if "expected a checkpoint of" not in str(error):
            raise
        if not isinstance(content, dict):
            return
        for value in content.values():
            if isinstance(value, constructors.Tensor):
                constructors.as_array(value)


look_at({})  # what jax and zipfile import at their first use is not the files' doing
codecs.lookup("cp437")


@pytest.mark.parametrize("label", MALICIOUS)
def test_malicious_files_end_as_one_line(label, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, message = MALICIOUS[label]
    path = tmp_path / "evil.pkl"
    path.write_bytes(content)
    started = time.perf_counter()
    got = digest(path)
    assert time.perf_counter() - started < 5
    # None: data, if useless.
    assert got == message if message is None else re.search(message, got or ""), got
    assert [p.name for p in tmp_path.iterdir()] == ["evil.pkl"]


SMALL = writers.random_params(
    config=stylegan2.Config(resolution=8, z_dim=2, w_dim=2, mapping_layers=1, channels=(2, 2))
)
HEADS = {
    f"lin{i}.model.1.weight": files.Tensor(np.zeros((1, width, 1, 1), "f2"))
    for i, width in enumerate((64, 192, 384, 256, 256))
}
ZIP_PICKLE, ZIP_STORAGES = files.torch_pickle(writers.rosinality(SMALL))
BASES = {
    "ada": writers.ada(SMALL),
    "tensorflow": writers.tensorflow(SMALL),
    "tensorflow protocol 2": writers.tensorflow(SMALL, protocol=2),
    "legacy": files.legacy(writers.rosinality(SMALL)),
    "heads": files.legacy(HEADS),
    "zip": files.zipped(writers.rosinality(SMALL)),
    "zip's pickle": ZIP_PICKLE,
    "whole module": files.legacy(ports_modules.rosinality(SMALL, parallel=True)),
    "safetensors": ports_modules.safetensors(
        {name: np.asarray(x.array) for name, x in writers.rosinality(SMALL)["g_ema"].items()}, "F32"
    ),
}
SIZES = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**63]
OPCODES = b"(012NKMJGX\x8cUTCB\x8e\x96)\x85\x86\x87t]laedus}qrhjcQR\x81\x92b\x93\x94\x95\x80."
# (random numbers, bytes, a place) -> what takes the place of the bytes from there on: other bits,
# opcodes or sizes; a piece left out, repeated or from elsewhere; the end cut off, rarely.
CHANGES = (
    lambda rng, data, at: bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
    lambda rng, data, at: bytes([rng.choice(OPCODES)]) + data[at + 1 :],
    lambda rng, data, at: (
        struct.pack("<Q", rng.choice(SIZES))[: (n := rng.choice([1, 2, 4, 8]))] + data[at + n :]
    ),
    lambda rng, data, at: data[at + rng.choice([1, 2, 8, 64]) :],
    lambda rng, data, at: (
        data[at : at + rng.choice([1, 8, 64, 1024])] * rng.choice([1, 2, 50]) + data[at:]
    ),
    lambda rng, data, at: (
        data[(to := rng.randrange(len(data))) : to + (n := rng.choice([1, 8, 64, 1024]))]
        + data[at + n :]
    ),
    lambda rng, data, at: b"" if rng.random() < 0.3 else data[at:],
)


def mutated(rng, data):
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(data))
        data = data[:at] + rng.choice(CHANGES)(rng, data, at) or b"."
    return data


def fuzz(folder, rounds, seed):
    """Reads `rounds` mutated files: (how many were refused, longest seconds, growth of the process
    in bytes)."""
    rng, refused, longest = random.Random(seed), 0, 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(rounds):
        base = list(BASES)[i % len(BASES)]
        content = mutated(rng, BASES[base])
        path = folder / "fuzzed"
        path.write_bytes(files.zip_of(content, ZIP_STORAGES) if base == "zip's pickle" else content)
        started = time.perf_counter()
        refused += digest(path) is not None
        longest = max(longest, time.perf_counter() - started)
    return refused, longest, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def test_mutated_files_do_no_harm(tmp_path):
    refused, longest, growth = fuzz(tmp_path, FUZZED, seed=0)
    assert 0.3 * FUZZED < refused < FUZZED
    assert longest < 5 and growth < 1e9


@pytest.mark.parametrize("base", sorted(set(BASES) - {"zip's pickle"}))
def test_a_truncated_file_is_refused_wherever_it_ends(base, tmp_path):
    path = tmp_path / "cut"
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(BASES[base][: int(share * len(BASES[base]))])
        assert digest(path)


def test_embedded_source_is_passed_over(tmp_path, monkeypatch):
    """StyleGAN's files carry Python source that the official reader executes."""
    monkeypatch.chdir(tmp_path)
    for base in ("ada", "tensorflow"):
        assert b"touch executed" in BASES[base]
        (tmp_path / "file").write_bytes(BASES[base])
        assert digest(tmp_path / "file") is None
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_strings_of_python_2_are_arrays_too(tmp_path):
    numbers = np.array([1.5, -2], "<f4")
    (tmp_path / "file").write_bytes(
        START + array_state([number(2)], "f4", b"U\x08" + numbers.tobytes())
    )
    content, form = torch_files.read(tmp_path / "file")
    assert form == "pickle"
    np.testing.assert_array_equal(constructors.as_array(content), numbers)


def test_views_of_storages_in_old_torch_files(tmp_path):
    """Before torch 0.4 a persistent id could name a part of another storage: (key, offset,
    count)."""
    view = b"(" + text("view") + number(2) + number(3) + b"t"
    pid = b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(6) + view + b"tQ"
    tensor = (
        name("torch._utils", "_rebuild_tensor")
        + b"("
        + pid
        + number(1)
        + b"("
        + number(2)
        + b"t("
        + number(1)
        + b"ttR."
    )
    (tmp_path / "file").write_bytes(legacy_of(START + tensor, {"0": np.arange(6, dtype="f4")}))
    content, form = torch_files.read(tmp_path / "file")
    assert form == "torch legacy"
    np.testing.assert_array_equal(constructors.as_array(content), [3, 4])
