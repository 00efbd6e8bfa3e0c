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
s. NVIDIA's PyTorch network (`--official`), in turns on the same cores: 181 ms, 1.26 s, 340 ms, 2.3
s.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from benchmarks import compared, generator, hot, learned, weights
from benchmarks.clock import Limits, compiled, limits, measured
from jax.experimental.compilation_cache import compilation_cache

import jaxsr
from jaxsr import flags, loading, operators, priors, search
from jaxsr.loading import toy_prior
from jaxsr.methods import METHODS
from jaxsr.methods.setups import Setup, make_solve
from jaxsr.records import files, report
from jaxsr.search import mesh_of, rows_at_once
from jaxsr.settings import iterates_of

REPEATS = 15
SEARCHES = tuple(name for name, method in METHODS.items() if method.kind == "search")
RESTORED = (("pulse", "latents"), ("rls", "latents"), ("rlse", "weights"), ("rls_plus", "weights"))
PHOTOS, RESTORE_STEPS = (1, 8, 64), 10  # steps of each phase
TABLES = tuple(compared.TITLES)
# Photos in a batch of `restore`, its default; one row of each method has as many on a CPU too.
TOGETHER = 8


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        prior: A bundled prior's name, or a folder. Default: the best bundled one; with --smoke a
            random toy.
        methods: Methods to measure in any table.
        tables: Which tables to make: generator, steps, weights, memory, learned, hot.
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


def bundled_networks(method: str, steps: int | None = None) -> Setup:
    """The method with the feature network that comes with the package, BRGM as its code sets it;
    each phase of `steps` if given."""
    settings = {} if steps is None else dict.fromkeys(iterates_of(METHODS[method].Config), steps)
    return Setup(method, "code" if method == "brgm" else "paper", "features", settings=settings)


def step_rows(
    solve: search.Solve, params: dict, batch: int, rates: Limits, repeats: int
) -> list[dict]:
    """A row for each phase: one step of it, for `batch` photos at once."""
    rows = []
    for number, (phase, ys, state) in enumerate(weights.starts(solve, params, batch), 1):
        step, args = weights.one_step(phase, weights.at_once), (params, ys, state)
        row, _ = measured(step, args, rates, repeats)
        rows.append(
            {"phase": number, "photos": batch, **row, "compile_again_s": compiled(step, *args)[1]}
        )
    return rows


class Restoration(NamedTuple):
    """Photos to restore in a process of its own: `rows` at once, None for as many as `restore`
    takes by itself."""

    source: str
    factor: int
    method: str
    photos: int
    rows: int | None
    cache: str


def restoration(job: Restoration) -> dict:
    """Runs in the new process: compile seconds (from the cache when it has the programs), seconds a
    photo and step, peaks of memory."""
    flags.one_device_a_core()
    flags.keep_freed_memory()
    cache_in(job.cache)
    prior, params = loading.load_prior(job.source)
    operator = operators.downsample(
        job.factor, image_shape=(prior.info.resolution, prior.info.resolution, 3)
    )
    solve, params = make_solve(prior, params, operator, bundled_networks(job.method, RESTORE_STEPS))
    draw = jax.jit(lambda key, params: operator(prior.decode(params, prior.sample(key, params))))
    # One by one: not the peak.
    ys = np.stack([draw(key, params) for key in jax.random.split(jax.random.key(0), job.photos)])
    rows, before = job.rows or rows_at_once(TOGETHER), peak_mb()
    first, again = (seconds_of_restore(solve, params, ys[:rows], rows) for _ in range(2))
    seconds = seconds_of_restore(solve, params, ys, rows)
    device, devices = jax.devices()[0], mesh_of(rows).size
    return {
        "devices": devices,
        "rows_a_device": rows // devices,
        "compile_s": first - again,
        "ms_a_photo_step": 1e3 * seconds / job.photos / sum(phase.steps for phase in solve.phases),
        "before_mb": before,
        "peak_mb": peak_mb(),
        "device_peak_mb": (device.memory_stats() or {}).get("peak_bytes_in_use", float("nan"))
        / 1e6,
    }


def seconds_of_restore(solve: search.Solve, params: dict, ys: np.ndarray, rows: int) -> float:
    start = time.perf_counter()
    jaxsr.restore(solve, params, ys, rows=rows, progress=False)
    return time.perf_counter() - start


def peak_mb() -> float:
    """The largest resident memory that this process has had. Linux tells its own since it started
    (getrusage would begin with the parent's peak), macOS counts in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        kib = next(
            (
                line.split()[1]
                for line in status.read_text().splitlines()
                if line.startswith("VmHWM:")
            ),
            None,
        )
        if kib is not None:
            return int(kib) * 1024 / 1e6
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e6
    )


def cache_in(folder: str) -> None:
    """Compiled programs are kept in `folder` from now on, and looked up nowhere else."""
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def memory_table(settings: Settings, source: str, cache: str) -> Iterator[dict]:
    """Rows of table 3. A first process compiles, so that the peaks of the others are those of
    restoring alone.

    Call it before this process touches a device: on an accelerator it would hold the memory.
    """
    kinds = [(method, kind) for method, kind in RESTORED if method in settings.methods]
    sizes = ((None, (2,)),) if settings.smoke else ((None, PHOTOS), (TOGETHER, (TOGETHER,)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for method, kind in kinds[:1] if settings.smoke else kinds:
            for rows, counts in sizes:
                job = Restoration(source, settings.factor, method, counts[0], rows, cache)
                compile_s = pool.submit(restoration, job).result()["compile_s"]
                for photos in counts:
                    measured = pool.submit(restoration, job._replace(photos=photos)).result()
                    yield {
                        "method": method,
                        "searched": kind,
                        "photos": photos,
                        **measured,
                        "compile_s": compile_s,
                    }


def step_table(
    settings: Settings,
    prior: priors.Prior,
    params: dict,
    operator: operators.Operator,
    rates: Limits,
) -> Iterator[dict]:
    """Rows of table 1."""
    sizes, repeats = extent(settings)
    for name in settings.methods[:1] if settings.smoke else settings.methods:
        solve, full = make_solve(prior, params, operator, bundled_networks(name))
        for batch in sizes:
            yield from (
                {"method": name, **row} for row in step_rows(solve, full, batch, rates, repeats)
            )


def weights_table(
    settings: Settings, prior: priors.Prior, params: dict, operator: operators.Operator
) -> Iterator[dict]:
    """Rows of table 2."""
    methods = tuple(name for name in weights.TUNING if name in settings.methods)
    strategies = tuple(weights.STRATEGIES)
    if settings.smoke:
        methods, strategies = methods[:1], (weights.chosen(),)
    sizes, repeats = extent(settings)
    return weights.table(
        prior,
        params,
        operator,
        methods=methods,
        strategies=strategies,
        sizes=sizes,
        repeats=repeats,
    )


def learned_table(
    settings: Settings,
    prior: priors.Prior,
    params: dict,
    operator: operators.Operator,
    rates: Limits,
) -> Iterator[dict]:
    """Rows of table 4."""
    sizes, repeats = extent(settings)
    return learned.table(
        prior, params, operator, sizes=sizes, rates=rates, repeats=repeats, smoke=settings.smoke
    )


def hot_table(
    settings: Settings,
    prior: priors.Prior,
    params: dict,
    operator: operators.Operator,
    rates: Limits,
) -> Iterator[dict]:
    """Rows of table 5."""
    sizes, repeats = extent(settings)
    source = str(settings.prior)
    return hot.table(
        source,
        prior,
        params,
        operator,
        sizes=sizes,
        rates=rates,
        repeats=repeats,
        smoke=settings.smoke,
    )


def extent(settings: Settings) -> tuple[tuple[int, ...], int]:
    """Batch sizes, and repeats of each step."""
    return (settings.batch_sizes[:1], 2) if settings.smoke else (settings.batch_sizes, REPEATS)


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
    for name, least in {"batch_sizes": 1, "resolutions": 8}.items():
        for value in getattr(settings, name):
            if value < least or (name == "resolutions" and value & (value - 1)):
                raise ValueError(
                    f"--{name}: expected {'powers of two' if least == 8 else 'numbers'} of at "
                    f"least {least}, got {value}"
                )
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


def read_record(file: str | None) -> dict[str, Any]:
    """Another run's benchmark.json, {} for None. Raises ValueError for what is none."""
    if file is None:
        return {}
    expected = f"--compare={file}: expected the benchmark.json of another run, got"
    try:
        record = json.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{expected} {error}") from error
    tables = (
        {name: record[name] for name in TABLES if record.get(name)}
        if isinstance(record, dict)
        else {}
    )
    if not tables:
        raise ValueError(f"{expected} none of its tables")
    for name, rows in tables.items():
        if not (
            isinstance(rows, list)
            and all(
                isinstance(row, dict) and isinstance(row.get(compared.TIMES[name]), float)
                for row in rows
            )
        ):
            raise ValueError(
                f"{expected} a table {name} without {compared.TIMES[name]} in every row"
            )
    return tables


def generator_table(settings: Settings, rates: Limits) -> Iterator[dict]:
    """Rows of table 0."""
    sizes, repeats = extent(settings)
    resolutions = (8,) if settings.smoke else settings.resolutions
    official = None if settings.official is None else Path(settings.official)
    dtype = "bfloat16" if settings.precision == "bfloat16" else "float32"
    return generator.table(
        resolutions, sizes, limits=rates, dtype=dtype, official=official, repeats=repeats
    )


def measurements(settings: Settings, source: str) -> Iterator[tuple[str, Any]]:
    """(table, one row of it) and (name, fact about the machine), each as soon as it is measured."""
    if "memory" in settings.tables:
        with tempfile.TemporaryDirectory() as cache:
            yield from (("memory", row) for row in memory_table(settings, source, cache))
    prior, params = loading.load_prior(source, dtype=flags.compute_in(settings.precision))
    operator = operators.downsample(
        settings.factor, image_shape=(prior.info.resolution, prior.info.resolution, 3)
    )
    dtype = "bfloat16" if settings.precision == "bfloat16" else "float32"
    rates = limits(512 if settings.smoke else 2048, dtype, extent(settings)[1])
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    yield from {"device": device, "precision": settings.precision, "prior": prior.info.name}.items()
    yield from {"matrix_gflop_per_s": rates.matrix, "copy_gb_per_s": rates.copy}.items()
    made = {
        "generator": lambda: generator_table(settings, rates),
        "steps": lambda: step_table(settings, prior, params, operator, rates),
        "weights": lambda: weights_table(settings, prior, params, operator),
        "learned": lambda: learned_table(settings, prior, params, operator, rates),
        "hot": lambda: hot_table(settings, prior, params, operator, rates),
    }
    for name, rows in made.items():
        if name in settings.tables:
            with tempfile.TemporaryDirectory() as cache:
                cache_in(cache)
                yield from ((name, row) for row in rows())


def main(settings: Settings) -> int:
    before, settings = read_record(settings.compare), checked(settings)
    out, record = Path(str(settings.out)), {"jax": jax.__version__, **{name: [] for name in TABLES}}
    with jax.profiler.trace(str(out / "trace")) if settings.trace else contextlib.nullcontext():
        for name, value in measurements(settings, str(settings.prior)):
            record[name] = [*record[name], value] if name in TABLES else value
            # A run of an hour may be cut off.
            files.write_text(out / "benchmark.json", json.dumps(record, indent=1) + "\n")
    told = compared.markdown(record, before)
    files.write_text(out / "benchmark.md", told)
    print(told, end="")
    return 0


if __name__ == "__main__":
    read_settings = flags.define(Settings())
    flags.run(lambda: main(read_settings()))
