"""Seconds and memory of both metrics' eigenvectors by latent size, dense and matrix-free, each in a
process of its own.

The generators are StyleGAN2 with random weights, as wide as the bundled prior's where they have its
resolutions; the perceptual network is the discriminator. 9,216 dimensions are the w+ of a generator
of 1,024 px, here a narrow one.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from benchmarks.memory import peak_mb
from tqdm import tqdm

from jaxsr import explore, operators
from jaxsr.explore import Config, Problem, Start, pullback
from jaxsr.flags import keep_freed_memory
from jaxsr.nets import stylegan2
from jaxsr.records.ledger import Ledger
from jaxsr.types import Params

# Pairs of each metric; columns that stand for all above MOST_DENSE dimensions.
RANK, FEW, MOST_DENSE = 64, 16, 4096
WIDTHS = (64, 64, 64, 48, 24, 12, 8, 4, 4)  # of 4, 8, ... 1024 px


Solver = Literal["dense", "matrix-free"]
SOLVERS: tuple[Solver, ...] = ("dense", "matrix-free")


class Case(NamedTuple):
    """A latent space of a random generator, and how its eigenvectors are found."""

    latent: Literal["w", "w_plus"]
    width: int
    resolution: int
    solver: Solver

    @property
    def name(self) -> str:
        return f"{self.latent} {self.width} at {self.resolution} px, {self.solver}"


CASES = (
    *(Case("w", 128, 64, solver) for solver in SOLVERS),
    *(Case("w", 512, 64, solver) for solver in SOLVERS),
    *(Case("w_plus", 512, 32, solver) for solver in SOLVERS),
    *(Case("w_plus", 512, 1024, solver) for solver in SOLVERS),
)
SMOKE = (Case("w", 8, 8, "dense"), Case("w", 8, 8, "matrix-free"))


def measure(ledger: Ledger, *, smoke: bool) -> None:
    """Adds the rows that are missing; a case that runs out of memory gets a row that says so."""
    done = {key[3] for key in ledger.rows() if key[0] == "cost"}
    todo = [case for case in (SMOKE if smoke else CASES) if case.name not in done]
    for case in tqdm(todo, unit="case", dynamic_ncols=True):
        try:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                row = {"status": "ok", **pool.submit(cost, case).result()}
        except BrokenProcessPool:
            row = {
                "status": "error",
                "error": f"{case.name}: the process was killed, most likely for lack of memory",
            }
        ledger.add([{"table": "cost", "condition": "", "photo": "", "name": case.name, **row}])


def cost(case: Case) -> dict[str, Any]:
    """Runs in the new process."""
    keep_freed_memory()
    problem, params, start = _problem(case)
    size, before = start.latent.size, peak_mb()
    row = (_dense if case.solver == "dense" else _matrix_free)(problem, params, start)
    shown = {
        "latent": case.latent,
        "dimensions": size,
        "resolution": case.resolution,
        "solver": case.solver,
    }
    return {**shown, **row, "before_mb": before, "peak_mb": peak_mb()}


def _problem(case: Case) -> tuple[Problem, Params, Start]:
    widths = WIDTHS[: case.resolution.bit_length() - 2]
    net = stylegan2.Config(
        resolution=case.resolution,
        z_dim=case.width,
        w_dim=case.width,
        mapping_layers=2,
        channels=widths,
    )
    prior = stylegan2.stylegan2(net)
    params = jax.jit(stylegan2.init, static_argnums=1)(jax.random.key(0), net)
    operator = operators.downsample(
        min(8, case.resolution // 2), image_shape=(case.resolution, case.resolution, 3)
    )
    problem = explore.problem(
        prior, operator, Config(space=case.latent, perceptual="discriminator")
    )
    latent = {"z": prior.sample(jax.random.key(1), params)}
    return problem, params, explore.start(prior, case.latent, params, latent)


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    value = jax.block_until_ready(function())
    return time.perf_counter() - begun, value


def _dense(problem: Problem, params: Params, start: Start) -> dict[str, Any]:
    """Both metrics whole and their `eigh`; above MOST_DENSE the products of FEW columns, scaled,
    without `eigh`."""
    size = start.latent.size
    if size > MOST_DENSE:

        @jax.jit
        def few(params, latent, rows):
            return jax.lax.map(
                pullback.products(lambda z: problem.both(params, start, z), latent),
                rows,
                batch_size=FEW,
            )

        first, again = (
            _timed(lambda: few(params, start.latent, jnp.eye(FEW, size)))[0] for _ in range(2)
        )
        of = f"{FEW} columns, scaled, without eigh"
        return {
            "compile_s": first - again,
            "seconds": again * size / FEW,
            "of": of,
            "k": size,
            "products": 2 * size,
        }

    def whole(params, latent):
        return pullback.metrics(
            lambda z: problem.both(params, start, z), latent, chunk=problem.config.chunk
        )

    compile_s, program = _timed(lambda: jax.jit(whole).lower(params, start.latent).compile())
    seconds, found = _timed(lambda: [pullback.eigen(h) for h in program(params, start.latent)])
    return {
        "compile_s": compile_s,
        "seconds": seconds,
        "of": "all",
        "k": len(found[0].values),
        "products": 2 * size,
    }


def _matrix_free(problem: Problem, params: Params, start: Start) -> dict[str, Any]:
    """The RANK largest pairs of both metrics, by the block Krylov method."""
    size, calls = start.latent.size, 0
    compile_s, seconds = 0.0, 0.0
    for products in _products(problem, params, start):
        rows = jnp.eye(min(pullback.BLOCK, size), size)
        first, again = (
            _timed(lambda products=products, rows=rows: products(rows))[0] for _ in range(2)
        )

        def counted(rows: jax.Array, products: Callable = products) -> jax.Array:
            nonlocal calls
            calls += 1
            return products(rows)

        taken, _ = _timed(
            lambda counted=counted: (
                pullback.top_eigen(counted, size, min(RANK, size), jax.random.key(2)).values
            )
        )
        compile_s, seconds = compile_s + first - again, seconds + taken
    return {
        "compile_s": compile_s,
        "seconds": seconds,
        "of": "all",
        "k": min(RANK, size),
        "products": calls * min(pullback.BLOCK, size),
    }


def _products(
    problem: Problem, params: Params, start: Start
) -> Iterator[Callable[[jax.Array], jax.Array]]:
    """rows -> H applied to each, of H_Y and of H_X."""
    for phi in (problem.measure, problem.embed):

        def products(params, latent, rows, phi=phi):
            return jax.lax.map(
                pullback.product(lambda z: phi(params, start, z), latent),
                rows,
                batch_size=len(rows),
            )

        compiled = jax.jit(products)
        yield lambda rows, compiled=compiled: compiled(params, start.latent, rows)
