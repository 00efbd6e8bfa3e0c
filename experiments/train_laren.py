"""Trains a learned restorer, LAREN or GLEAN, around a frozen prior on your own photos; afterwards a
photo takes one pass.

    # the bundled prior, 8x
    python experiments/train_laren.py --data=train.tar --val_data=val.tar --out=runs/laren
    python experiments/train_laren.py --network=glean --prior=runs/mine/prior --data=photos
    python experiments/train_laren.py --smoke  # a random toy prior, a few steps

Photos are degraded as they are read (--operator, then rounding to 8 bits). OUT gets checkpoints/,
model/ (what --method=laren takes as --model), samples.png (photos, what the network sees of them,
what it makes) and curve.csv with scores of all --val_data. A killed run continues with the same
command and ends with the same model.

The networks of LAREN's Table IV are --network=base, base_w_plus, base_styles, gdm_vanilla, gdm,
cgm_vanilla and laren.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
from restoration.fitting import OperatorChoice

from jaxsr import data, flags, learned, loading, operators, priors, resample
from jaxsr.learned import TOY_SIZES
from jaxsr.loading import toy_prior
from jaxsr.metrics import perceptual
from jaxsr.operators import OPERATORS
from jaxsr.records import report
from jaxsr.training import laren, laren_loop, loop
from jaxsr.types import Params

FACTOR = 8  # where none is asked for


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to train and for what.

    Attributes:
        data: Photos to train on: a folder (searched deeply), a .tar, or "tfds:NAME@SPLIT".
        val_data: Photos to judge the network by, given as --data; some of --data if it is missing,
            which then are not trained on.
        val_photos: How many photos to judge it by, evenly spaced.
        prior: A bundled prior's name, or a folder. Default: the best bundled one; with --smoke a
            random toy.
        network: laren, glean, or a variant of LAREN's Table IV.
        operator: What the photos will lack: {operators}.
        factor: Enlargement, for downsample. Default: 8.
        kernel: How photos are made small.
        precision: What convolutions compute in on an accelerator: float32, tf32 or bfloat16, the
            faster the coarser.
        perceptual: Network of the perceptual term. Default: vgg where its weights are on this
            machine, else features (bundled).
        out: Folder for everything. Default: runs/laren, runs/laren_smoke.
        smoke: A few steps on generated pictures, to see that everything runs.
    """

    data: str | None = None
    val_data: str | None = None
    val_photos: int = 200
    prior: str | None = None
    network: str = "laren"
    operator: str = "downsample"
    factor: int | None = None
    kernel: resample.Kernel = "bicubic"
    precision: flags.Precision = "float32"
    perceptual: Literal["vgg", "features"] | None = None
    out: str | None = None
    smoke: bool = False


SETTINGS = flags.define(Settings(), tables={"operators": OPERATORS})
SIZES = flags.define(learned.Sizes())
CONFIG = flags.define(laren.Config())
RUN = flags.define(loop.Run(tick_images=4_000))


def main() -> None:
    flags.cache_compilations()
    settings, sizes, config, run = SETTINGS(), SIZES(), CONFIG(), RUN()
    check(settings)
    out = Path(settings.out or ("runs/laren_smoke" if settings.smoke else "runs/laren"))
    report.check_writable(out)
    if settings.smoke:
        settings = dataclasses.replace(
            settings,
            prior=settings.prior or str(toy_prior(out / "toy")),
            factor=2,
            val_photos=4,
        )
        sizes = dataclasses.replace(TOY_SIZES, literal=sizes.literal)
        config, run = (
            dataclasses.replace(config, batch=4, warmup_images=8),
            dataclasses.replace(run, total_images=16, tick_images=8),
        )
    prior, params = loading.load_prior(
        settings.prior or loading.default_source(), dtype=flags.compute_in(settings.precision)
    )
    bound, network = bind(settings, prior, params, sizes)
    sets = photos(settings, prior.info.resolution, out)
    size = prior.info.resolution
    print(
        f"{len(sets[0]):,} photos to train on and {len(sets[1]):,} to judge by at {size} px; "
        f"perceptual term: {bound.network}"
    )
    about = {
        "name": settings.network,
        "domain": prior.info.domain,
        "licence": prior.info.licence,
        "perceptual": bound.network,
    }
    model = laren_loop.fit(bound, config, run, params | network, sets, out, about=about)
    print(f"model: {model}")


def check(settings: Settings) -> None:
    """Raises ValueError for a name or a number that makes no sense, before any long work."""
    flags.choose(settings.network, (*learned.VARIANTS, "glean"), "network")
    OperatorChoice(settings.operator, settings.factor, settings.kernel).check()
    flags.require(settings, {"factor": 1, "val_photos": 1}, ("data", "val_data", "prior", "out"))
    if settings.data is None and not settings.smoke:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME@SPLIT"
        )


def bind(
    settings: Settings, prior: priors.Prior, params: Params, sizes: learned.Sizes
) -> tuple[laren.Bound, Params]:
    """What is trained, and {"perceptual": ...}. Raises ValueError where the prior lacks what the
    network needs, or weights are missing."""
    operator = operators.make(
        settings.operator,
        prior.info.resolution,
        factor=settings.factor or FACTOR,
        kernel=settings.kernel,
    )
    net = learned.sized(
        settings.network,
        prior,
        params,
        operator,
        sizes,
        flags.compute_in(settings.precision) or "float32",
    )
    network, weights = _perceptual_weights(settings, prior.info.resolution)
    return laren.Bound(learned.bind(net, prior, operator), prior, operator, network), weights


def _perceptual_weights(settings: Settings, side: int) -> tuple[str, Params]:
    if settings.perceptual is not None:
        try:
            return settings.perceptual, perceptual.load(settings.perceptual)
        except ValueError as error:
            raise ValueError(str(error).replace("--network=", "--perceptual=")) from error
    try:
        perceptual.check_side("laren", "vgg", side)
        return "vgg", perceptual.load("vgg")
    except ValueError:
        return "features", perceptual.load("features")


def photos(settings: Settings, side: int, out: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, side, side, 3] to train on, and to judge by: of --val_data, or held back from
    --data."""
    if settings.smoke and settings.data is None:
        made = np.random.default_rng(0).integers(0, 256, (36, side, side, 3), np.uint8)
        return made[4:], made[:4]
    everything = data.prepare(str(settings.data), side, out / "cache")
    if settings.val_data is not None:
        held = data.prepare(settings.val_data, side, out / "val_cache")
        return everything, held[_spaced(len(held), settings.val_photos)]
    if len(everything) < settings.val_photos + 2:
        raise ValueError(
            f"expected more than {settings.val_photos + 1} photos where no --val_data is "
            f"given, got {len(everything)}"
        )
    held = _spaced(len(everything), settings.val_photos)
    return np.delete(everything, held, 0), everything[held]


def _spaced(photos: int, count: int) -> np.ndarray:
    """Indices of at most `count` photos, evenly spaced: folders are often sorted by content."""
    return np.linspace(0, photos - 1, min(count, photos)).round().astype(int)


if __name__ == "__main__":
    flags.one_device_a_core(alike=False)
    flags.run(main)
