"""The clock of every benchmark: seconds of compiled programs, and what share of this machine's own
rates they reach."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FEWEST, SECONDS = 3, 20.0  # of a program's repeats


class Limits(NamedTuple):
    """What this device can do: GFLOP/s of a matrix product, GB/s of a copy."""

    matrix: float
    copy: float


def timed(*calls: Callable, repeats: int) -> list[tuple[float, float]]:
    """Median and half the interquartile range of each call's seconds. The calls take turns, so that
    whatever else the machine does strikes all alike, and each runs once unmeasured before it is
    timed, so that none finds the caches as another left them. Slow ones are repeated FEWEST times,
    or until SECONDS have passed."""
    begun, seconds = time.perf_counter(), []
    while len(seconds) < repeats and (
        len(seconds) < FEWEST or time.perf_counter() - begun < SECONDS
    ):
        taken = []
        for call in calls:
            jax.block_until_ready(call())
            start = time.perf_counter()
            jax.block_until_ready(call())
            taken.append(time.perf_counter() - start)
        seconds.append(taken)
    low, median, high = np.percentile(seconds, [25, 50, 75], axis=0)
    return [(float(m), float(spread)) for m, spread in zip(median, (high - low) / 2, strict=True)]


def compiled(function: Callable, *args) -> tuple[jax.stages.Compiled, float]:
    """The compiled program, and the seconds that tracing and compiling it took."""
    jax.clear_caches()
    start = time.perf_counter()
    return jax.jit(function).lower(*args).compile(), time.perf_counter() - start


def limits(size: int, dtype: str, repeats: int) -> Limits:
    """Rates of a copy, and of a matrix product of this size and dtype, as precise as JAX is set."""
    a = jnp.ones((size, size), dtype)
    product = jax.jit(lambda a: a @ a)
    [(seconds, _)] = timed(lambda: product(a), repeats=repeats)
    return Limits(2 * size**3 / seconds / 1e9, _copy_rate(repeats))


def _copy_rate(repeats: int, megabytes: int = 256) -> float:
    """GB/s that are read and written together by adding one to an array that no cache holds."""
    x = jnp.zeros(megabytes * 250_000)
    add = jax.jit(lambda x: x + 1)
    [(seconds, _)] = timed(lambda: add(x), repeats=repeats)
    return 2 * x.nbytes / seconds / 1e9


def measured(
    function: Callable, args: tuple, rates: Limits, repeats: int, beside: Sequence[Callable] = ()
) -> tuple[dict[str, float], list[float]]:
    """What a table tells of a program, and median seconds of other calls in turns with it.

    `gflop` and `gbyte` are as the compiler counts them: the body of a loop once. `temporary_mb` is
    what the program needs besides its arguments and results.
    """
    program, compile_s = compiled(function, *args)
    (seconds, spread), *others = timed(functools.partial(program, *args), *beside, repeats=repeats)
    cost = program.cost_analysis() or {}
    gflop, gigabytes = (cost.get(name, float("nan")) / 1e9 for name in ("flops", "bytes accessed"))
    row = {
        "compile_s": compile_s,
        "ms": 1e3 * seconds,
        "spread_ms": 1e3 * spread,
        "gflop": gflop,
        "gbyte": gigabytes,
        "share_of_matrix_rate": gflop / seconds / rates.matrix,
        "share_of_copy_rate": gigabytes / seconds / rates.copy,
        "temporary_mb": getattr(program.memory_analysis(), "temp_size_in_bytes", float("nan"))
        / 1e6,
    }
    return row, [median for median, _ in others]
