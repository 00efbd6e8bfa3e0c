"""A data set of TensorFlow Datasets as photos: their names and their bytes. TensorFlow is never
imported."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


def open_tfds(source: str) -> tuple[list[str], Callable[[int], bytes]]:
    """The names of the photos of "tfds:NAME" or "tfds:NAME@SPLIT", and what gives the bytes of one
    as the data set keeps them, so that they are decoded as those of files are.

    Raises:
        ValueError: it is not prepared, or has not one feature of images.
    """
    import tensorflow_datasets as tfds

    name, _, split = source.removeprefix("tfds:").partition("@")
    split = split or "train"
    with _one_line(source, name, split):
        builder: Any = (
            tfds.builder_from_directory(name) if Path(name).is_dir() else tfds.builder(name)
        )
    key = image_feature(source, builder.info.features or {})
    with _one_line(source, name, split):
        if not builder.info.splits:
            raise ValueError(f"nothing in {builder.data_dir}")
        # Of parquet, the other format that needs no TensorFlow, TFDS ignores slices of a split and
        # loses records.
        rows: Any = builder.as_data_source(
            split=split, decoders={key: tfds.decode.SkipDecoding()}, file_format="array_record"
        )
    names = [f"{name}@{split}:{i}" for i in range(len(rows))]
    return names, lambda i: rows[i][key]


@contextlib.contextmanager
def _one_line(source: str, name: str, split: str) -> Iterator[None]:
    """TFDS raises many types of error, most with pages of text: a ValueError of one line in their
    place, which says what to do."""
    try:
        yield
    except Exception as error:
        got = str(error).partition("\n")[0].partition(" Possible root causes")[0]
        raise ValueError(
            f"{source}: expected a data set prepared as array_record with split {split!r}, "
            f"got: {got} "
            f"(to prepare one: tfds build {name} --file_format=array_record)"
        ) from error


def image_feature(source: str, features: Any) -> str:
    """The key of the images: the only feature of 8 or 16-bit images, or of several the one called
    "image"."""
    import tensorflow_datasets as tfds

    kinds = {key: type(feature).__name__ for key, feature in features.items()}
    found = [
        key
        for key, feature in features.items()
        if isinstance(feature, tfds.features.Image)
        and kinds[key] != "LabeledImage"
        and feature.np_dtype in (np.uint8, np.uint16)
    ]
    if len(found) == 1:
        return found[0]
    if "image" in found:
        return "image"
    raise ValueError(
        f'{source}: expected one feature of 8 or 16-bit images, or one called "image", got {kinds}'
    )
