"""A step of each phase of each method, for some photos at once."""

from collections.abc import Iterator, Sequence

from benchmarks import weights
from benchmarks.clock import Limits, compiled, measured
from jaxsr.methods import METHODS
from jaxsr.methods.setups import Setup, make_solve
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.search import Solve
from jaxsr.settings import iterates_of
from jaxsr.types import Params


def table(
    prior: Prior,
    params: Params,
    operator: Operator,
    *,
    methods: Sequence[str],
    sizes: tuple[int, ...],
    rates: Limits,
    repeats: int,
) -> Iterator[dict]:
    """A row for each method, number of photos and phase."""
    for name in methods:
        solve, full = make_solve(prior, params, operator, bundled_networks(name))
        for batch in sizes:
            for row in rows(solve, full, batch, rates, repeats):
                yield {"method": name, **row}


def bundled_networks(method: str, steps: int | None = None) -> Setup:
    """The method with the feature network that comes with the package, BRGM as its code sets it;
    each phase of `steps` if given."""
    preset = "code" if method == "brgm" else "paper"
    settings = {} if steps is None else dict.fromkeys(iterates_of(METHODS[method].Config), steps)
    return Setup(method, preset, network="features", settings=settings)


def rows(solve: Solve, params: Params, batch: int, rates: Limits, repeats: int) -> Iterator[dict]:
    """A row for each phase: one step of it, for `batch` photos at once."""
    for number, (phase, ys, state) in enumerate(weights.starts(solve, params, batch), 1):
        step, args = weights.one_step(phase, weights.at_once), (params, ys, state)
        row, _ = measured(step, args, rates, repeats)
        again = compiled(step, *args)[1]
        yield {"phase": number, "photos": batch, **row, "compile_again_s": again}
