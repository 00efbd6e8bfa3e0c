"""Measures a step of each method on this machine against what the machine can do, and what many
photos cost in time and memory.

    # an hour or more on 2 CPU cores, mostly compiling
    python experiments/benchmark.py --out=benchmark
    python experiments/benchmark.py --smoke  # seconds: a random toy prior, one row of each kind

    # what a change of code changed
    python experiments/benchmark.py --tables=generator --compare=before/benchmark.json

Writes OUT/benchmark.json and prints six Markdown tables, also to OUT/benchmark.md, with --compare
beside another run's. --trace keeps a profile of all that is measured in OUT/trace, for TensorBoard
or Perfetto: ask for few programs.

0. Generator. A pass and a gradient of networks of StyleGAN2-ADA's sizes, and with --official the
   official network's time (benchmarks/generator.py).
1. Steps. The same of a step of each phase of each method, and the compile seconds again with the
   persistent cache.
2. Weights of its own for each photo. The tuning phases of rlse, rls_plus and iagan under each
   strategy of benchmarks/weights.py.
3. Memory and time. `jaxsr.restore` of 1, 8 and 64 photos, each in a process of its own whose
   compiled programs come from the cache.
4. Learned restorers. A pass and a training step of LAREN and GLEAN, and LAREN's relation
   (benchmarks/learned.py).
5. Hot. Metrics by size, both metrics of e-GLASS, training steps of GAN and flow
   (benchmarks/hot.py).

Each row of tables 0, 1, 4 and 5 has compile seconds; milliseconds (median, and half the range
between the quartiles); GFLOP and GB as the compiler counts them; their shares of a 2048 x 2048
matrix product's rate and of a copy's, which is above 1 where caches serve what the compiler counts
as memory; temporary memory.

Table 2 on pbc64, 8x, 2 quiet CPU cores: milliseconds a photo for 8 on one device (temporary MB);
with one set of weights for all they take 7, 7 and 9.

    | | photo by photo | grouped convolution | layer by layer | patches |
    |---|---|---|---|---|
    | RLS+ | 13 (18) | 28 (137) | 13 (64) | 21 (154) |
    | RLSE | 21 (21) | 40 (146) | 27 (99) | 32 (158) |
    | IAGAN | 16 (18) | 35 (136) | 17 (60) | 28 (152) |

So `vmap` goes layer by layer on a CPU (`jaxsr.nets.convolution.RULES`), and `restore` gives each of
its devices one photo at a time, in the memory of one. Accelerators, which were not measured, keep
the grouped convolution.

Measured: on 2 CPU cores a step takes 6 ms a photo (PULSE), 8 (RLS), 15 (RLS+) and 18 (RLSE) with 64
photos on pbc64, in 0.65 to 1.0 GB, at most a fifth more than with one. A network of StyleGAN2-ADA's
sizes at 64 px takes 135 ms for one picture and 0.69 s for eight; with its gradient 245 ms and 1.6
s. NVIDIA's PyTorch network (`--official`), in turns on the same cores: 181 ms, 1.26 s, 340 ms and
2.3 s.
"""

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from benchmarks import compared, generator, hot, learned, memory, steps, weights
from benchmarks.clock import Limits, limits

from jaxsr import flags, loading, operators
from jaxsr.loading import toy_prior
from jaxsr.methods import METHODS
from jaxsr.priors import Prior
from jaxsr.records import files, report
from jaxsr.types import Params

REPEATS = 15
SEARCHES = tuple(name for name, row in METHODS.items() if row.kind == "search")
TABLES = tuple(compared.TITLES)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        prior: A bundled prior's name, or a folder. Default: the best bundled one; with --smoke a
            random toy.
        methods: Methods to measure in any table: {methods}.
        tables: Which tables to make: {tables}.
        factor: Enlargement.
        batch_sizes: Photos at once in all tables but memory.
        precision: What convolutions compute in on an accelerator, in all tables but memory:
            float32, tf32 or bfloat16.
        resolutions: Sides of table generator's images, in px.
        official: A checkout of NVIDIA's stylegan2-ada-pytorch to measure in the same table, on a
            CPU; needs torch.
        compare: benchmark.json of another run, to print what changed since.
        trace: Keep a profile in OUT/trace.
        out: Folder for benchmark.json and benchmark.md. Default: benchmark (benchmark_smoke with
            --smoke).
        smoke: One row of each kind, few repeats.
    """

    prior: str | None = None
    methods: tuple[str, ...] = SEARCHES
    tables: tuple[str, ...] = TABLES
    factor: int = 8
    batch_sizes: tuple[int, ...] = (1, 8)
    precision: flags.Precision = "float32"
    resolutions: tuple[int, ...] = (64, 128, 256, 1024)
    official: str | None = None
    compare: str | None = None
    trace: bool = False
    out: str | None = None
    smoke: bool = False


def checked(settings: Settings) -> Settings:
    """The same with its prior found, or made: a toy 8 px prior for --smoke without one. Raises
    ValueError for what does not exist."""
    lists = {
        name: tuple(flags.names(name, getattr(settings, name))) for name in ("methods", "tables")
    }
    settings = dataclasses.replace(
        settings,
        **lists,
        out=settings.out or ("benchmark_smoke" if settings.smoke else "benchmark"),
    )
    flags.require(settings, {"factor": 2}, ("prior", "official", "compare"))
    _check_sizes(settings)
    for name in settings.methods:
        flags.choose(name, SEARCHES, "method")
    for name in settings.tables:
        flags.choose(name, TABLES, "table")
    if settings.official is not None:
        generator.official_modules(Path(settings.official))
    report.check_writable(str(settings.out))
    if settings.smoke and settings.prior is None:
        return dataclasses.replace(
            settings, prior=str(toy_prior(Path(str(settings.out)) / "toy")), factor=2
        )
    return dataclasses.replace(
        settings, prior=str(loading.prior_folder(settings.prior or loading.default_source()))
    )


def _check_sizes(settings: Settings) -> None:
    for size in settings.batch_sizes:
        if size < 1:
            raise ValueError(f"--batch_sizes: expected numbers of at least 1, got {size}")
    for px in settings.resolutions:
        if px < 8 or px & (px - 1):
            raise ValueError(f"--resolutions: expected powers of two of at least 8, got {px}")


def extent(settings: Settings) -> tuple[tuple[int, ...], int]:
    """Batch sizes, and repeats of each step."""
    return (settings.batch_sizes[:1], 2) if settings.smoke else (settings.batch_sizes, REPEATS)


def measurements(settings: Settings, source: str) -> Iterator[tuple[str, Any]]:
    """(table, one row of it) and (name, fact about the machine), each as soon as it is measured."""
    # First, before this process touches a device: on an accelerator it would hold the memory.
    if "memory" in settings.tables:
        with tempfile.TemporaryDirectory() as cache:
            for row in memory_table(settings, source, cache):
                yield "memory", row
    prior, params = loading.load_prior(source, dtype=flags.compute_in(settings.precision))
    rates = limits(512 if settings.smoke else 2048, dtype_of(settings), extent(settings)[1])
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    yield from {"device": device, "precision": settings.precision, "prior": prior.info.name}.items()
    yield from {"matrix_gflop_per_s": rates.matrix, "copy_gb_per_s": rates.copy}.items()
    for name, rows in tables(settings, source, prior, params, rates).items():
        if name in settings.tables:
            with tempfile.TemporaryDirectory() as cache:
                memory.cache_in(cache)
                yield from ((name, row) for row in rows())


def dtype_of(settings: Settings) -> str:
    return "bfloat16" if settings.precision == "bfloat16" else "float32"


def memory_table(settings: Settings, source: str, cache: str) -> Iterator[dict]:
    searched = {name: kind for name, kind in memory.SEARCHED.items() if name in settings.methods}
    if settings.smoke:
        searched = dict(list(searched.items())[:1])
    batches = memory.SMOKE_BATCHES if settings.smoke else memory.BATCHES
    return memory.table(source, settings.factor, searched=searched, batches=batches, cache=cache)


def tables(
    settings: Settings, source: str, prior: Prior, params: Params, rates: Limits
) -> dict[str, Callable[[], Iterator[dict]]]:
    """Name -> what measures the rows of a table, in the order of the tables."""
    shape = (prior.info.resolution, prior.info.resolution, 3)
    operator = operators.downsample(settings.factor, image_shape=shape)
    (sizes, repeats), smoke = extent(settings), settings.smoke
    tuned = tuple(name for name in weights.TUNING if name in settings.methods)
    return {
        "generator": lambda: generator.table(
            (8,) if smoke else settings.resolutions,
            sizes,
            limits=rates,
            dtype=dtype_of(settings),
            official=None if settings.official is None else Path(settings.official),
            repeats=repeats,
        ),
        "steps": lambda: steps.table(
            prior,
            params,
            operator,
            methods=settings.methods[:1] if smoke else settings.methods,
            sizes=sizes,
            rates=rates,
            repeats=repeats,
        ),
        "weights": lambda: weights.table(
            prior,
            params,
            operator,
            methods=tuned[:1] if smoke else tuned,
            strategies=(weights.chosen(),) if smoke else tuple(weights.STRATEGIES),
            sizes=sizes,
            repeats=repeats,
        ),
        "learned": lambda: learned.table(
            prior, params, operator, sizes=sizes, rates=rates, repeats=repeats, smoke=smoke
        ),
        "hot": lambda: hot.table(
            source, prior, params, operator, sizes=sizes, rates=rates, repeats=repeats, smoke=smoke
        ),
    }


def main(settings: Settings) -> int:
    before, settings = compared.read(settings.compare), checked(settings)
    out, record = Path(str(settings.out)), {"jax": jax.__version__, **{name: [] for name in TABLES}}
    with jax.profiler.trace(str(out / "trace")) if settings.trace else contextlib.nullcontext():
        for name, value in measurements(settings, str(settings.prior)):
            record[name] = [*record[name], value] if name in TABLES else value
            # A run of an hour may be cut off.
            files.write_text(out / "benchmark.json", json.dumps(record, indent=1) + "\n")
    text = compared.markdown(record, before)
    files.write_text(out / "benchmark.md", text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    read_settings = flags.define(Settings(), tables={"methods": SEARCHES, "tables": TABLES})
    flags.run(lambda: main(read_settings()))
