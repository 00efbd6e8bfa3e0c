"""Restores many photos with several methods and judges them: from photos to the tables of the
papers.

    # a table of a paper on your prior and photos
    python experiments/evaluate.py --suite=rls_table1 --data=photos.tar --out=table1
    python experiments/evaluate.py --methods=bicubic,pulse,rls_plus --factors=8,4 --data=photos
    python experiments/evaluate.py --methods=pulse,rlse --operators=inpainting,grey --data=photos
    python experiments/evaluate.py --suite=rls_figure3  # needs no photos
    python experiments/evaluate.py --smoke  # the bundled prior's samples, a few steps

OUT gets rows.jsonl (a row a result, added as it is done), images/, and at the end results.csv,
table.md (means with 95 % bootstrap intervals, differences from the baseline over the same photos,
the paper's numbers "as printed, other data"), grid_*.png, index.html (sortable, with the pictures)
and plots (with matplotlib). The same command again does only what is missing, whatever stopped it;
several processes may share one OUT. A photo that fails keeps its row, with the reason. Suites: see
experiments/evaluation/suites.py; a learned restorer that is not trained for the prior says so in
its row.

Photos are centre squares brought to the prior's resolution by area average, degraded, and compared
in 8-bit RGB, all of it. Distances of features are those of the bundled network; LPIPS, NIQE, FID
and identity appear when their published weights are at hand (the report says where they go).
rls_table1 on the bundled prior, 200 photos at two factors, took an hour on 2 CPU cores that had
other work too.
"""

import contextlib
import dataclasses
import hashlib
import shlex
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, get_args

import jax
import numpy as np
from evaluation import cells, curves, gaussianisation, grids, page, suites, tables
from evaluation.cells import KEY, REFERENCE, Bench, Cell
from evaluation.scores import Scorer
from evaluation.suites import Suite, Variant
from tqdm import tqdm

from jaxsr import data, degradations, flags, images, loading, priors, resample, weights
from jaxsr.methods import METHODS
from jaxsr.operators import OPERATORS, is_image, make
from jaxsr.records import files, report
from jaxsr.records.ledger import Ledger

WAIT = 1.0  # seconds between looks at what another process does
SMOKE_PHOTOS = 4


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to evaluate and how.

    Attributes:
        suite: A table or figure of the papers; or give --methods.
        methods: Methods to compare: {methods}, or reference (the real photo); laren and glean want
            a network trained for the prior and the operator.
        factors: Enlargements. Default: the suite's, scaled to the prior; 8.
        operators: What is inverted: {operators}. Default: the suite's; downsample, which alone has
            factors.
        degradations: What else happened to the photos. Default: the suite's; clean.
        data: Photos: a folder, a .tar, or tfds:NAME@SPLIT.
        num_photos: How many photos of --data, evenly spaced.
        labels: A CSV with "file" and the feature network's type, to see whether results read as
            their label.
        prior: A bundled prior's name, or a folder written by training or ports/convert.py. Default:
            the best bundled one.
        features: The network of feature distances and types: a bundled one, or a folder that
            train_features.py wrote.
        preset: Settings of the methods: paper, code (those of the authors' releases) or scaled
            (RLSE); one without it takes paper.
        network: What perceptual terms see with: vgg (LPIPS, published weights) or features
            (bundled). Default: the suite's; the preset's.
        exact: Project each result onto the images that explain the measurement exactly, before it
            is clipped and rounded to 8 bits; with noise or blur this amplifies the noise.
        kernel: How the photos are made small.
        models: Folder of trained networks for laren and glean, NAME/model each, as `train_laren.py
            --out=MODELS/NAME` leaves them. Default: those that come with the package; models/ for
            LAREN's ablations.
        baseline: The method that differences are taken from. Default: the suite's; the first.
        out: Folder for everything. Default: evaluations/NAME of the suite.
        seed: Another seed gives other starts and other noise.
        batch_size: Photos at once; bounds the memory.
        precision: What convolutions compute in on an accelerator: float32, tf32 or bfloat16, the
            faster the coarser.
        num_solutions: Results for each photo. Default: the suite's; 1.
        smoke: A few samples and steps, to see that everything runs.
    """

    suite: str | None = None
    methods: tuple[str, ...] = ()
    factors: tuple[int, ...] | None = None
    operators: tuple[str, ...] = ()
    degradations: tuple[str, ...] = ()
    data: str | None = None
    num_photos: int = 200
    labels: str | None = None
    prior: str | None = None
    features: str = "pbc64"
    preset: str = "paper"
    network: Literal["vgg", "features"] | None = None
    exact: bool = False
    kernel: str = "bicubic"
    models: str | None = None
    baseline: str | None = None
    out: str | None = None
    seed: int = 0
    batch_size: int = 8
    precision: flags.Precision = "float32"
    num_solutions: int | None = None
    smoke: bool = False


def plan(settings: Settings, resolution: int) -> tuple[Suite, list[Cell]]:
    """The suite and its cells. Raises ValueError for a name or a factor that makes no sense."""
    if (settings.suite is None) == (not settings.methods) and not settings.smoke:
        raise ValueError(
            f"give --suite or --methods, one of the two; suites: {', '.join(suites.SUITES)}"
        )
    if settings.suite is not None:
        flags.choose(settings.suite, suites.SUITES, "suite")
        suite = suites.SUITES[settings.suite]
    else:
        names = flags.names("methods", settings.methods) or ["bicubic", "pulse"]
        for name in names:
            flags.choose(name, [*METHODS, REFERENCE], "method")
        suite = Suite(
            "Comparison",
            tuple(Variant(name, name) for name in names),
            (),
            names[0],
            tuple(tables.COLUMNS),
        )
    _check_preset(suite, settings.preset)
    suite = _overridden(suite, settings, resolution)
    _check_used(suite, settings)
    shrinking = [name for name in suite.operators if OPERATORS[name].takes_factor]
    for factor in suite.factors if shrinking else ():
        if factor < 2:
            raise ValueError(f"expected factors of at least 2, got {factor}")
        if resolution % factor:
            fitting = ", ".join(str(f) for f in range(2, resolution + 1) if resolution % f == 0)
            raise ValueError(
                f"factor {factor} does not divide the prior's resolution of {resolution} px: "
                f"choose of {fitting}"
            )
    _check_degradations(suite, resolution)
    where = [(name, f, d) for name in shrinking for f in suite.factors for d in suite.degradations]
    where += [
        (name, 1, d)
        for name in suite.operators
        if name not in shrinking
        for d in suite.degradations
        if suite.factors
    ]
    return suite, [Cell(variant, *at) for at in where for variant in suite.variants]


def _check_degradations(suite: Suite, resolution: int) -> None:
    """Raises ValueError for a degradation of pictures where an operator's measurement is none."""
    others = [name for name in suite.degradations if name != "clean"]
    for name in suite.operators:
        if (
            others
            and not OPERATORS[name].takes_factor
            and not is_image(make(name, resolution).measurement_shape)
        ):
            raise ValueError(
                f"--operators={name} measures no picture: expected --degradations=clean, got "
                f"{', '.join(others)}"
            )


def _check_preset(suite: Suite, preset: str) -> None:
    """Raises ValueError for a preset that none of the suite's methods has."""
    kinds = [
        METHODS[variant.method].Config for variant in suite.variants if variant.method in METHODS
    ]
    if kinds and not any(preset in kind.PRESETS for kind in kinds):
        known = sorted({name for kind in kinds for name in kind.PRESETS})
        raise ValueError(
            f"--preset={preset}: none of the methods has it, expected {' or '.join(known)}"
        )


def _check_used(suite: Suite, settings: Settings) -> None:
    """Raises ValueError for a flag that nothing in the suite reads."""
    methods = [METHODS[variant.method] for variant in suite.variants if variant.method in METHODS]
    unused = {
        "network": not any(hasattr(method.Config, "network") for method in methods)
        and "a method with a perceptual term",
        "models": not any(method.kind == "learned" for method in methods) and "laren or glean",
        "factors": not any(OPERATORS[name].takes_factor for name in suite.operators)
        and "an operator that makes photos small",
    }
    for name, reader in unused.items():
        if getattr(settings, name) is not None and reader:
            raise ValueError(f"--{name} is for {reader}, of which there is none here: leave it out")


def _overridden(suite: Suite, settings: Settings, resolution: int) -> Suite:
    """The suite with what the flags say otherwise."""
    scaled = suites.scaled(suite.factors, resolution)
    factors = (
        settings.factors or tuple(scaled) or ((min(8, resolution // 2),) if suite.columns else ())
    )
    stands_for = (
        {} if settings.factors else {ours: paper for ours, paper in scaled.items() if ours != paper}
    )
    chosen = tuple(flags.names("degradations", settings.degradations)) or suite.degradations
    for name in chosen:
        flags.choose(name, degradations.ROBUSTNESS, "degradation")
    measured = tuple(flags.names("operators", settings.operators)) or suite.operators
    for name in measured:
        flags.choose(name, OPERATORS, "operator")
    baseline = flags.choose(
        settings.baseline or suite.baseline, [v.label for v in suite.variants] or [""], "baseline"
    )
    solutions = settings.num_solutions or suite.solutions
    changed = {
        "degradations": chosen,
        "operators": measured,
        "baseline": baseline,
        "solutions": solutions,
        "stands_for": stands_for,
    }
    return dataclasses.replace(suite, factors=tuple(dict.fromkeys(factors)), **changed)


def check(settings: Settings) -> None:
    """Raises ValueError for a setting that cannot be used, before anything is loaded."""
    flags.choose(settings.kernel, get_args(resample.Kernel), "kernel")
    flags.choose(
        settings.preset,
        {preset for method in METHODS.values() for preset in method.Config.PRESETS},
        "preset",
    )
    flags.require(
        settings,
        {"num_photos": 1, "seed": 0, "batch_size": 1, "num_solutions": 1},
        ("data", "labels", "prior", "features", "models", "out"),
    )


def labels_of(settings: Settings, scorer: Scorer) -> dict[str, str]:
    """The labelled type of each photo. Raises ValueError for a table that has none."""
    if settings.labels is None:
        return {}
    if not Path(settings.labels).is_file():
        raise ValueError(f"{settings.labels}: expected a table of labels, got no such file")
    name, values = scorer.net.config.heads[0]
    found = {row.get("file", ""): row.get(name, "") for row in report.read_csv(settings.labels)}
    if not any(value in values for value in found.values()):
        raise ValueError(
            f'{settings.labels}: expected columns "file" and "{name}" with values such as '
            f"{values[0]!r}, got none"
        )
    return {file: value for file, value in found.items() if value in values}


def open_bench(
    settings: Settings, suite: Suite, prior: priors.Prior, params: dict, out: Path
) -> Bench:
    """Everything that the cells share; photos are listed, not yet read."""
    source = settings.data
    if settings.smoke and source is None:
        source = _drawn(prior, params, out)
    if not source:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME@SPLIT"
        )
    photos = data.open_photos(source)
    if not len(photos):
        raise ValueError(f"{source}: expected photos, got none")
    count = min(settings.num_photos, len(photos), SMOKE_PHOTOS if settings.smoke else len(photos))
    indices = [int(i) for i in np.linspace(0, len(photos) - 1, count).round()]
    _check_readable(photos, indices)
    scorer = Scorer(prior.info.resolution, settings.features)
    labels = labels_of(settings, scorer)
    if labels and not any(photos.names[i] in labels for i in indices):
        raise ValueError(
            f"{settings.labels}: expected names such as {photos.names[indices[0]]!r}, got "
            f"{next(iter(labels))!r}"
        )
    how = (settings.preset, settings.network, settings.exact, settings.kernel, settings.models)
    shared = (settings.seed, suite.solutions, settings.batch_size, settings.smoke)
    return Bench(prior, params, photos, indices, scorer, labels, out, *how, *shared)


def _check_readable(photos: data.Photos, indices: Sequence[int]) -> None:
    """Raises ValueError, with the first one's reason, if no photo can be read; else reads no
    further than the first that can."""
    first = None
    for name, image in data.stream(photos, indices):
        if not isinstance(image, Exception):
            return
        first = first or f"{name}: {image}"
    raise ValueError(
        f"{photos.source}: expected photos, got {len(indices)} of which none can be read, the "
        f"first: {first}"
    )


def _drawn(prior: priors.Prior, params: dict, out: Path) -> str:
    """Samples of the prior as photos, for a run without any."""
    folder = out / "smoke_photos"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(SMOKE_PHOTOS):
        images.write(
            folder / f"sample_{i}.png",
            np.asarray(prior.decode(params, prior.sample(jax.random.key(i), params))),
        )
    return str(folder)


def describe(
    settings: Settings, suite: Suite, found: Sequence[Cell], bench: Bench
) -> tuple[dict, dict]:
    """What all rows of a folder have in common, and what else config.json holds."""
    fixed = {
        name: getattr(settings, name)
        for name in ("preset", "network", "exact", "kernel", "precision", "seed", "smoke")
    }
    fixed |= {
        "prior": bench.prior.info.name,
        "prior_sha256": weights.digest(bench.params),
        "solutions": suite.solutions,
    }
    stamps = "\n".join(bench.photos.stamps[i] for i in bench.indices)
    fixed |= {
        "photos": hashlib.sha256(stamps.encode()).hexdigest()[:16],
        "num_photos": len(bench.indices),
    }
    fixed |= {
        "labels": hashlib.sha256(repr(sorted(bench.labels.items())).encode()).hexdigest()[:16]
        if bench.labels
        else None
    }
    fixed |= {"features_sha256": weights.digest(bench.scorer.params), "metrics": bench.scorer.names}
    fixed |= {f"cell {cell.name}": cells.settings_of(bench, cell) for cell in found}
    about = {
        "suite": suite.title,
        "data": bench.photos.source,
        "command": shlex.join(["python", *sys.argv]),
    }
    return fixed, about | {
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "left_out": bench.scorer.missing,
    }


def work(bench: Bench, ledger: Ledger, found: Sequence[Cell]) -> None:
    """Does what no row is there for yet; returns when every photo has its row, be it another
    process's."""
    units = [(cell, unit) for cell in found for unit in cells.units(bench)]
    names = {cell.name for cell in found}

    def count() -> int:
        return sum(row["cell"] in names for row in ledger.rows().values())

    total, methods = len(bench.indices) * bench.solutions * len(found), {}
    # Of an earlier run: tried again.
    failed = {
        (row["cell"], row["photo"]) for row in ledger.rows().values() if row["status"] == "error"
    }
    with tqdm(total=total, initial=count(), unit="result", dynamic_ncols=True) as bar:
        while units:
            rows = ledger.rows()
            units = [
                (cell, unit) for cell, unit in units if _missing(bench, rows, cell, unit, failed)
            ]
            idle = True
            for cell, unit in units:
                with contextlib.ExitStack() as stack:
                    mine = [
                        i for i in unit if stack.enter_context(ledger.claim(f"{cell.name}-{i}"))
                    ]
                    todo = _missing(bench, ledger.rows(), cell, mine, failed)
                    if todo:
                        idle = False
                        bar.set_description(f"{cell.variant.label} {cell.conditions}")
                        if cell.name not in methods:
                            methods = {cell.name: cells.method_of(bench, cell)}
                            cells.warm_up(bench, methods[cell.name])
                        ledger.add(cells.do_unit(bench, cell, methods[cell.name], todo))
                        failed -= {(cell.name, bench.photos.names[i]) for i in todo}
                bar.update(count() - bar.n)
            if units and idle:
                time.sleep(WAIT)


def _missing(
    bench: Bench,
    rows: dict,
    cell: Cell,
    indices: Sequence[int],
    failed: Collection[tuple[str, str]],
) -> list[int]:
    """The photos of `indices` that lack a row or a picture, or are to be tried again."""

    def is_done(name: str, solution: int) -> bool:
        row = rows.get((cell.name, name, str(solution)), {})
        whole = row.get("status") == "error" or (bench.folder / str(row.get("output"))).is_file()
        return bool(row) and whole and (cell.name, name) not in failed

    return [
        i
        for i in indices
        if not all(is_done(bench.photos.names[i], s) for s in range(bench.solutions))
    ]


def publish(
    bench: Bench, suite: Suite, found: Sequence[Cell], lacking: dict[str, str], rows: dict
) -> str:
    """Writes results.csv, table.md, index.html and the plots; returns the tables as text."""
    names = [bench.photos.names[i] for i in bench.indices]
    tables.write_rows(bench.folder / "results.csv", rows, found, names)
    lines = tables.lines(bench, suite, found, rows, lacking)
    info = bench.prior.info
    head = [
        f"{len(names)} photos of {bench.photos.source}, prior {info.name} ({info.resolution} "
        f"px), kernel {bench.kernel}, "
        "preset "
        f"{bench.preset}{f', perceptual network {bench.network}' if bench.network else ''}, "
        f"seed {bench.seed}"
        f"{', results projected onto the measurement' if bench.exact else ''}.",
        "Scores are of the whole 8-bit RGB image against the photo's centre square at the "
        "prior's resolution (area average).",
    ]
    net = bench.scorer.net
    head.append(
        f"Feature distances and types ({net.config.heads[0][0]}) are of the network "
        f"{net.name}: not LPIPS, FID, KID or identity."
    )
    head += ["A --smoke run: a few steps; the figures mean nothing."] if bench.smoke else []
    text = tables.markdown(suite, lines, bench.scorer.missing, head)
    files.write_text(bench.folder / "table.md", text)
    plots = curves.draw(bench.folder, lines, suite.columns)
    mine = [row for row in rows.values() if row["cell"] in {cell.name for cell in found}]
    order = {name: i for i, name in enumerate(names)}
    mine.sort(key=lambda row: (order.get(row["photo"], len(order)), row["solution"]))
    grids.draw(bench.folder, lines, mine)
    page.write(bench.folder, suite, lines, mine, bench.scorer.missing, head, plots)
    return text


def main() -> int:
    flags.cache_compilations()
    return run(read_settings())


def run(settings: Settings) -> int:
    """The whole evaluation; the exit status is 1 when no photo has a result. Raises ValueError
    before any long work."""
    check(settings)
    prior, params = loading.load_prior(
        settings.prior or loading.default_source(), dtype=flags.compute_in(settings.precision)
    )
    suite, found = plan(settings, prior.info.resolution)
    out = Path(
        settings.out
        or f"evaluations/{'smoke' if settings.smoke else settings.suite or 'comparison'}"
    )
    if settings.suite == "rls_figure3":
        return _gaussianisation(prior, params, settings, out)
    lacking = cells.lacking(prior, params, found, settings.kernel, settings.models)
    built = [cell for cell in found if cell.name not in lacking]
    if not built and settings.methods:
        raise ValueError(next(iter(lacking.values())))
    if not built:
        return _nothing(suite, found, lacking, out)
    bench = open_bench(settings, suite, prior, params, out)
    for cell in built:
        # A prior without a flow, say, shows before hours of other cells.
        cells.method_of(bench, cell)
    fixed, about = describe(settings, suite, built, bench)
    ledger = Ledger(out, fixed, key=KEY, about=about)
    work(bench, ledger, built)
    rows = ledger.rows()
    with ledger.exclusive():
        text = publish(bench, suite, found, lacking, rows)
    print(text)
    print(f"{out}/index.html shows all of it")
    return 1 if all(row["status"] == "error" for row in rows.values()) else 0


def _nothing(suite: Suite, found: Sequence[Cell], lacking: dict[str, str], out: Path) -> int:
    """The report of a suite of which no method can be run: why, and what the paper printed."""
    report.check_writable(out)
    lines, head = (
        tables.lines_lacking(found, lacking),
        ["No method of it can be run here: nothing was."],
    )
    text = tables.markdown(suite, lines, {}, head)
    files.write_text(out / "table.md", text)
    tables.write_rows(out / "results.csv", {}, found, [])
    page.write(out, suite, lines, [], {}, head, [])
    print(text)
    return 0


def _gaussianisation(prior: priors.Prior, params: dict, settings: Settings, out: Path) -> int:
    """RLS Figure 3, which needs the prior's flow and no photos."""
    report.check_writable(out)
    gaussianisation.run(prior, params, out, seed=settings.seed)
    return 0


if __name__ == "__main__":
    read_settings = flags.define(Settings(), tables={"methods": METHODS, "operators": OPERATORS})
    flags.one_device_a_core()
    flags.run(main)
