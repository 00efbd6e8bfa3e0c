"""The baselines without a prior: a measurement enlarged by bicubic, bilinear or nearest-neighbour
interpolation."""

import dataclasses
from typing import ClassVar, Literal

import optax

from jaxsr import operators
from jaxsr.methods import _common
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_images
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import Presets, resolve

PAPER = {"eps": 2e-3}


@dataclasses.dataclass(frozen=True)
class Interpolation:
    """Settings of an interpolation; a field left at None takes the preset's value.

    Attributes:
        eps: largest feasible residual (mean square on [0, 1]); PULSE's.
    """

    preset: Literal["paper"] = "paper"
    eps: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER}
    NEEDS: ClassVar[tuple[str, ...]] = ()


def bicubic(prior: Prior, operator: Operator, config: Interpolation = Interpolation()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {}: y enlarged with Keys' kernel (a =
    -0.5), not clipped.

    The trace is the residual. A measurement that is as large as the image comes back as it is, a
    grey one in three channels; one that is no image becomes the image of least norm that explains
    it. Key and params are not used.

    Raises:
        ValueError: the prior's images are not the operator's; at solve time if y has the wrong
            shape.
    """
    return _interpolation("bicubic", prior, operator, config)


def bilinear(prior: Prior, operator: Operator, config: Interpolation = Interpolation()) -> Solve:
    """As `bicubic`, with the triangle kernel."""
    return _interpolation("bilinear", prior, operator, config)


def nearest(prior: Prior, operator: Operator, config: Interpolation = Interpolation()) -> Solve:
    """As `bicubic`, by repeating pixels."""
    return _interpolation("nearest", prior, operator, config)


def _interpolation(kernel: str, prior: Prior, operator: Operator, config: Interpolation) -> Solve:
    """A search of one step that searches nothing, so that it runs, and is judged, like every
    method."""
    check_images(prior, operator)
    settings = resolve(config, operator, Interpolation)

    def start(key, params, y, previous):
        _common.check_inputs(kernel, settings, operator, params, y)
        return {}, {}

    def loss(params, y, context, variables):
        fit = objectives.l2(operator(operators.enlarged(operator, y, kernel)), y)
        return fit, {"l2": fit}

    def finish(params, y, variables, context):
        return operators.enlarged(operator, y, kernel), {}

    return Solve((Phase(1, start, loss, optax.identity()),), finish, operator, settings.eps)
