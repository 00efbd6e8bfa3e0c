"""plots: every image of a grid is where it should be, and large grids stay near a square."""

import numpy as np
import pytest

from jaxsr import plots


def flat(value: float, side: int = 4) -> np.ndarray:
    return np.full((side, side, 3), value, np.float32)


def make(n: int, cell: int = 16, columns: int = 3) -> np.ndarray:
    rows = [
        [flat((i * columns + j + 1) / (n * columns + 2)) for j in range(columns)] for i in range(n)
    ]
    return plots.grid(
        rows, columns=list("abcdef")[:columns], captions=[str(i) for i in range(n)], cell=cell
    )


def test_grid_holds_each_image_once():
    """Fails when a cell is covered by another cell, a caption or the border."""
    n, cell = 7, 16
    bytes_, counts = np.unique(
        np.round(make(n, cell) * 255).astype(int).reshape(-1, 3)[:, 0], return_counts=True
    )
    seen = dict(zip(bytes_.tolist(), counts.tolist(), strict=True))
    for k in range(1, 3 * n + 1):
        assert seen.get(round(255 * k / (3 * n + 2)), 0) >= cell * cell


@pytest.mark.parametrize("n", [1, 4, 16, 64])
def test_grid_is_near_a_square(n):
    """Fails when 64 photos become a strip nobody can look at."""
    height, width, _ = make(n, cell=128).shape
    assert n == 1 or 0.5 < width / height < 2


def test_blocks_share_the_rows():
    """12 rows become a block of 11 and one of 1, which leaves half of the picture empty."""
    assert (
        make(12, cell=128, columns=6).shape[0]
        == 6 * (128 + plots.MARGIN + plots.LINE) + plots.LINE + 2 * plots.MARGIN
    )


def test_small_images_are_enlarged_by_repetition_and_large_ones_averaged():
    small = np.kron(np.eye(2, dtype=np.float32), np.ones((1, 1)))[..., None].repeat(3, -1)
    large = np.indices((64, 64)).sum(0)[..., None].repeat(3, -1) % 2
    picture = plots.grid(
        [[small, large.astype(np.float32)]], columns=["s", "l"], captions=[""], cell=32
    )
    top, left = plots.MARGIN + plots.LINE, plots.MARGIN
    np.testing.assert_array_equal(
        picture[top : top + 32, left : left + 32, 0], np.kron(np.eye(2), np.ones((16, 16)))
    )
    np.testing.assert_allclose(
        picture[top : top + 32, left + 32 + plots.MARGIN : left + 64 + plots.MARGIN],
        128 / 255,
        atol=1e-6,
    )


def test_empty_cells_and_long_captions_fit():
    picture = plots.grid(
        [[flat(0.5), None]], columns=["input", "reference"], captions=["x" * 500], cell=24
    )
    assert picture.dtype == np.float32
    assert picture[-1].min() == 1  # nothing reaches the edge
    assert picture[:, -1].min() == 1


@pytest.mark.parametrize(
    ("rows", "captions"),
    [([], []), ([[flat(0)]], ["a"]), ([[flat(0), flat(0)]], [])],
    ids=["none", "short row", "no caption"],
)
def test_grid_that_does_not_match_is_refused(rows, captions):
    with pytest.raises(ValueError, match="expected rows of 2 images"):
        plots.grid(rows, columns=["a", "b"], captions=captions, cell=8)
