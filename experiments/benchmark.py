"""Measures a step of each method on this machine against what the machine can do.

    python experiments/benchmark.py --prior=pbc64 --out=benchmark          # minutes on 2 CPU cores
    python experiments/benchmark.py --smoke                                # seconds

Writes OUT/benchmark.json and prints a Markdown table: for each phase of each method and each batch size the compile seconds, first and
again with the persistent cache, milliseconds a step (median, and half the range between the quartiles), GFLOP a step as the compiler counts
them, the achieved GFLOP/s and its share of a 2048 x 2048 matrix product's rate.
"""

import dataclasses
import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import flags
import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import operators, priors, report, search
from jaxsr.methods import METHODS

REPEATS = 15


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        prior: A bundled prior's name, or a folder. Default: the best bundled one.
        methods: Methods to measure.
        factor: Enlargement.
        batch_sizes: Photos at once.
        out: Folder for benchmark.json.
        smoke: One method, one batch size, few repeats.
    """

    prior: str | None = None
    methods: tuple[str, ...] = ("pulse", "rls", "rls_plus")
    factor: int = 8
    batch_sizes: tuple[int, ...] = (1, 8)
    out: str = "benchmark"
    smoke: bool = False


def timed(function: Callable, *args, repeats: int = REPEATS) -> tuple[float, float]:
    """Median and half the interquartile range of the seconds of a call, after one to warm up."""
    jax.block_until_ready(function(*args))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*args))
        seconds.append(time.perf_counter() - start)
    low, median, high = np.percentile(seconds, [25, 50, 75])
    return float(median), float(high - low) / 2


def matrix_rate(size: int = 2048) -> float:
    """GFLOP/s of a float32 matrix product of this size."""
    a = jnp.ones((size, size))
    seconds, _ = timed(jax.jit(lambda a: a @ a), a)
    return 2 * size**3 / seconds / 1e9


def compile_twice(function: Callable, *args) -> tuple[jax.stages.Compiled, float, float]:
    """The compiled program, the seconds it took, and the seconds when the persistent cache has it."""
    seconds = []
    for _ in range(2):
        jax.clear_caches()
        start = time.perf_counter()
        compiled = jax.jit(function).lower(*args).compile()
        seconds.append(time.perf_counter() - start)
    return compiled, *seconds


def measure(solve: search.Solve, params: dict, batch: int, rate: float, repeats: int) -> list[dict]:
    """A row for each phase: one step of it, for `batch` photos at once."""
    keys = jax.random.split(jax.random.key(0), batch)
    ys = jnp.full((batch, *solve.operator.measurement_shape), 0.5)
    rows, previous = [], None
    for number, phase in enumerate(solve.phases, 1):
        begin = jax.jit(jax.vmap(functools.partial(search.begin, phase), (0, None, 0, 0)))
        step = jax.vmap(functools.partial(search.advance, phase, length=1), (None, 0, 0))
        state = begin(keys, params, ys, previous)
        compiled, cold, warm = compile_twice(step, params, ys, state)
        seconds, spread = timed(compiled, params, ys, state, repeats=repeats)
        flop = (compiled.cost_analysis() or {}).get("flops", float("nan"))
        rows.append(
            {
                "phase": number,
                "batch": batch,
                "compile_s": cold,
                "compile_again_s": warm,
                "step_ms": 1e3 * seconds,
                "spread_ms": 1e3 * spread,
                "gflop": flop / 1e9,
                "gflop_per_s": flop / seconds / 1e9,
                "share_of_matrix_rate": flop / seconds / 1e9 / rate,
            }
        )
        previous = (state.best, state.context)
    return rows


def main(settings: Settings) -> int:
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    source = settings.prior or next(iter(priors.bundled()), "")
    prior, params = priors.load_prior(source)
    shape = (prior.info.resolution, prior.info.resolution, 3)
    operator = operators.downsample(settings.factor, image_shape=shape)
    methods, sizes, repeats = settings.methods, settings.batch_sizes, REPEATS
    if settings.smoke:
        methods, sizes, repeats = methods[:1], sizes[:1], 2
    rate, rows = matrix_rate(512 if settings.smoke else 2048), []
    with tempfile.TemporaryDirectory() as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        for name in methods:
            factory = METHODS[flags.choose(name, METHODS, "method")][0]
            for batch in sizes:
                rows += [{"method": name, **row} for row in measure(factory(prior, operator), params, batch, rate, repeats)]
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    summary = {"device": device, "jax": jax.__version__, "prior": prior.info.name, "matrix_gflop_per_s": rate, "rows": rows}
    report.write_text(out / "benchmark.json", json.dumps(summary, indent=1) + "\n")
    print(f"{device}, jax {jax.__version__}, prior {prior.info.name}: matrix product {rate:.0f} GFLOP/s")
    print(report.markdown([{k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in row.items()} for row in rows], list(rows[0])))
    return 0


if __name__ == "__main__":
    read_settings = flags.define(Settings())
    flags.run(lambda: main(read_settings()))
