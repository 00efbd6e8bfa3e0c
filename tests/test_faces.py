"""FFHQ's square around a face, its map to the prior's pixels, and results drawn back into the
photo."""

import numpy as np
import pytest
from faces_table import ASTRONAUT, MEAN, astronaut, moved, official_quad, sixty_eight
from PIL import Image

from jaxsr import faces
from jaxsr.faces import Face, pasting
from jaxsr.faces.cutting import canvas_side

POINTS = {"astronaut": ASTRONAUT, "mean": MEAN, "turned": moved(ASTRONAUT, 0.7, 1.3, (50, -9))}
MOVES = {
    "as it is": (0.0, 1.0, (0, 0)),
    "moved": (0.0, 1.0, (31.25, -4.5)),
    "turned": (2.1, 1.0, (0, 0)),
    "smaller": (0.0, 0.13, (0, 0)),
    "all": (-0.9, 3.7, (-20, 8)),
}


@pytest.mark.parametrize("name", POINTS)
def test_square_is_that_of_the_release(name):
    """A prior sees faces at another place or size than those that it was trained on."""
    many = sixty_eight(POINTS[name])
    for points in (many, POINTS[name]):
        np.testing.assert_allclose(Face(points).square.corners, official_quad(many), atol=1e-9)


def test_mean_face_of_ffhq_fills_its_picture():
    """On the mean template the rule gives nearly the picture itself (side 512)."""
    square = Face(MEAN).square
    np.testing.assert_allclose(square.side, 503.7, atol=0.1)
    np.testing.assert_allclose(square.centre, (256.1, 253.2), atol=0.1)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_the_aligned_picture_is_the_same_whatever_the_photo(move):
    """A photo that is turned, scaled or moved shows the prior another picture."""
    corners = np.array([[-0.5, -0.5], [63.5, -0.5], [10.0, 40.0]])
    there = faces.mapped(faces.similarity(Face(ASTRONAUT).square, 64), corners)
    square = Face(moved(ASTRONAUT, *move)).square
    again = faces.mapped(faces.similarity(square, 64), corners)
    np.testing.assert_allclose(again, moved(there, *move), atol=1e-8)
    back = faces.mapped(faces.inverse(faces.similarity(square, 64)), again)
    np.testing.assert_allclose(back, corners, atol=1e-8)


def test_alignment_is_pillows_crop():
    """Half a pixel is lost between the release's crop, by Pillow's quad of edges, and our map of
    centres."""
    photo, resolution = astronaut().mean(2), 96
    square = Face(moved(ASTRONAUT, 0.3, 1.0, (60, 20))).square
    crop = Image.fromarray(photo).transform(
        (resolution, resolution),
        Image.Transform.QUAD,
        tuple((square.corners + 0.5).ravel()),
        Image.Resampling.BILINEAR,
    )
    at = np.stack(np.meshgrid(np.arange(resolution), np.arange(resolution)), -1)
    x, y = faces.mapped(faces.similarity(square, resolution), at).reshape(-1, 2).T
    i, j = np.floor(y).astype(int), np.floor(x).astype(int)
    a, b = y - i, x - j
    seen = (1 - a) * ((1 - b) * photo[i, j] + b * photo[i, j + 1])
    seen += a * ((1 - b) * photo[i + 1, j] + b * photo[i + 1, j + 1])
    error = np.abs(seen.reshape(resolution, resolution) - np.asarray(crop))
    assert error.max() < 1e-4


def test_a_photo_turned_by_a_quarter_is_cut_alike():
    """Pixels are changed, lost or shifted when the part around a face is cut out."""
    photo = astronaut()
    turned = np.ascontiguousarray(np.rot90(photo))
    points = np.stack([ASTRONAUT[:, 1], 511 - ASTRONAUT[:, 0]], 1)
    at = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1)
    seen = []
    for image, face in ((photo, Face(ASTRONAUT)), (turned, Face(points))):
        part = faces.cut(image, face.square, 64)
        seen.append(pasting.sampled(part.pixels, faces.mapped(part.matrix, at)))
        left, top, right, bottom = part.box
        np.testing.assert_array_equal(
            part.pixels[part.seen > 0].reshape(bottom - top, right - left, 3),
            image[top:bottom, left:right],
        )
    np.testing.assert_allclose(*seen, atol=1e-5)


def test_a_face_at_the_border_is_not_measured_beyond_it():
    """Pixels beyond the photo are invented."""
    photo = astronaut()[90:]
    face = Face(ASTRONAUT - [0, 90])
    part = faces.cut(photo, face.square, 64)
    assert 0 < part.seen.mean() < 1
    assert not part.pixels[part.seen == 0].any()
    assert part.pixels.shape[0] == canvas_side(part.pixels.shape[0])


def test_covered_share():
    """A face of which half lies outside passes for a whole one."""
    square = faces.Square(np.array([9.5, 9.5]), np.array([10.0, 0.0]))
    assert faces.covered(square, 20, 20) == pytest.approx(1)
    assert faces.covered(square, 10, 20) == pytest.approx(0.5)
    assert faces.covered(square, 10, 10) == pytest.approx(0.25)
    diamond = faces.Square(np.array([-0.5, 9.5]), np.array([7.0, 7.0]))
    assert faces.covered(diamond, 40, 40) == pytest.approx(0.5 - 8 / 392, abs=1e-6)
    assert faces.covered(square._replace(centre=np.array([90.0, 9])), 20, 20) == 0


# Paste-back


def cubic(t):
    t = abs(t)
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    return near if t < 1 else (-0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0)


def slow_sample(result, u, v):
    n, seen = len(result), np.zeros(3)
    for i in range(int(np.floor(v)) - 1, int(np.floor(v)) + 3):
        for j in range(int(np.floor(u)) - 1, int(np.floor(u)) + 3):
            value = result[min(max(i, 0), n - 1), min(max(j, 0), n - 1)]
            seen += cubic(v - i) * cubic(u - j) * value
    return seen


def slow_paste(photo, scale, square, result):
    """`pasting.paste` in float64, pixel by pixel."""
    made, n = np.array(photo, np.float64), len(result)
    x, y = square.across, square.down
    points = max(1, int(np.ceil(n / (scale * square.side) - 1e-6)))
    fine = (np.arange(points) + 0.5) / points - 0.5

    def prior_pixel(px, py):
        p = (np.array([px, py]) - (scale - 1) / 2) / scale - square.centre
        return ((p @ x / (x @ x) + 1) * n / 2 - 0.5, (p @ y / (x @ x) + 1) * n / 2 - 0.5)

    for row, column in np.ndindex(photo.shape[:2]):
        u, v = prior_pixel(column, row)
        inside = min((u + 0.5) / n, 1 - (u + 0.5) / n, (v + 0.5) / n, 1 - (v + 0.5) / n)
        mask = 0.5 - 0.5 * np.cos(np.pi * min(1, inside / 0.08)) if inside > 0 else 0
        seen = [
            slow_sample(result, *prior_pixel(column + dx, row + dy))
            for dy in fine
            for dx in fine
            if mask
        ]
        if seen:
            made[row, column] += mask * (np.mean(seen, axis=0) - made[row, column])
    return made


PASTES = {
    "upright": (2, (10.2, 9.0), (7.0, 0.0), 16),
    "turned, enlarged": (3, (9.0, 8.0), (5.0, 2.5), 12),
    "larger than the photo's pixels": (1, (9.5, 9.0), (6.0, -3.0), 32),
    "over the border": (2, (3.0, 16.0), (4.0, 4.0), 16),
}


@pytest.mark.parametrize("case", PASTES.values(), ids=PASTES)
def test_paste_is_the_slow_reference(case):
    """A face lands beside its place, at another size, or shows a seam."""
    scale, centre, across, resolution = case
    square = faces.Square(np.array(centre), np.array(across))
    rng = np.random.default_rng(1)
    image, result = (rng.uniform(0, 1, (n, n, 3)).astype(np.float32) for n in (20, resolution))
    photo = pasting.enlarged(image, scale)
    made = photo.copy()
    faces.paste(made, scale, square, result)
    np.testing.assert_allclose(made, slow_paste(photo, scale, square, result), atol=2e-5)
    assert np.abs(made - photo).max() > 0.1


def test_a_result_of_the_photos_own_pixels_comes_back_as_it_is():
    """The geometry of enlarging and of pasting differ by part of a pixel."""
    rng = np.random.default_rng(2)
    result = rng.uniform(0, 1, (32, 32, 3)).astype(np.float32)
    square = faces.Square(np.array([9.5, 7.5]), np.array([4.0, 0.0]))
    photo = faces.paste_all(np.zeros((20, 20, 3), np.float32), 4, [(square, result)])
    place = (slice(16, 48), slice(24, 56))
    np.testing.assert_allclose(photo[place][4:-4, 4:-4], result[4:-4, 4:-4], atol=1e-5)
    photo[place] = 0
    assert not photo.any()


def test_nothing_changes_beside_the_square():
    """The photo around the face is touched."""
    photo = astronaut()
    square = Face(ASTRONAUT).square
    made = faces.paste_all(photo, 1, [(square, np.zeros((64, 64, 3), np.float32))])
    at = np.stack(np.meshgrid(np.arange(512), np.arange(512)), -1)
    inside = faces.mapped(faces.inverse(faces.similarity(square, 1)), at)
    beside = np.abs(inside).max(-1) > 0.5
    np.testing.assert_array_equal(made[beside], photo[beside])
    assert made[~beside].mean() < 0.3 * photo[~beside].mean()


def test_the_nearer_face_covers_the_farther():
    """Where two faces meet, the result is a mean of two persons, or depends on their order."""
    photo = np.zeros((40, 40, 3), np.float32)
    near = (faces.Square(np.array([22.0, 20]), np.array([14.0, 0])), np.full((8, 8, 3), 1.0))
    far = (faces.Square(np.array([8.0, 20]), np.array([6.0, 0])), np.full((8, 8, 3), 0.5))
    made = faces.paste_all(photo, 1, [near, far])
    np.testing.assert_array_equal(made, faces.paste_all(photo, 1, [far, near]))
    np.testing.assert_allclose(made[20, 12:30], 1, atol=1e-6)
    np.testing.assert_allclose(made[20, 5:8], 0.5, atol=1e-6)


def test_scale_holds_the_smallest_face_and_is_bounded(monkeypatch):
    """A restored face is thrown away by a photo that is too small for it, or memory runs out."""
    square = faces.Square(np.zeros(2), np.array([10.0, 0]))
    large = faces.Square(np.zeros(2), np.array([30.0, 0]))
    assert faces.scale_for([square], 64, (50, 50, 3)) == 4
    assert faces.scale_for([large], 60, (50, 50, 3)) == 1
    assert faces.scale_for([large, square], 60, (50, 50, 3)) == 3
    monkeypatch.setattr(pasting, "MOST", 10_000)
    assert faces.scale_for([square], 64, (50, 50, 3)) == 2
    assert faces.scale_for([square], 64, (500, 500, 3)) == 1


# Bad input

REFUSED = {
    "three points": (ASTRONAUT[:3], "expected 5 or 68 points"),
    "nan": (ASTRONAUT * np.nan, "finite"),
    "mirrored": (ASTRONAUT * [-1, 1], "mirrored face, or in another order"),
    "one place": (ASTRONAUT * 0, "another order"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_no_face_is_refused(case):
    """Points in another scheme's order give a square that holds no face."""
    points, told = case
    with pytest.raises(ValueError, match=told):
        Face(points)


def test_which_faces_are_chosen():
    """Another person is restored than the one that was asked for."""
    small, large = Face(0.2 * ASTRONAUT), Face(ASTRONAUT)
    found = [small, large]
    assert faces.chosen(found, "all", 512, 512) == [0, 1]
    assert faces.chosen(found, "largest", 512, 512) == [1]
    assert faces.chosen(found, "centre", 80, 60) == [0]
    assert faces.chosen(found, "1", 512, 512) == [1]
    for which, among, told in (
        ("2", found, "expected face 2, found 2"),
        ("all", [], "expected a face, found none"),
        ("left", found, "all, largest, centre or a number"),
    ):
        with pytest.raises(ValueError, match=told):
            faces.chosen(among, which, 512, 512)


def test_doubtful_faces_are_told():
    """A user believes the result of a face that is too small, turned away, or cut off."""
    turned = ASTRONAUT.copy()
    turned[2, 0] += 25
    narrow = ASTRONAUT * [0.4, 1]
    assert faces.remarks(Face(ASTRONAUT), 512, 512) == []
    assert "tiny" in faces.remarks(Face(0.1 * ASTRONAUT), 512, 512)[0]
    assert "profile" in faces.remarks(Face(turned), 512, 512)[0]
    assert "profile" in faces.remarks(Face(narrow), 512, 512)[0]
    assert "border (" in faces.remarks(Face(ASTRONAUT), 512, 150)[0]
    faces.check_usable(Face(ASTRONAUT), 512, 150, 256)
    for sides, told in (((512, 95, 256), "at least 50%"), ((512, 512, 128), "169 px")):
        with pytest.raises(ValueError, match=told):
            faces.check_usable(Face(ASTRONAUT), *sides)
    with pytest.raises(ValueError, match="points in the photo of 230x512 px"):
        faces.check_inside(Face(ASTRONAUT), 230, 512)
