"""How well the codes of LAREN's GDM stand for one attribute each, beside W, W+ and styles; how they
correlate; what its modules weigh.

    # tables II and III, figure 7
    python experiments/disentangle.py --model=runs/laren/model --data=photos.tar --out=disentangle
    # as many samples as the paper has
    python experiments/disentangle.py --tables=dci --samples=500000 --model=runs/laren/model
    python experiments/disentangle.py --smoke  # a random toy prior and model

1. dci. Samples of W are drawn without truncation; W+ has each in all layers, S the styles that
   follow, and G what the model (its encoder, then GDM) makes of their image's measurement, from
   which the generator draws G's image. A feature network reads log odds of every value of its
   labels off the images (--features: bundled, or your own from train_features.py). A factor is used
   where at least 5 % of every space's samples lie on each side and no factor before it says the
   same (|r| above 0.95); its 2 % of samples with the largest and with the smallest log odds train
   and test a classifier (StyleSpace, arXiv:2011.12799). Scores depend on network
   and regressor; needs `pip install ".[dci]"`.
2. correlations. Absolute correlations of the entries of z (the encoder's) and of g over photos
   (--data, or images of the prior).
3. sizes. Parameters of the modules for this prior, and at the paper's sizes.

OUT gets dci.md, correlations.md, correlations.png and sizes.md; rows.jsonl with a row for each
space and factor, log_odds_W.npy and log_odds_G.npy, so that the same command again goes on with
table 1. Entries of 9,216 numbers and 500,000 samples need some 6 GB. Scores by J, C and F (Figure
8) and of the ablations (tables III and IV) are `evaluate.py --suite=laren_figure8`, `laren_table3`
and `laren_table4`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from evaluation import codes, printed
from restoration.fitting import OperatorChoice

from jaxsr import (
    data,
    flags,
    images,
    learned,
    loading,
    metrics,
    operators,
    plots,
    resample,
    weights,
)
from jaxsr.learned import TOY_SIZES
from jaxsr.loading import toy_prior
from jaxsr.metrics import features
from jaxsr.nets import encoder, laren
from jaxsr.operators import OPERATORS
from jaxsr.records import files, report
from jaxsr.records.ledger import Ledger
from jaxsr.types import Params

FACTOR = 8  # where none is asked for
TABLES = ("dci", "correlations", "sizes")
# Samples at each end of a factor; codes that have a correlation.
LEAST_LABELLED, LEAST_PHOTOS = 8, 3
# Of a StyleGAN2 of 1,024 px.
PAPER = laren.Graph(512, 18, tuple((4 << (i + 1) // 2, 4 << (i + 1) // 2) for i in range(17)))
PARTS = {"encoder": ("encoder",), "GDM": ("gdm",), "CGM": ("cgm", "maps")}
PAPER_ENCODER = encoder.Config(16, (512, 512, 512), 512)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        model: Folder of a trained network with GDM (train_restorer.py). Default: the bundled one;
            with --smoke a random one.
        prior: A bundled prior's name, or a folder. Default: the best bundled one; with --smoke a
            random toy.
        tables: dci, correlations, sizes.
        operator: What the model was trained for: {operators}.
        factor: Enlargement, for downsample. Default: 8.
        kernel: How photos are made small.
        samples: Samples of each space in table dci.
        labelled: Share of the samples at each end of a factor that have a label.
        regressor: What tells the importance of entries: trees (gradient boosting, as the papers) or
            logistic (faster; not comparable).
        features: What labels the images: a bundled feature network's name, or a folder.
        data: Photos for the correlations: a folder, a .tar, or tfds:NAME@SPLIT. Default: images of
            the prior.
        num_photos: How many photos of --data, the first.
        batch_size: Images at once.
        out: Folder of the results. Default: disentangle, or disentangle_smoke.
        seed: Of samples and regressors.
        smoke: A few samples.
    """

    model: str | None = None
    prior: str | None = None
    tables: tuple[str, ...] = TABLES
    operator: str = "downsample"
    factor: int | None = None
    kernel: resample.Kernel = "bicubic"
    samples: int = 20_000
    labelled: float = 0.02
    regressor: Literal["trees", "logistic"] = "trees"
    features: str = features.DEFAULT
    data: str | None = None
    num_photos: int = 1000
    batch_size: int = 50
    out: str | None = None
    seed: int = 0
    smoke: bool = False


def check(settings: Settings) -> None:
    """Raises ValueError for a name or a number that makes no sense, before any long work."""
    for table in flags.names("tables", settings.tables):
        flags.choose(table, TABLES, "table")
    OperatorChoice(settings.operator, settings.factor, settings.kernel).check()
    least = {"factor": 1, "samples": 1, "num_photos": LEAST_PHOTOS, "batch_size": 1, "seed": 0}
    flags.require(settings, least, ("model", "prior", "features", "data", "out"))
    if not 0 < settings.labelled <= 0.5:
        raise ValueError(f"--labelled must be above 0 and at most 0.5, got {settings.labelled}")
    if "dci" in settings.tables and settings.samples * settings.labelled < LEAST_LABELLED:
        least_samples = int(np.ceil(LEAST_LABELLED / settings.labelled))
        raise ValueError(
            f"--samples must be at least {least_samples} for {LEAST_LABELLED} labels at each "
            f"end, got {settings.samples}"
        )


def run(settings: Settings) -> None:
    """Makes the tables, goes on with what is there of the first, and prints each as it is done."""
    settings = dataclasses.replace(settings, tables=tuple(flags.names("tables", settings.tables)))
    check(settings)
    if "dci" in settings.tables:
        codes.check_regressors()
    out = out_folder(settings)
    report.check_writable(out)
    if settings.smoke:
        settings = smoke(settings, out)
    prior, params = loading.load_prior(settings.prior or loading.default_source())
    factor = settings.factor or FACTOR
    operator = operators.make(
        settings.operator, prior.info.resolution, factor=factor, kernel=settings.kernel
    )
    folder = learned.find("laren", prior, operator, settings.model or "")
    params |= learned.load("laren", prior, params, operator, str(folder))
    subject = codes.Subject(prior, operator, learned.read_net(folder))
    codes.check(subject, folder)
    reader, reading = metrics.load_features(settings.features)
    names = ("operator", "kernel", "samples", "labelled", "regressor", "seed", "smoke")
    fixed = {
        **{name: getattr(settings, name) for name in names},
        "factor": factor,
        "weights": weights.digest(params),
        "features": weights.digest(reading),
    }
    about = {"model": str(folder), "prior": prior.info.name}
    ledger = Ledger(out, fixed, key=("space", "factor_name"), about=about)
    made = {
        "sizes": lambda: sizes(params["learned"]),
        "correlations": lambda: correlations(subject, params, settings),
        "dci": lambda: disentanglement(ledger, subject, params, (reader, reading), settings),
    }
    for table, make in made.items():
        if table in settings.tables:
            text = f"{make()}\n{folder}, {prior.info.name}, {operator.name}\n"
            files.write_text(out / f"{table}.md", text)
            print(text)


def out_folder(settings: Settings) -> Path:
    return Path(settings.out or ("disentangle_smoke" if settings.smoke else "disentangle"))


def smoke(settings: Settings, out: Path) -> Settings:
    """A toy prior and a random model of it."""
    toy = toy_prior(out / "toy")
    prior, params = loading.load_prior(toy)
    operator = operators.make(
        settings.operator, prior.info.resolution, factor=2, kernel=settings.kernel
    )
    model = learned.bind(
        learned.sized("laren", prior, params, operator, TOY_SIZES), prior, operator
    )
    learned.save(
        out / "model", model, model.init(jax.random.key(0), params), prior, params, operator, {}
    )
    changed = {
        "factor": 2,
        "samples": 200,
        "labelled": 0.2,
        "regressor": "logistic",
        "data": None,
    }
    return dataclasses.replace(
        settings, prior=str(toy), model=str(out / "model"), num_photos=50, **changed
    )


def disentanglement(
    ledger: Ledger,
    subject: codes.Subject,
    params: Params,
    network: codes.Network,
    settings: Settings,
) -> str:
    """Table II: disentanglement, completeness and informativeness of each space."""
    reader, _ = network
    names, spaces = codes.factor_names(reader), codes.spaces(subject, settings.seed)
    odds: dict[str, np.ndarray] = {}
    for name, space in spaces.items():
        same = next((odds[other] for other in odds if spaces[other].image is space.image), None)
        path = ledger.folder / f"log_odds_{name}.npy"
        odds[name] = (
            codes.log_odds(path, space, network, params, settings.samples, settings.batch_size)
            if same is None
            else same
        )
    kept = codes.kept(list(odds.values()), 0.0 if settings.smoke else codes.LEAST_SIDE)
    for name, space in spaces.items():
        codes.regress(
            ledger, name, space, params, odds[name], {names[j]: j for j in kept}, settings
        )
    found = ledger.rows()
    rows = [_score(name, [found[name, names[j]] for j in kept]) for name in spaces]
    columns = ("", *printed.LAREN2.columns)
    theirs = report.markdown(
        [dict(zip(columns, row, strict=True)) for row in printed.LAREN2.rows], columns
    )
    about = (
        f"{settings.samples:,} samples a space, {settings.labelled:.0%} at each end labelled by "
        f"{reader.name}, {settings.regressor}"
    )
    used = f"{len(kept)} of {len(names)} factors: {', '.join(names[j] for j in kept)}"
    return (
        f"## Table II: disentanglement\n\n{about}; {used}\n\n"
        f"{report.markdown(rows, list(rows[0]))}\nAs printed, of faces:\n\n{theirs}"
    )


def _score(name: str, rows: Sequence[dict]) -> dict:
    scores = metrics.dci(np.stack([row["importance"] for row in rows], 1))
    return {
        "": name,
        "entries": len(rows[0]["importance"]),
        "disentanglement": scores.disentanglement,
        "completeness": scores.completeness,
        "informativeness": float(np.mean([row["accuracy"] for row in rows])),
    }


def correlations(subject: codes.Subject, params: Params, settings: Settings) -> str:
    """Figure 7: a picture of both, and their means."""
    out, source = out_folder(settings), settings.data
    shown = None
    if source is not None:
        found = data.prepare(source, subject.prior.info.resolution, out / "cache")
        shown = found[: settings.num_photos]
        if len(shown) < LEAST_PHOTOS:
            raise ValueError(
                f"{source}: expected at least {LEAST_PHOTOS} photos for correlations, got "
                f"{len(shown)}"
            )
    z, g = codes.of_photos(
        subject, params, shown, settings.num_photos, settings.batch_size, settings.seed
    )
    both = {"z": codes.correlations(z), "g": codes.correlations(g)}
    images.write(out / "correlations.png", _drawn(both))
    rows = [{"": name, "entries": len(r), **codes.summary(r)} for name, r in both.items()]
    noise = (2 / (np.pi * len(z))) ** 0.5  # mean |r| of independent normal numbers
    about = (
        f"{len(z)} codes of {source or 'images of the prior'}; of independent entries the mean "
        f"would be {noise:.3f}"
    )
    return (
        f"## Figure 7: absolute correlations of entries\n\n{about}\n\n"
        f"{report.markdown(rows, list(rows[0]))}"
    )


def _drawn(both: dict[str, np.ndarray]) -> np.ndarray:
    """Entries 1 to 20 against each other, white is 1."""
    cells = [np.repeat(r[:20, :20, None], 3, 2).repeat(16, 0).repeat(16, 1) for r in both.values()]
    side = max(len(cell) for cell in cells)
    return plots.grid(
        [cells],
        columns=list(both),
        captions=["|correlation| of entries 1 to 20: black 0, white 1"],
        cell=side,
    )


def sizes(params: Params) -> str:
    """Table III's counts: of the model, and at the paper's sizes."""
    whole = laren.Config(PAPER_ENCODER, PAPER)
    ours = jax.eval_shape(lambda: laren.init(jax.random.key(0), whole))
    trees = {"this model": params, "1,024 px": ours}
    rows = [
        {"": name, **{part: f"{_count(tree, held):,}" for part, held in PARTS.items()}}
        for name, tree in trees.items()
    ]
    return (
        f"## Table III: parameters\n\n{report.markdown(rows, list(rows[0]))}\n"
        "As printed at 1,024 px: base (encoder and generator) 67.1 M, GDM 0.42 M, CGM 11 M; a "
        "StyleGAN2 of that size has 30.4 M.\n"
    )


def _count(tree: Params, held: Sequence[str]) -> int:
    return sum(
        int(np.prod(leaf.shape)) for name in held for leaf in jax.tree.leaves(tree.get(name, {}))
    )


def main(settings: Settings) -> None:
    flags.cache_compilations()
    run(settings)


if __name__ == "__main__":
    read_settings = flags.define(Settings(), tables={"operators": OPERATORS})
    flags.run(lambda: main(read_settings()))
