"""data: every source of photos gives the same images, in any number of threads and processes; the
order is a resumable permutation."""

import io
import itertools
import os
import subprocess
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
    """Three photos: square, wide (its centre square counts) and grey; and one that cannot be
    read."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "photos" / "a.png")
    Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8)).save(tmp_path / "photos" / "b.png")
    Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(
        tmp_path / "photos" / "deep" / "c.png"
    )
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
    assert said[0].startswith(
        f"{folder}: 2 of 5 photos could not be read and are left out, the first: "
        f"{folder}/broken.png: expected"
    )


def test_photos_are_read_as_the_restoration_reads_them(tmp_path):
    """16 bit and alpha: a prior must be trained on the same pixels that it is later asked for.
    Breaks when 16 bit is clipped to white or when what lies under transparency is seen."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    Image.fromarray(rng.integers(0, 65536, (8, 8), np.uint16)).save(
        tmp_path / "photos" / "deep.png"
    )
    Image.fromarray(rng.integers(0, 256, (8, 8, 4), np.uint8), "RGBA").save(
        tmp_path / "photos" / "glass.png"
    )
    stack = data.prepare(str(tmp_path / "photos"), 8, tmp_path / "cache")
    for photo, name in zip(stack, ("deep", "glass"), strict=True):
        np.testing.assert_array_equal(
            photo, images.to_uint8(images.read(tmp_path / "photos" / f"{name}.png"))
        )


def test_failed_write_leaves_nothing_behind(folder, tmp_path):
    """A full disk or Ctrl-C while photos are brought together must not leave gigabytes, nor half a
    cache that looks whole."""

    def stop(_):
        raise KeyboardInterrupt

    (folder / "broken.png").write_bytes(b"")
    with pytest.raises(KeyboardInterrupt):
        data.prepare(str(folder), 8, tmp_path / "cache", warn=stop)
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.fixture
def many(tmp_path):
    """Thirty photos of different sizes, the eighth and the twentieth damaged."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(30):
        Image.fromarray(
            np.random.default_rng(i).integers(0, 256, (8 + i, 40 - i, 3), np.uint8)
        ).save(folder / f"{i:02}.png")
    for i in (7, 19):
        (folder / f"{i:02}.png").write_bytes((folder / f"{i:02}.png").read_bytes()[:100])
    return folder


def test_photos_are_what_images_reads(folder):
    """A sequence: length, names, photos by index, and an end."""
    photos = data.open_photos(str(folder))
    assert list(photos.names) == ["a.png", "b.png", "deep/c.png"]
    assert len(photos) == 3
    for name, photo in zip(photos.names, photos, strict=True):
        np.testing.assert_array_equal(photo, images.read(folder / name))
        assert photo.dtype == np.float32
    for index in (3, -1):
        with pytest.raises(
            IndexError, match=f"^{folder}: expected a photo from 0 to 2, got {index}$"
        ):
            photos[index]


@pytest.mark.parametrize("threads", [1, 2, 7, None])
def test_stream_is_in_order_whatever_the_threads(many, threads):
    """A damaged photo gives its error, which names it, and the others go on. Breaks when results
    come as they are ready."""
    photos = data.open_photos(str(many))
    streamed = list(data.stream(photos, range(30), threads=threads))
    assert [name for name, _ in streamed] == [f"{i:02}.png" for i in range(30)]
    for i, (_, photo) in enumerate(streamed):
        if i in (7, 19):
            assert isinstance(photo, images.ImageError) and f"{i:02}.png" in str(photo)
        else:
            np.testing.assert_array_equal(photo, photos[i])


def test_stream_takes_any_indices(many):
    """Also shuffled, repeated, or none."""
    photos = data.open_photos(str(many))
    assert [name for name, _ in data.stream(photos, [5, 2, 5])] == ["05.png", "02.png", "05.png"]
    assert [name for name, _ in data.stream(photos, np.array([29, 0]))] == ["29.png", "00.png"]
    assert list(data.stream(photos, [])) == []


@pytest.mark.parametrize("count", [1, 3, 4, 40])
def test_processes_share_the_photos(many, count):
    """Each photo in one process and only one, and as many in each as can be."""
    photos = data.open_photos(str(many))
    shares = [
        [name for name, _ in data.stream(photos, range(30), process=(index, count), threads=1)]
        for index in range(count)
    ]
    assert sorted(itertools.chain(*shares)) == list(photos.names)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def counting(count, seen):
    def load(index):
        seen.append(index)
        return np.zeros((1, 1, 3), np.float32)

    names = [str(i) for i in range(count)]
    return data.Photos("photos", names, names, load)


def test_stream_looks_ahead_a_little():
    """A slow reader must not have all photos in memory, and one that stops must not have them
    read."""
    seen = []
    reader = data.stream(counting(1000, seen), range(1000), threads=3)
    for _ in range(10):
        next(reader)
    assert 10 <= len(seen) <= 10 + 2 * 3
    del reader
    assert len(seen) <= 10 + 2 * 3


def test_stream_refuses_at_once():
    """Not after an hour, at the first photo that is not there."""
    photos = counting(5, [])
    with pytest.raises(IndexError, match="expected a photo from 0 to 4, got 5"):
        data.stream(photos, range(6))
    for process, threads in (((2, 2), 1), ((-1, 2), 1), ((0, 0), 1), ((0, 1), 0)):
        with pytest.raises(ValueError, match=r"expected a process \(index, count\)"):
            data.stream(photos, range(5), process=process, threads=threads)


def test_prepared_photos_are_the_streamed_ones(folder, tmp_path):
    """One way to open and decode: the cache holds the centre squares of what is streamed."""
    stack = data.prepare(str(folder), 8, tmp_path / "cache")
    streamed = [photo for _, photo in data.stream(data.open_photos(str(folder)), range(3))]
    for row, photo in zip(stack, streamed, strict=True):
        np.testing.assert_array_equal(
            row, images.to_uint8(images.resize_area(images.square(photo, mode="crop")[0], 8))
        )


def test_link_to_nowhere_does_not_stop_the_others(folder):
    (folder / "aa.png").symlink_to("gone.png")
    _, link, *others = data.stream(data.open_photos(str(folder)), range(4))
    assert link[0] == "aa.png" and "no such file" in str(link[1])
    assert all(isinstance(photo, np.ndarray) for _, photo in others)


def test_compressed_or_cut_tar_is_one_line(folder, tmp_path):
    """A compressed tar would give garbage: its photos are read where the uncompressed ones lie."""
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(folder, arcname=".")
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "photos.tar").read_bytes()[:3500])
    for name in ("photos.tar.gz", "cut.tar"):
        with pytest.raises(
            ValueError,
            match=(
                r"expected a whole, uncompressed \.tar of photos, got one that is compressed or "
                r"cut: .*$"
            ),
        ):
            data.open_photos(str(tmp_path / name))


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
        data._image_feature("x", {"id": text, "photo": image, "mask": label, "depth": depth})
        == "photo"
    )
    assert data._image_feature("x", {"left": image, "image": image}) == "image"
    for features in ({"left": image, "right": image}, {"id": text}, {"depth": depth}, {}):
        with pytest.raises(
            ValueError, match="x: expected one feature of 8 or 16-bit images"
        ) as error:
            data._image_feature("x", features)
        assert all(f"'{key}'" in str(error.value) for key in features)


def test_no_source_or_no_photo_is_one_line(tmp_path):
    (tmp_path / "text.tar").write_text("no archive")
    (tmp_path / "empty").mkdir()
    for source, got in (
        (tmp_path / "nowhere", "nothing there"),
        (tmp_path / "text.tar", "not one"),
        (tmp_path / "empty", "expected photos, got none"),
    ):
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
