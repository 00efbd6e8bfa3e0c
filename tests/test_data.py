"""data: every source of photos gives the same array, and the order is a resumable permutation."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import dataset_metadata

from jaxsr import data, images


@pytest.fixture
def folder(tmp_path):
    """Three photos: square, wide (its centre square counts) and grey; and one that cannot be read."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "photos" / "a.png")
    Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8)).save(tmp_path / "photos" / "b.png")
    Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / "photos" / "deep" / "c.png")
    return tmp_path / "photos"


def blocks(photo, side):
    photo = photo.reshape(side, photo.shape[0] // side, side, -1, 3)
    return photo.astype(np.float64).mean((1, 3))


def test_folder_is_cut_and_averaged(folder, tmp_path):
    """Breaks when the crop is not the centre or the resize is not the area average."""
    stack = data.prepare(str(folder), 8, tmp_path / "cache")
    assert (stack.shape, stack.dtype) == ((3, 8, 8, 3), np.uint8)
    wide = np.asarray(Image.open(folder / "b.png"))[:, 4:20]
    assert np.abs(stack[1] - blocks(wide, 8)).max() <= 1
    grey = np.repeat(np.asarray(Image.open(folder / "deep" / "c.png"))[..., None], 3, -1)
    assert np.abs(stack[2] - blocks(grey, 8)).max() <= 1


def test_tar_equals_folder(folder, tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(folder, arcname=".")
    names = sorted(p for p in folder.rglob("*.png"))
    from_tar = data.prepare(str(tmp_path / "photos.tar"), 8, tmp_path / "cache")
    from_folder = data.prepare(str(folder), 8, tmp_path / "cache")
    assert len(from_tar) == len(names)
    assert {p.tobytes() for p in from_tar} == {p.tobytes() for p in from_folder}


def test_cache_is_read_the_second_time(folder, tmp_path, monkeypatch):
    """A second start must not decode 100,000 photos again."""
    first = data.prepare(str(folder), 8, tmp_path / "cache")
    monkeypatch.setattr(data, "_write", lambda *_: pytest.fail("decoded again"))
    np.testing.assert_array_equal(data.prepare(str(folder), 8, tmp_path / "cache"), first)


def test_bad_photos_are_left_out_and_said(folder, tmp_path):
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:60])
    Image.new("RGB", (4, 4)).save(folder / "small.png")
    said = []
    assert len(data.prepare(str(folder), 8, tmp_path / "cache", warn=said.append)) == 3
    assert said[0].startswith(f"{folder}: 2 of 5 photos could not be read and are left out, the first: {folder}/broken.png: expected")


def test_photos_are_read_as_the_restoration_reads_them(tmp_path):
    """16 bit and alpha: a prior must be trained on the same pixels that it is later asked for. Breaks when 16 bit is clipped to white or
    when what lies under transparency is seen."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    Image.fromarray(rng.integers(0, 65536, (8, 8), np.uint16)).save(tmp_path / "photos" / "deep.png")
    Image.fromarray(rng.integers(0, 256, (8, 8, 4), np.uint8), "RGBA").save(tmp_path / "photos" / "glass.png")
    stack = data.prepare(str(tmp_path / "photos"), 8, tmp_path / "cache")
    for photo, name in zip(stack, ("deep", "glass"), strict=True):
        np.testing.assert_array_equal(photo, images.to_uint8(images.read(tmp_path / "photos" / f"{name}.png")))


def test_failed_write_leaves_nothing_behind(folder, tmp_path):
    """A full disk or Ctrl-C while photos are brought together must not leave gigabytes, nor half a cache that looks whole."""

    def stop(_):
        raise KeyboardInterrupt

    (folder / "broken.png").write_bytes(b"")
    with pytest.raises(KeyboardInterrupt):
        data.prepare(str(folder), 8, tmp_path / "cache", warn=stop)
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]


class Tiny(tfds.core.GeneratorBasedBuilder):
    """A TFDS data set of the pictures in a folder, written without TensorFlow."""

    VERSION = tfds.core.Version("1.0.0")
    FOLDER = Path()

    @classmethod
    def get_metadata(cls):
        return dataset_metadata.DatasetMetadata(description="tiny", citation="", tags=[])

    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3))}))

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        for i, path in enumerate(sorted(self.FOLDER.glob("*.png"))):
            yield i, {"image": str(path)}


def test_tfds_equals_folder(tmp_path):
    """A data set by name is read through TFDS's data source, without TensorFlow."""
    Tiny.FOLDER = tmp_path / "photos"
    Tiny.FOLDER.mkdir()
    for i in range(3):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 20, 3), np.uint8)).save(Tiny.FOLDER / f"{i}.png")
    Tiny(data_dir=str(tmp_path / "tfds"), file_format="array_record").download_and_prepare()
    from_tfds = data.prepare(f"tfds:{tmp_path / 'tfds' / 'tiny' / '1.0.0'}@test", 8, tmp_path / "cache")
    from_folder = data.prepare(str(Tiny.FOLDER), 8, tmp_path / "cache")
    assert {p.tobytes() for p in from_tfds} == {p.tobytes() for p in from_folder}
    assert "tensorflow" not in sys.modules
    with pytest.raises(ValueError, match="expected a prepared data set"):
        data.prepare("tfds:no_such_set", 8, tmp_path / "cache")


def test_no_source_or_no_photo_is_one_line(tmp_path):
    (tmp_path / "text.tar").write_text("no archive")
    (tmp_path / "empty").mkdir()
    for source, got in ((tmp_path / "nowhere", "nothing there"), (tmp_path / "text.tar", "not one"), (tmp_path / "empty", "0 files")):
        with pytest.raises(ValueError, match=got):
            data.prepare(str(source), 8, tmp_path / "cache")


def test_exif_rotation_is_applied(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(buffer.getvalue())
    stack = data.prepare(str(tmp_path / "photos"), 8, tmp_path / "cache")
    np.testing.assert_array_equal(stack[0], pixels[::-1])


def test_order_visits_every_photo_once_an_epoch_and_starts_anywhere():
    """Resuming at step k must give the batches that an uninterrupted run would have seen."""
    order = data.Order(10, seed=3, batch=4)
    seen = [order.indices(step) for step in range(10)]
    for epoch in range(4):
        assert sorted(np.concatenate(seen)[10 * epoch : 10 * epoch + 10]) == list(range(10))
    np.testing.assert_array_equal(data.Order(10, seed=3, batch=4).indices(7), seen[7])
    assert not np.array_equal(np.concatenate(seen)[:10], np.concatenate(seen)[10:20])
