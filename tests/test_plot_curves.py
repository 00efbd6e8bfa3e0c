"""experiments/plot_curves: what it draws, and what it refuses in one line."""

import numpy as np
import plot_curves
import pytest

from jaxsr import images

CURVE = "images,seconds,frechet,kernel\n1000,60,{frechet},0.5\n2000,120,40.5,-0.1\n"


@pytest.fixture
def run(tmp_path):
    def make(name, frechet="50"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "curve.csv").write_text(CURVE.format(frechet=frechet))
        return str(tmp_path / name)

    return make


def test_each_run_is_a_line_over_images_and_minutes(run, tmp_path):
    """Another run must change the picture, or two would be taken for one."""
    pytest.importorskip("matplotlib")
    first, second = run("a"), run("b", "70")
    assert plot_curves.read(tmp_path / "a") == {
        "images": [1000, 2000],
        "seconds": [60, 120],
        "frechet": [50, 40.5],
        "kernel": [0.5, -0.1],
    }
    for runs, out in (((first,), "one.png"), ((first, second), "two.png")):
        plot_curves.main(plot_curves.Settings(run=runs, out=str(tmp_path / out)))
    one, two = (images.read(tmp_path / name) for name in ("one.png", "two.png"))
    assert one.shape == two.shape and abs(one - two).max() > 0.1


def test_a_curve_without_kernel_distances_is_still_plotted(tmp_path):
    """Runs of before there were any could no longer be compared."""
    pytest.importorskip("matplotlib")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "curve.csv").write_text("images,seconds,frechet\n1000,60,50\n")
    assert np.isnan(plot_curves.read(tmp_path / "old")["kernel"]).all()
    plot_curves.main(
        plot_curves.Settings(run=(str(tmp_path / "old"),), out=str(tmp_path / "a.png"))
    )
    assert np.ptp(images.read(tmp_path / "a.png")) > 0.5


@pytest.mark.parametrize(
    ("names", "frechet", "words"),
    [
        ((), "50", "--run is missing"),
        (("a/x", "b/x"), "50", "runs of different names"),
        (("a",), "", "rows in it, got none"),
        (("a",), "nought", "expected numbers in its curve.csv, got .*nought"),
    ],
)
def test_what_cannot_be_plotted_is_one_line(names, frechet, words, run, tmp_path):
    """A run left out without a word would be missed by nobody."""
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=words):
        plot_curves.main(
            plot_curves.Settings(
                run=tuple(run(name, frechet) for name in names), out=str(tmp_path / "x.png")
            )
        )
