"""hosts: many processes share the photos, and none needs another once it knows its part."""

import signal
import socket
import time

import commands
import numpy as np
import pytest
import super_resolve
from restoration import hosts
from super_resolve import Settings

from jaxsr import images
from jaxsr.records import report


@pytest.mark.parametrize("count", [1, 2, 7])
def test_parts_are_all_photos_once(count):
    photos = list(range(23))
    parts = [hosts.part(f"{i}/{count}") for i in range(count)]
    assert sorted(x for part in parts for x in photos[part.index :: part.count]) == photos
    assert len({part.name for part in parts}) == count


@pytest.mark.parametrize("text", ["8/8", "x", "-1/2", "1", "/2", "1/", "auto"])
def test_a_part_that_makes_no_sense_is_refused(text):
    """Photos that no host restores, or a cluster of one that restores them all on each host."""
    with pytest.raises(ValueError, match=f"--part={text}") as caught:
        hosts.part(text)
    assert "\n" not in str(caught.value)


def start(out, folder, index, port):
    """One of two processes of a Slurm job, on a cluster of this machine alone."""
    slurm = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    slurm |= {
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
    }
    flags = ("--part=auto", "--method=bicubic", "--noprogress", f"--input={folder}", f"--out={out}")
    return commands.start("super_resolve.py", *flags, cwd=folder, **slurm)


@pytest.mark.slow
def test_a_lost_host_costs_only_its_own_photos(tmp_path):
    """The first host of a cluster, to which all others were connected, is killed: theirs are
    restored all the same, and the lost one's are made up for. All are those that one process
    makes."""
    (tmp_path / "photos").mkdir()
    for i in range(6):
        small = np.random.default_rng(i).uniform(0.2, 0.8, (8, 8, 3)).astype(np.float32)
        images.write(tmp_path / "photos" / f"{i}.png", small)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = [start(tmp_path / "out", tmp_path / "photos", i, port) for i in range(2)]
    record = tmp_path / "out" / "part-0-of-2" / "config.json"
    while both[0].poll() is None and not record.exists():
        time.sleep(0.01)
    both[0].send_signal(signal.SIGKILL)
    told = "".join(both[1].communicate(timeout=120))
    assert both[1].returncode == 0, told
    both[0].communicate()
    assert sorted(path.name for path in (tmp_path / "out" / "part-1-of-2").glob("[0-9].png")) == [
        "1.png",
        "3.png",
        "5.png",
    ]
    alone = {"method": "bicubic", "input": (str(tmp_path / "photos"),), "progress": False}
    assert super_resolve.main(Settings(**alone, part="0/2", out=str(tmp_path / "out"))) == 0
    assert super_resolve.main(Settings(**alone, out=str(tmp_path / "whole"))) == 0
    for i in range(6):
        made = tmp_path / "out" / f"part-{i % 2}-of-2" / f"{i}.png"
        assert made.read_bytes() == (tmp_path / "whole" / f"{i}.png").read_bytes()
    assert all(
        row["status"] == "ok"
        for row in report.read_csv(tmp_path / "out" / "part-0-of-2" / "results.csv")
    )


def test_a_part_without_photos_has_nothing_to_do(tmp_path, capsys):
    """Three photos on four hosts are no error on the fourth."""
    images.write(tmp_path / "a.png", np.full((8, 8, 3), 0.5, np.float32))
    assert (
        super_resolve.main(
            Settings(
                method="bicubic",
                input=(str(tmp_path / "a.png"),),
                part="1/2",
                out=str(tmp_path / "out"),
            )
        )
        == 0
    )
    assert "nothing to do" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
