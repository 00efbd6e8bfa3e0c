"""data: TFDS data sets, read without TensorFlow, give the photos that a folder gives."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import dataset_metadata

from jaxsr import data, images
from jaxsr.tfds_source import image_feature


class Tiny(tfds.core.GeneratorBasedBuilder):
    """A TFDS data set of the pictures in a folder, written without TensorFlow."""

    VERSION = tfds.core.Version("1.0.0")
    FOLDER = Path()

    @classmethod
    def get_metadata(cls):
        return dataset_metadata.DatasetMetadata(description="tiny", citation="", tags=[])

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 3))
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"id": tfds.features.Text(), "picture": image})
        )

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        for i, path in enumerate(sorted(self.FOLDER.glob("*.png"))):
            yield i, {"id": path.name, "picture": str(path)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(folder of TFDS data sets, folder of the five photos that the one in it was made of)."""
    root = tmp_path_factory.mktemp("tiny")
    Tiny.FOLDER = root / "photos"
    Tiny.FOLDER.mkdir()
    for i in range(5):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 20, 3), np.uint8)).save(
            Tiny.FOLDER / f"{i}.png"
        )
    Tiny(data_dir=str(root / "tfds"), file_format="array_record").download_and_prepare()
    return root / "tfds", Tiny.FOLDER


def test_tfds_equals_folder(tiny, tmp_path):
    """The feature of images is found by its kind, and its pixels are those of the files."""
    source = f"tfds:{tiny[0] / 'tiny' / '1.0.0'}"
    from_tfds, from_folder = (
        data.prepare(name, 8, tmp_path / "cache") for name in (f"{source}@test", str(tiny[1]))
    )
    assert sorted(p.tobytes() for p in from_tfds) == sorted(p.tobytes() for p in from_folder)


def test_slice_of_a_split(tiny):
    photos = data.open_photos(f"tfds:{tiny[0] / 'tiny' / '1.0.0'}@test[:60%]")
    assert [name.rpartition("/")[2] for name in photos.names] == [
        f"1.0.0@test[:60%]:{i}" for i in range(3)
    ]
    assert photos[2].shape == (16, 20, 3)


def test_parquet_is_refused(tiny, tmp_path):
    """TFDS reads it without TensorFlow too, but ignores slices of a split and loses records of
    larger sets (200 became 100)."""
    Tiny.FOLDER = tiny[1]
    Tiny(data_dir=str(tmp_path), file_format="parquet").download_and_prepare()
    with pytest.raises(
        ValueError, match=r"got: Requested file format FileFormat[.]ARRAY_RECORD is not available"
    ):
        data.open_photos(f"tfds:{tmp_path / 'tiny' / '1.0.0'}@test")


def test_tfds_needs_no_tensorflow(tiny, tmp_path):
    """By name, in a process where there is no TensorFlow to import."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError")
    code = """
import sys
from jaxsr import data
photos = data.open_photos("tfds:tiny@test")
print([photo.shape for _, photo in data.stream(photos, range(5))], "tensorflow" in sys.modules)
"""
    environment = {**os.environ, "TFDS_DATA_DIR": str(tiny[0]), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == f"{[(16, 20, 3)] * 5} False", done.stderr


def test_damaged_record_leaves_the_others(tmp_path):
    """The fault of one record, which the format's checksum finds, is the error of one photo."""
    Tiny.FOLDER = tmp_path / "photos"
    Tiny.FOLDER.mkdir()
    for i in range(4):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 20, 3), np.uint8)).save(
            Tiny.FOLDER / f"{i}.png"
        )
    Tiny(data_dir=str(tmp_path / "tfds"), file_format="array_record").download_and_prepare()
    (file,) = (tmp_path / "tfds").rglob("*.array_record*")
    content = bytearray(file.read_bytes())
    second = content.find(b"IDAT", content.find(b"IDAT") + 4)
    content[second + 30] ^= 255
    file.write_bytes(content)
    _, damaged, *others = data.stream(
        data.open_photos(f"tfds:{tmp_path / 'tfds' / 'tiny' / '1.0.0'}@test"), range(4)
    )
    assert isinstance(damaged[1], images.ImageError)
    assert str(damaged[1]).startswith(f"{damaged[0]}: expected a readable photo, got an error: ")
    assert all(isinstance(photo, np.ndarray) for _, photo in others)


def test_tfds_that_cannot_be_read_is_one_line(tiny, tmp_path, monkeypatch):
    """No such name, no such split, nothing prepared: what is missing and how to make it, not pages
    of TFDS's."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for source, got in (
        ("tfds:no_such_set", "Dataset no_such_set not found"),
        (f"tfds:{tiny[0] / 'tiny' / '1.0.0'}@train", "Unknown split 'train'"),
        ("tfds:lsun/church_outdoor", "nothing in"),
        (f"tfds:{tmp_path}", "Could not read dataset info"),
    ):
        expected = (
            f"^{source}: expected a data set prepared as array_record with split 'train', got: "
            f"{got}[^\n]*tfds build [^\n]*$"
        )
        with pytest.raises(ValueError, match=expected):
            data.open_photos(source)


def test_image_feature_is_found_or_named():
    """By its kind; of several the one called "image". Label maps and float depths are no photos."""
    image, text, label = (
        tfds.features.Image(),
        tfds.features.Text(),
        tfds.features.LabeledImage(labels=3, shape=(None, None, 1)),
    )
    depth = tfds.features.Image(shape=(None, None, 1), dtype=np.float32)
    assert (
        image_feature("x", {"id": text, "photo": image, "mask": label, "depth": depth}) == "photo"
    )
    assert image_feature("x", {"left": image, "image": image}) == "image"
    for features in ({"left": image, "right": image}, {"id": text}, {"depth": depth}, {}):
        with pytest.raises(
            ValueError, match="x: expected one feature of 8 or 16-bit images"
        ) as error:
            image_feature("x", features)
        assert all(f"'{key}'" in str(error.value) for key in features)
