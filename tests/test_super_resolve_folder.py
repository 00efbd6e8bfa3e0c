"""The folder of super_resolve.py: results outlive kills and changes of the photos, and nothing of
the user's is replaced."""

import contextlib
import dataclasses
import io
import signal
import time
from pathlib import Path

import commands
import pytest
import super_resolve
from tiny import photo, photos_folder, quick, rows, write_prior

from jaxsr import images
from jaxsr.records import files


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


def when_announced(action):
    """Does `action` once the run has said what it will do: the table is begun, no search is."""

    class Output(io.StringIO):
        def write(self, text):
            if "results to make" in text:
                action()
            return super().write(text)

    return contextlib.redirect_stdout(Output())


def start(prior, *arguments, cwd):
    cache = str(Path(prior).parent / "cache")
    return commands.start(
        "super_resolve.py", f"--prior={prior}", *arguments, cwd=cwd, XDG_CACHE_HOME=cache
    )


def finish(process):
    told = process.communicate(timeout=300)
    assert process.returncode == 0, told


@pytest.mark.slow
def test_killed_run_goes_on_and_ends_with_the_same_files(prior, tmp_path):
    """kill -9 after the first results: the second start redoes none of them, and every picture
    equals an uninterrupted run's."""
    (tmp_path / "photos").mkdir()
    for i in range(6):
        images.write(tmp_path / "photos" / f"p{i}.png", photo(4, i))
    arguments = (f"--input={tmp_path / 'photos'}", "--method=pulse", "--noprogress")
    finish(start(prior, *arguments, "--out=whole", cwd=tmp_path))
    process = start(prior, *arguments, "--out=parts", cwd=tmp_path)
    while not (tmp_path / "parts" / "results.csv").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = {row["output"]: row for row in rows(tmp_path / "parts")}
    finish(start(prior, *arguments, "--out=parts", cwd=tmp_path))
    after = {row["output"]: row for row in rows(tmp_path / "parts")}
    assert all(after[name] == row for name, row in finished.items())
    assert len(after) == 6
    for name in after:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not [
        p
        for p in (tmp_path / "parts").iterdir()
        if p.suffix not in (".png", ".csv", ".json") and p.name != ".lock"
    ]


def test_other_settings_in_the_same_folder_are_refused(prior, tmp_path):
    super_resolve.main(quick(prior=prior, out=str(tmp_path)))
    with pytest.raises(ValueError, match=r"seed \(0 there, 1 now\)"):
        super_resolve.main(quick(prior=prior, out=str(tmp_path), seed=1))
    assert super_resolve.main(quick(prior=prior, out=str(tmp_path), seed=1, overwrite=True)) == 0


def test_two_processes_in_one_folder_are_refused(prior, tmp_path):
    """Each would write the table without the other's rows."""
    with (
        files.only_here(tmp_path),
        pytest.raises(ValueError, match="another process is writing there"),
    ):
        super_resolve.main(quick(prior=prior, out=str(tmp_path)))


def test_bad_photos_are_in_the_table_before_the_search(prior, tmp_path):
    """A run that is killed in its first hour must have said which photos it cannot use."""
    (tmp_path / "photos").mkdir()
    images.write(tmp_path / "photos" / "good.png", photo(4))
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")

    def killed():
        raise KeyboardInterrupt

    with when_announced(killed), pytest.raises(KeyboardInterrupt):
        super_resolve.main(
            quick(prior=prior, input=(str(tmp_path / "photos"),), out=str(tmp_path / "out"))
        )
    assert [row["status"] for row in rows(tmp_path / "out")] == ["error"]


@pytest.mark.parametrize("name", ["grid.png", "results.csv", "p0.png"])
def test_a_photo_or_a_file_that_no_run_made_is_never_replaced(name, prior, tmp_path):
    """The user's own picture would be gone without a word."""
    source = photos_folder(tmp_path, "p0.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(b"mine")
    with pytest.raises(ValueError, match=rf"{name} exists"):
        super_resolve.main(quick(prior=prior, input=source, out=str(tmp_path / "out")))
    assert (tmp_path / "out" / name).read_bytes() == b"mine"


def test_the_folder_of_the_photos_may_not_be_written_over(prior, tmp_path):
    source = photos_folder(tmp_path, "a.png", "grid.png")
    with pytest.raises(ValueError, match=r"would replace or remove the photo .*grid\.png"):
        super_resolve.main(quick(prior=prior, input=source, out=source[0], num_solutions=2))


def test_overwrite_does_not_remove_the_photo_it_is_to_restore(prior, tmp_path):
    """A result of an earlier run, given as input, is on the list of what --overwrite removes."""
    super_resolve.main(
        quick(prior=prior, input=photos_folder(tmp_path, "a.png"), out=str(tmp_path / "out"))
    )
    settings = quick(
        prior=prior,
        reference=(str(tmp_path / "out" / "a.png"),),
        out=str(tmp_path / "out"),
        overwrite=True,
        num_solutions=2,
    )
    with pytest.raises(ValueError, match="would replace or remove the photo"):
        super_resolve.main(dataclasses.replace(settings, factor=4))
    assert (tmp_path / "out" / "a.png").exists()


def test_a_finished_result_keeps_its_row_when_its_photo_can_no_longer_be_read(prior, tmp_path):
    settings = quick(
        prior=prior, input=photos_folder(tmp_path, "a.png", "b.png"), out=str(tmp_path / "out")
    )
    super_resolve.main(settings)
    before = rows(tmp_path / "out")
    (tmp_path / "photos" / "b.png").write_bytes(b"")
    super_resolve.main(settings)
    assert rows(tmp_path / "out") == before


def spoil(path):
    images.write(path, photo(4, 99))


@pytest.mark.parametrize("happens", [Path.unlink, spoil])
def test_a_photo_that_goes_or_changes_while_others_are_restored_stops_none(
    happens, prior, tmp_path
):
    """Photos are read again when their turn comes, hours later perhaps: one that is no longer the
    same gets a row, and no wrong result."""
    source = photos_folder(tmp_path, "a.png", "b.png")
    with when_announced(lambda: happens(tmp_path / "photos" / "a.png")):
        assert super_resolve.main(quick(prior=prior, input=source, out=str(tmp_path / "out"))) == 3
    assert {row["output"]: row["status"] for row in rows(tmp_path / "out")} == {
        "a.png": "error",
        "b.png": "ok",
    }
    assert not (tmp_path / "out" / "a.png").exists()


def test_what_cannot_be_drawn_costs_no_finished_result(prior, tmp_path, capsys):
    """A damaged result, or a name that a font cannot set, must not turn a finished run into a
    failed one."""
    settings = quick(
        prior=prior, input=photos_folder(tmp_path, "a\nb.png", "c.png"), out=str(tmp_path / "out")
    )
    assert super_resolve.main(settings) == 0
    (tmp_path / "out" / "c.png").write_bytes(b"damaged")
    assert super_resolve.main(settings) == 0
    assert "2 results" in (said := capsys.readouterr().out)
    assert "1 left out, the first" in said
