"""Several photos at once on one device, each with generator weights of its own: a step of each
tuning method under every strategy.

`benchmark.py` prints the table and holds its numbers; here are the strategies.

- photo by photo: the whole step for one photo after the other.
- grouped: all photos at once; a convolution whose kernels differ is XLA's grouped convolution.
- layer by layer: all photos at once, but such a convolution and its gradients take one photo after
  the other.
- patches: all photos at once; such a convolution is one batched matrix product of patches with
  the kernels.
"""

import functools
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.clock import compiled, timed
from jaxsr import search
from jaxsr.methods.setups import Setup, make_solve
from jaxsr.nets import convolution
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.types import Params


def one_step(phase: search.Phase, many: Callable) -> Callable:
    """(params, ys, states) -> states and trace of one step of all photos, by `many`: `at_once`
    or `in_turn`."""
    return many(functools.partial(search.advance, phase, length=1))


def starts(
    solve: search.Solve, params: Params, batch: int
) -> Iterator[tuple[search.Phase, jax.Array, search.State]]:
    """(phase, measurements, state) of each phase for `batch` grey photos, from where the phase
    before started."""
    keys = jax.random.split(jax.random.key(0), batch)
    ys, previous = jnp.full((batch, *solve.operator.measurement_shape), 0.5), None
    for phase in solve.phases:
        state = jax.jit(jax.vmap(functools.partial(search.begin, phase), (0, None, 0, 0)))(
            keys, params, ys, previous
        )
        yield phase, ys, state
        previous = (state.best, state.context)


class Tuning(NamedTuple):
    """A method whose last phase tunes the weights, and the search of latents alone that its step is
    compared with (the first phase)."""

    method: Setup
    latent_only: Setup


TUNING = {
    "rlse": Tuning(Setup("rlse"), Setup("pulse")),
    "rls_plus": Tuning(Setup("rls_plus"), Setup("rls")),
    "iagan": Tuning(Setup("iagan"), Setup("iagan", settings={"starts": 1})),
}


def at_once(step: Callable) -> Callable:
    """(params, ys, states) -> states, all photos vectorised."""
    return jax.vmap(step, (None, 0, 0))


def in_turn(step: Callable) -> Callable:
    """(params, ys, states) -> states, one photo after the other."""
    return lambda params, ys, states: jax.lax.map(lambda photo: step(params, *photo), (ys, states))


def patches(x: jax.Array, kernel: jax.Array, padding: convolution.Padding) -> jax.Array:
    """The convolution of a `convolution.Rule`: one matrix product a photo, of all patches [kh kw c]
    with the kernel."""
    photos, n = x.shape[:2]
    kh, kw, c, d = kernel.shape[1:]
    padded = jnp.pad(x, ((0, 0), (0, 0), *padding, (0, 0)))
    height, width = padded.shape[2] - kh + 1, padded.shape[3] - kw + 1
    taps = [padded[:, :, i : i + height, j : j + width] for i in range(kh) for j in range(kw)]
    rows = jnp.concatenate(taps, -1).reshape(photos, n * height * width, kh * kw * c)
    return (rows @ kernel.reshape(photos, kh * kw * c, d)).reshape(photos, n, height, width, d)


def patches_by_input(
    cotangent: jax.Array, kernel: jax.Array, padding: convolution.Padding
) -> jax.Array:
    """The gradient by x of the same."""
    return patches(cotangent, *convolution.turned(kernel, padding))


PATCHES = convolution.Rule(patches, patches_by_input, convolution.GROUPED.by_kernel)

# name -> (how a step becomes a step of many, how a convolution with differing kernels is run)
STRATEGIES: dict[str, tuple[Callable, convolution.Rule]] = {
    "photo by photo": (in_turn, convolution.ONE_BY_ONE),
    "grouped": (at_once, convolution.GROUPED),
    "layer by layer": (at_once, convolution.ONE_BY_ONE),
    "patches": (at_once, PATCHES),
}


def chosen() -> str:
    """The strategy that the library takes on this platform."""
    rule = convolution.RULES.get(jax.default_backend(), convolution.RULES["default"])
    return next(name for name, strategy in STRATEGIES.items() if strategy == (at_once, rule))


class Case(NamedTuple):
    """One program of the table, compiled."""

    method: str
    strategy: str
    photos: int
    program: jax.stages.Compiled
    compile_s: float
    args: tuple


def table(
    prior: Prior,
    params: Params,
    operator: Operator,
    *,
    methods: tuple[str, ...],
    strategies: Collection[str],
    sizes: tuple[int, ...],
    repeats: int,
) -> Iterator[dict]:
    """A row for each method, number of photos and strategy. `over_one`: the step's time over that
    of one photo alone as the library runs it; as large as the number of photos where nothing is
    gained by running them together."""
    for name in methods:
        made = [
            case
            for batch in sizes
            for case in cases(prior, params, operator, name, strategies, batch)
        ]
        seconds = timed(
            *(functools.partial(case.program, *case.args) for case in made), repeats=repeats
        )
        times = {
            (case.method, case.strategy, case.photos): median
            for case, (median, _) in zip(made, seconds, strict=True)
        }
        for case, (median, spread) in zip(made, seconds, strict=True):
            # One photo alone is run in one way: a search of latents has no strategy.
            of_one = chosen() if case.strategy else ""
            alone = times.get((case.method, of_one, 1), float("nan"))
            yield row(case, median, spread) | {"over_one": median / alone}


def cases(
    prior: Prior,
    params: Params,
    operator: Operator,
    name: str,
    strategies: Collection[str],
    batch: int,
) -> Iterator[Case]:
    """The search of latents alone as the library runs it, then the tuning under each strategy; for
    a photo alone they are one program."""
    solve, full = make_solve(prior, params, operator, TUNING[name].latent_only)
    phase, ys, state = next(starts(solve, full, batch))
    yield Case(
        f"{name}: latent alone",
        "",
        batch,
        *compiled(one_step(phase, at_once), full, ys, state),
        (full, ys, state),
    )
    solve, full = make_solve(prior, params, operator, TUNING[name].method)
    *_, (phase, ys, state) = starts(solve, full, batch)
    for strategy in strategies if batch > 1 else (chosen(),):
        many, rule = STRATEGIES[strategy]
        with convolution.one_rule(rule):
            program, compile_s = compiled(one_step(phase, many), full, ys, state)
        yield Case(name, strategy, batch, program, compile_s, (full, ys, state))


def row(case: Case, median: float, spread: float) -> dict:
    """What the table tells of a program whose step takes these seconds."""
    memory = case.program.memory_analysis()
    return {
        "method": case.method,
        "photos": case.photos,
        "strategy": case.strategy,
        "chosen": "yes" if case.strategy == chosen() else "",
        "compile_s": case.compile_s,
        "step_ms": 1e3 * median,
        "spread_ms": 1e3 * spread,
        "ms_a_photo": 1e3 * median / case.photos,
        "temporary_mb": getattr(memory, "temp_size_in_bytes", float("nan")) / 1e6,
    }
