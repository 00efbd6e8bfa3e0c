"""The method for a prior and an operator, as far as was measured: what `--method=auto` takes. The
best, where a photo is to be restored; the soonest, where others are explored from its result."""

from pathlib import Path
from typing import NamedTuple

from jaxsr import learned, weights
from jaxsr.methods import METHODS
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.types import Params

AUTO = "auto"


class Choice(NamedTuple):
    """A method, its preset, and in a line why it was taken."""

    method: str
    preset: str
    why: str


def choose(prior: Prior, params: Params, operator: Operator, *, solutions: int = 1) -> Choice:
    """A learned restorer where one comes with the package for this generator and operator, of
    several the one of least feature distance; else the search that needs most of what the prior
    has: RLS+ a flow, PULSE statistics of w, IAGAN nothing. Measured on 200 photos with pbc64, moved
    to explain them (its card has the table): by feature distance and type LAREN is the best at 8x,
    and RLS+ "scaled" the best search at 8x and 4x; bicubic has a little more PSNR and SSIM.

    Args:
        prior: what restores.
        params: its parameters.
        operator: what the photo lacks.
        solutions: wanted for each photo; a network that draws nothing at random has one.
    """
    found = _networks(prior, params, operator, solutions=solutions)
    if found:
        name, folder = min(found, key=lambda each: _distance(each[1]))
        return Choice(name, "paper", f"{folder.name} was trained for this prior and operator")
    lacks = f"no network comes with the package for {prior.info.name!r} and {operator.name}"
    if solutions > 1:
        lacks = "a search finds several solutions"
    if prior.map is None:
        return Choice("iagan", "paper", f"{lacks}; it takes priors without a w")
    if "flow" not in params:
        return Choice("pulse", "scaled", f"{lacks}, and the prior has no flow for RLS+")
    return Choice("rls_plus", "scaled", f"{lacks}; RLS+ does without")


def soonest(prior: Prior, params: Params, operator: Operator, space: str | None = None) -> Choice:
    """The method that finds a solution first, to explore from in a latent space of
    `jaxsr.explore.SPACES` (None: any).

    Measured on 16 validation photos with pbc64 (CPU seconds, compiling included; all residuals
    below 0.01): LAREN takes 9, PULSE 24 at 8x, 4x and with the centre missing, IAGAN with one start
    of 100 and 100 steps 55.
    """
    if space == "z" and prior.map is not None:
        return Choice("iagan", "paper", "it searches z, which is to be explored")
    has_statistics = "statistics" in params
    if has_statistics and learned.fitting("laren", prior, params, operator):
        return Choice(
            "laren", "paper", "one pass of the network that comes with this prior and operator"
        )
    if prior.map is None or has_statistics:
        why = "no learned network fits, and this search is the quickest to a solution"
        return Choice("pulse", "paper", why)
    return Choice("iagan", "paper", "the prior has no statistics of w, which quicker searches need")


def _networks(
    prior: Prior, params: Params, operator: Operator, *, solutions: int
) -> list[tuple[str, Path]]:
    """The methods whose network comes with the package and fits, and its folder."""
    methods = [name for name, method in METHODS.items() if method.kind == "learned"]
    folders = [(name, learned.fitting(name, prior, params, operator)) for name in methods]
    return [
        (name, folder)
        for name, folder in folders
        if folder and (solutions == 1 or not learned.is_deterministic(learned.read_net(folder)))
    ]


def _distance(folder: Path) -> float:
    """A network's feature distance to the photos that it was judged by."""
    return weights.read_config(folder)["validation"]["distance"]
