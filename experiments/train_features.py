"""Trains the network that reads labels off photos, and in whose features `evaluate.py` measures
where no published network is at hand.

    python experiments/train_features.py --data=train.tar --labels=train.csv \\
        --val_data=val.tar --val_labels=val.csv --out=runs/features
    python experiments/train_features.py --smoke  # generated pictures, in seconds

A table of labels is a CSV with a column "file", the photo's name within the folder or archive, and
a column a label; an empty cell is unknown. The first column after "file" is the type that `type
agreement` compares. OUT gets checkpoints/, features/ (what `jaxsr.metrics.load_features` reads,
float16) and accuracies.json: for each label the share of --val_data read right, its mean over the
values, and the share of the commonest value. A killed run continues with the same command and ends
with the same network.

The bundled network: 13,098 photos, 12 epochs, 40 minutes on 2 CPU cores that had other work too;
the type is read right off 98 of 100 photos that it never saw.
"""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
from absl import flags as absl_flags
from tqdm import tqdm

from jaxsr import data, flags, images, weights
from jaxsr.nets import features as nets
from jaxsr.records import files
from jaxsr.training import features
from jaxsr.types import Params

DATA = absl_flags.DEFINE_string("data", None, "Photos to train on: a folder or a .tar.")
LABELS = absl_flags.DEFINE_string("labels", None, "Labels of --data: a CSV.")
VAL_DATA = absl_flags.DEFINE_string(
    "val_data", None, "Photos to judge the network on: a folder or a .tar."
)
VAL_LABELS = absl_flags.DEFINE_string("val_labels", None, "Labels of --val_data: a CSV.")
COLUMNS = absl_flags.DEFINE_list(
    "columns", None, 'Labels to read, the type first. Default: all columns of the table but "file".'
)
OUT = absl_flags.DEFINE_string(
    "out", None, "Folder for everything. Default: runs/features, runs/features_smoke."
)
NAME = absl_flags.DEFINE_string("name", "features", "Name of the network.")
RESOLUTION = absl_flags.DEFINE_integer(
    "resolution", 64, "Side of the images that the network sees."
)
WIDTHS = absl_flags.DEFINE_list(
    "widths", ["16", "32", "64", "128", "128"], "Channels of each stage."
)
SMOKE = absl_flags.DEFINE_bool(
    "smoke", False, "Generated pictures and a few steps, to see that everything runs."
)
CONFIG = flags.define(features.Config())
READING = flags.define(images.Reading())


def main() -> None:
    flags.cache_compilations()
    config, out = (
        CONFIG(),
        Path(OUT.value or ("runs/features_smoke" if SMOKE.value else "runs/features")),
    )
    if SMOKE.value:
        config = dataclasses.replace(config, batch=8, epochs=2)
        sets = [_generated(seed) for seed in (0, 1)]
        net = nets.Config(
            features.heads_of(sets[0][1], ["type", "size"]), resolution=16, widths=(4, 8)
        )
    else:
        if min(RESOLUTION.value, *map(int, WIDTHS.value)) < 1:
            raise ValueError(
                "--resolution and --widths must be at least 1, got "
                f"{RESOLUTION.value} and {','.join(WIDTHS.value)}"
            )
        sets = _read_sets()
        net = nets.Config(
            features.heads_of(sets[0][1], _columns(sets[0][1])),
            RESOLUTION.value,
            tuple(int(w) for w in WIDTHS.value),
        )
    (photos, rows), (val_photos, val_rows) = sets
    with files.only_here(out):
        network = nets.features(net)
        params = features.fit(network, config, photos, features.encode(rows, net.heads), out)
        params = _half(params)
        table = features.accuracies(
            network, params, val_photos / np.float32(255), features.encode(val_rows, net.heads)
        )
        _write(out, net, config, params, table, len(photos))
    for name, row in table.items():
        print(
            f"{name:<28} {row['accuracy']:.4f} right, {row['balanced']:.4f} balanced, "
            f"commonest value {row['commonest']:.4f}"
        )
    print(f"the network is in {out / 'features'}")


def _columns(rows: list[dict[str, str]]) -> list[str]:
    return COLUMNS.value or [name for name in rows[0] if name != "file"]


def _read_sets() -> list[tuple[np.ndarray, list[dict[str, str]]]]:
    given = [str(flag.value or "") for flag in (DATA, LABELS, VAL_DATA, VAL_LABELS)]
    missing = [
        f"--{flag.name}"
        for flag, value in zip((DATA, LABELS, VAL_DATA, VAL_LABELS), given, strict=True)
        if not value
    ]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} missing: expected photos and their labels, to train on and "
            "to judge on"
        )
    # Before minutes of reading photos.
    labels = data.read_labels(given[1])
    features.heads_of(labels, _columns(labels))
    return [read_labelled(*given[:2]), read_labelled(*given[2:])]


def _square(picture: images.Picture) -> tuple[np.ndarray, tuple[str, ...]]:
    """The centre square, uint8 [r, r, 3], and what is told of the photo. Raises ImageError for a
    smaller one."""
    square, _ = picture.square(mode="crop")
    return images.to_uint8(square.resize_area(RESOLUTION.value)), picture.remarks


def read_labelled(source: str, table: str) -> tuple[np.ndarray, list[dict[str, str]]]:
    """The photos uint8 [n, r, r, 3] that the table names and that can be read, and their rows.

    Raises:
        ValueError: no such table or photos, or no photo of the source is in the table.
    """
    rows = {row.get("file", ""): row for row in data.read_labels(table)}
    photos = data.open_photos(source, READING())
    known = [i for i, name in enumerate(photos.names) if name in rows]
    if not known:
        raise ValueError(
            f'{table}: expected a column "file" with names such as {photos.names[0]!r}, got '
            f"{next(iter(rows), 'no row')!r}"
        )
    found, told = [], {}
    seen = data.stream(photos, known, work=_square)
    for name, photo in tqdm(seen, total=len(known), desc=f"reading {source}", unit="photo"):
        if isinstance(photo, Exception):
            tqdm.write(f"left out: {name}: {str(photo).removeprefix(f'{name}: ')}")
        else:
            image, told[name] = photo
            found.append((image, rows[name]))
    for line in images.summary(told):
        print(f"{source}: {line}")
    if not found:
        raise ValueError(
            f"{source}: expected readable photos of at least {RESOLUTION.value} px a side, "
            f"got none of {len(known)}"
        )
    return np.stack([photo for photo, _ in found]), [row for _, row in found]


def _generated(seed: int) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Pictures whose labels can be seen: a red or blue disc, large or small."""
    rng = np.random.default_rng(seed)
    rows, photos = [], []
    y, x = np.mgrid[:16, :16] - 7.5
    for i in range(32):
        colour, size = ("red", "blue")[i % 2], ("small", "big")[i // 2 % 2]
        picture = np.full((16, 16, 3), 200) + rng.integers(-20, 20, (16, 16, 3))
        picture[np.hypot(x, y) < (6 if size == "big" else 3)] = (
            (200, 0, 0) if colour == "red" else (0, 0, 200)
        )
        photos.append(picture.astype(np.uint8))
        rows.append({"file": f"{i}.png", "type": colour, "size": size})
    return np.stack(photos), rows


def _half(params: Params) -> Params:
    """The parameters as they are stored: rounded to half precision, of which the accuracies are."""
    return jax.tree.map(lambda x: x.astype(np.float16).astype(np.float32), params)


def _write(
    out: Path, net: nets.Config, config: object, params: Params, table: dict, count: int
) -> None:
    record = {
        "architecture": "features",
        "name": NAME.value,
        "net": dataclasses.asdict(net),
        "trained_on": count,
    }
    record |= {"training": dataclasses.asdict(config), "accuracies": table}  # type: ignore[call-overload]
    weights.save(out / "features", jax.tree.map(lambda x: x.astype(np.float16), params), record)
    files.write_text(out / "accuracies.json", json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    flags.one_device_a_core(alike=False)
    flags.run(main)
