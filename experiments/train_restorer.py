"""Trains a learned restorer on your own photos, most of them around a frozen prior; afterwards a
photo takes one pass.

    # LAREN for the bundled prior, 8x
    python experiments/train_restorer.py --data=train.tar --val_data=val.tar --out=runs/laren
    python experiments/train_restorer.py --network=glean --prior=runs/mine/prior --data=photos
    # ESRGAN: first RRDB, then against a discriminator
    python experiments/train_restorer.py --network=rrdb --data=photos --out=runs/rrdb
    python experiments/train_restorer.py --network=esrgan --data=photos \\
        --init_from=runs/rrdb/model
    # FSRNet-style with pseudo-parsing, and without, beside it
    python experiments/train_restorer.py --network=fsrnet_style --data=photos --width=32 \\
        --parsing_width=32 --coarse_blocks=2 --encoder_blocks=4 --hourglasses=1 --levels=2
    python experiments/train_restorer.py --network=fsrnet_style ... --parsing_weight=0
    python experiments/train_restorer.py --smoke  # a random toy prior, a few steps

Photos are degraded as they are read (--operator, then rounding to 8 bits). OUT gets checkpoints/,
model/ (what --method takes as --model), samples.png (photos, what the network sees of them, what it
makes) and curve.csv with scores of all --val_data. A killed run continues with the same command and
ends with the same model.

The objective is the sum of a pixel term, a perceptual and an adversarial one. Defaults of --batch
and of all that is about the objective are LAREN's; --network tells what others have instead.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from restoration.fitting import OperatorChoice

from jaxsr import data, flags, images, learned, loading, operators, priors, resample, weights
from jaxsr.learned import RESTORERS, TOY_SIZES
from jaxsr.loading import toy_prior
from jaxsr.metrics import perceptual
from jaxsr.operators import OPERATORS
from jaxsr.records import report
from jaxsr.training import loop, restorer_discriminators, restorer_loop, restorer_losses
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_losses import Bound
from jaxsr.types import Params

FACTOR = 8  # where none is asked for


@dataclasses.dataclass(frozen=True)
class Settings(images.Reading):
    """What to train and for what.

    Attributes:
        data: Photos to train on: a folder (searched deeply), a .tar, or "tfds:NAME@SPLIT".
        val_data: Photos to judge the network by, given as --data; some of --data if it is missing,
            which then are not trained on.
        val_photos: How many photos to judge it by, evenly spaced.
        prior: A bundled prior's name, or a folder. Default: the best bundled one; with --smoke a
            random toy.
        network: What to train, and its defaults: {networks}
        init_from: Folder of a trained model of the same kind to go on from, whose sizes are taken;
            esrgan needs that of an rrdb.
        discriminator_from: Folder of a converted discriminator of Real-ESRGAN (ports/convert.py)
            that --discriminator=unet begins as.
        operator: What the photos will lack: {operators}.
        factor: Enlargement, for downsample. Default: 8.
        kernel: How photos are made small.
        precision: What convolutions compute in on an accelerator: float32, tf32 or bfloat16, the
            faster the coarser.
        perceptual: Network of the perceptual term. Default: vgg where its weights are on this
            machine, else features (bundled).
        out: Folder for everything. Default: runs/NETWORK, runs/NETWORK_smoke.
        smoke: A few steps on generated pictures, to see that everything runs.
    """

    data: str | None = None
    val_data: str | None = None
    val_photos: int = 200
    prior: str | None = None
    network: str = "laren"
    init_from: str | None = None
    discriminator_from: str | None = None
    operator: str = "downsample"
    factor: int | None = None
    kernel: resample.Kernel = "bicubic"
    precision: flags.Precision = "float32"
    perceptual: Literal["vgg", "features"] | None = None
    out: str | None = None
    smoke: bool = False


def _told(training: Mapping[str, Any]) -> str:
    """Settings as the command line gives them."""
    return " ".join(f"--{name}={value}" for name, value in training.items())


NETWORKS = {name: f"{row.summary} {_told(row.training)}".strip() for name, row in RESTORERS.items()}
SETTINGS = flags.define(Settings(), tables={"operators": OPERATORS, "networks": NETWORKS})
SIZES = flags.define(learned.Sizes())
CONFIG = flags.define(Config())
RUN = flags.define(loop.Run(tick_images=4_000))


def main() -> None:
    flags.cache_compilations()
    settings, sizes, run = SETTINGS(), SIZES(), RUN()
    check(settings)
    config = config_of(settings.network, CONFIG())
    out = Path(settings.out or f"runs/{settings.network}{'_smoke' * settings.smoke}")
    report.check_writable(out)
    if settings.smoke:
        settings, sizes, config, run = smoked(settings, sizes, config, run, out)
    prior, params = loading.load_prior(
        settings.prior or loading.default_source(), dtype=flags.compute_in(settings.precision)
    )
    size = prior.info.resolution
    bound, params = bind(settings, prior, params, sizes)
    restorer_losses.check_terms(bound.model, config)
    if settings.discriminator_from is not None:
        params |= restorer_discriminators.load(settings.discriminator_from, config)
    sets = photos(settings, size, out)
    bound = fitted(settings.network, bound, sets[0])
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
    model = restorer_loop.fit(bound, config, run, params, sets, out, about=about)
    print(f"model: {model}")


def check(settings: Settings) -> None:
    """Raises ValueError for a name or a number that makes no sense, before any long work."""
    row = RESTORERS[flags.choose(settings.network, RESTORERS, "network")]
    OperatorChoice(settings.operator, settings.factor, settings.kernel).check()
    paths = ("data", "val_data", "prior", "init_from", "discriminator_from", "out")
    flags.require(settings, {"factor": 1, "val_photos": 1}, paths)
    if settings.data is None and not settings.smoke:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME@SPLIT"
        )
    if row.begins_from and settings.init_from is None and not settings.smoke:
        raise ValueError(
            f"--network={settings.network} goes on from a trained {row.begins_from}: give its "
            "folder as --init_from"
        )
    sizes = flags.given(field.name for field in dataclasses.fields(learned.Sizes))
    if sizes and settings.init_from is not None:
        raise ValueError(
            f"--{sizes[0]} is that of the model in --init_from={settings.init_from}: leave it out"
        )


def config_of(network: str, asked: Config) -> Config:
    """What is asked for on the command line; all else as the network has it."""
    named = flags.given(field.name for field in dataclasses.fields(Config))
    training = RESTORERS[network].training
    return dataclasses.replace(
        asked, **{name: value for name, value in training.items() if name not in named}
    )


def smoked(
    settings: Settings, sizes: learned.Sizes, config: Config, run: loop.Run, out: Path
) -> tuple[Settings, learned.Sizes, Config, loop.Run]:
    """The same for a few steps around a toy prior."""
    prior = settings.prior or str(toy_prior(out / "toy"))
    return (
        dataclasses.replace(settings, prior=prior, factor=2, val_photos=4),
        dataclasses.replace(TOY_SIZES, literal=sizes.literal),
        dataclasses.replace(config, batch=4, warmup_images=min(config.warmup_images, 8)),
        dataclasses.replace(run, total_images=16, tick_images=8),
    )


def bind(
    settings: Settings, prior: priors.Prior, params: Params, sizes: learned.Sizes
) -> tuple[Bound, Params]:
    """What is trained, and the prior's params with "perceptual", and with "learned" where it goes
    on from a model. Raises ValueError where the prior lacks what the network needs, or weights are
    missing."""
    operator = operators.make(
        settings.operator,
        prior.info.resolution,
        factor=settings.factor or FACTOR,
        kernel=settings.kernel,
    )
    dtype = flags.compute_in(settings.precision) or "float32"
    net = learned.sized(settings.network, prior, params, operator, sizes, dtype)
    start = {}
    if settings.init_from is not None:
        first = RESTORERS[settings.network].begins_from or settings.network
        folder = learned.find(RESTORERS[first].method, prior, operator, settings.init_from)
        net, start = learned.read_net(folder), {"learned": weights.load(folder)[0]}
    model = learned.bind(net, prior, operator)
    if start:
        learned.check_shapes(str(settings.init_from), model, params, start["learned"])
    network, perceiving = _perceptual_weights(settings, prior.info.resolution)
    return Bound(model, prior, operator, network), params | perceiving | start


def fitted(network: str, bound: Bound, photos: np.ndarray) -> Bound:
    """The same with what of the network comes from the photos that it is trained on."""
    net = learned.fitted(network, bound.model.net, photos)
    return bound._replace(model=learned.bind(net, bound.prior, bound.operator))


def _perceptual_weights(settings: Settings, side: int) -> tuple[str, Params]:
    if settings.perceptual is not None:
        try:
            return settings.perceptual, perceptual.load(settings.perceptual)
        except ValueError as error:
            raise ValueError(str(error).replace("--network=", "--perceptual=")) from error
    try:
        perceptual.check_side(settings.network, "vgg", side)
        return "vgg", perceptual.load("vgg")
    except ValueError:
        return "features", perceptual.load("features")


def photos(settings: Settings, side: int, out: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, side, side, 3] to train on, and to judge by: of --val_data, or held back from
    --data."""
    if settings.smoke and settings.data is None:
        made = np.random.default_rng(0).integers(0, 256, (36, side, side, 3), np.uint8)
        return made[4:], made[:4]
    everything = data.prepare(str(settings.data), side, out / "cache", settings)
    if settings.val_data is not None:
        held = data.prepare(settings.val_data, side, out / "val_cache", settings)
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
