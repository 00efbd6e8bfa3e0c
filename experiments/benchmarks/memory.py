"""Seconds and peak memory of `jaxsr.restore` with many photos, in a process of its own."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

import jaxsr
from benchmarks.steps import bundled_networks
from jaxsr import flags, loading, operators
from jaxsr.methods.setups import make_solve
from jaxsr.search import Solve, mesh_of, rows_at_once
from jaxsr.types import Params

# What a method's last phase searches: weights take more memory.
SEARCHED = {"pulse": "latents", "rls": "latents", "rlse": "weights", "rls_plus": "weights"}
STEPS = 10  # of each phase
# Photos in a batch of `restore`, its default; one row of each method has as many on a CPU too.
TOGETHER = 8


class Batches(NamedTuple):
    """How many photos are restored, `rows` at once; None: as many as `restore` takes itself."""

    rows: int | None
    photos: tuple[int, ...]


BATCHES = (Batches(None, (1, 8, 64)), Batches(TOGETHER, (TOGETHER,)))
SMOKE_BATCHES = (Batches(None, (2,)),)


def table(
    source: str,
    factor: int,
    *,
    searched: Mapping[str, str],
    batches: Sequence[Batches],
    cache: str,
) -> Iterator[dict]:
    """A row for each method and number of photos. A first process compiles, so that the peaks of
    the others are those of restoring alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for method, kind in searched.items():
            for rows, counts in batches:
                job = Restoration(source, factor, method, counts[0], rows, cache)
                compile_s = pool.submit(restoration, job).result()["compile_s"]
                for photos in counts:
                    found = pool.submit(restoration, job._replace(photos=photos)).result()
                    names = {"method": method, "searched": kind, "photos": photos}
                    yield {**names, **found, "compile_s": compile_s}


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
    shape = (prior.info.resolution, prior.info.resolution, 3)
    operator = operators.downsample(job.factor, image_shape=shape)
    solve, params = make_solve(prior, params, operator, bundled_networks(job.method, STEPS))
    draw = jax.jit(lambda key, params: operator(prior.decode(params, prior.sample(key, params))))
    # One by one: not the peak.
    ys = np.stack([draw(key, params) for key in jax.random.split(jax.random.key(0), job.photos)])
    rows, before = job.rows or rows_at_once(TOGETHER), peak_mb()
    first, again = (seconds_of_restore(solve, params, ys[:rows], rows) for _ in range(2))
    seconds = seconds_of_restore(solve, params, ys, rows)
    device, devices = jax.devices()[0], mesh_of(rows).size
    on_device = (device.memory_stats() or {}).get("peak_bytes_in_use", float("nan"))
    return {
        "devices": devices,
        "rows_a_device": rows // devices,
        "compile_s": first - again,
        "ms_a_photo_step": 1e3 * seconds / job.photos / sum(phase.steps for phase in solve.phases),
        "before_mb": before,
        "peak_mb": peak_mb(),
        "device_peak_mb": on_device / 1e6,
    }


def seconds_of_restore(solve: Solve, params: Params, ys: np.ndarray, rows: int) -> float:
    start = time.perf_counter()
    jaxsr.restore(solve, params, ys, rows=rows, progress=False)
    return time.perf_counter() - start


def peak_mb() -> float:
    """The largest resident memory that this process has had. Linux tells its own since it started
    (getrusage would begin with the parent's peak), macOS counts in bytes."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def cache_in(folder: str) -> None:
    """Compiled programs are kept in `folder` from now on, and looked up nowhere else."""
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
