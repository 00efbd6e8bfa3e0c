"""data: every source of photos gives the same images, in any number of threads and processes; the
order is a resumable permutation."""

import io
import itertools
import tarfile

import numpy as np
import pytest
from PIL import Image

from jaxsr import data, images
from jaxsr.images.picture import Layout, Picture


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
        return Picture(np.zeros((1, 1, 3), np.uint8), Layout(3))

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
