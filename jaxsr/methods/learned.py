"""Learned restorers as methods, one pass an image: LAREN (Zhang et al., arXiv:2208.02861) and GLEAN
(Chan et al., arXiv:2012.00739) around a generator; VDSR (Kim et al., arXiv:1511.04587) and ESRGAN's
network (Wang et al., arXiv:1809.00219) without."""

import dataclasses
from typing import ClassVar, Literal

import optax

from jaxsr import learned
from jaxsr.methods import _common
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import Presets, resolve

PAPER = {"eps": 2e-3}


@dataclasses.dataclass(frozen=True)
class Learned:
    """Settings of a learned restorer; a field left at None takes the preset's value.

    Attributes:
        model: folder of the trained network (experiments/train_restorer.py, or ports/convert.py);
            empty: the one that comes with the package for the prior and operator.
        eps: largest feasible residual (mean square on [0, 1]); PULSE's.
    """

    preset: Literal["paper"] = "paper"
    model: str = ""
    eps: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER}
    NEEDS: ClassVar[tuple[str, ...]] = ("learned",)


def laren(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise"} (or "styles"
    in place of w_plus): codes and maps.

    One pass of the network and the generator. The trace is the residual. The key draws the noise of
    a network that makes no maps. Params need "learned" (`jaxsr.learned.load`) and statistics of w.

    Raises:
        ValueError: a prior without a w space, or whose images are not the operator's, no model for
            them; at solve time if params lacks what it needs, or y has the wrong shape.
    """
    return _learned("laren", prior, operator, config)


def glean(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `laren`; the image comes from a decoder, so the latent is {}."""
    return _learned("glean", prior, operator, config)


def vdsr(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `laren`, for any prior, of which it takes nothing: the image is the measurement enlarged
    bicubically, and what the network adds; the latent is {}."""
    return _learned("vdsr", prior, operator, config)


def rrdb(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `laren`, for any prior, of which it takes nothing: ESRGAN's network, trained for the
    absolute error alone; the latent is {}."""
    return _learned("rrdb", prior, operator, config)


def esrgan(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `rrdb`, of a network that was trained against a discriminator."""
    return _learned("esrgan", prior, operator, config)


def _learned(method: str, prior: Prior, operator: Operator, config: Learned) -> Solve:
    """A search of one step that searches nothing: its start is the result."""
    kind = learned.kind_of(method)
    learned.check_kind(kind, method, prior, operator)
    settings = resolve(config, operator, Learned)
    folder = learned.find(method, prior, operator, settings.model)
    model = learned.bind(learned.read_net(folder), prior, operator)
    needs = (*(learned.KINDS[kind].needs or ()), *settings.NEEDS)

    def start(key, params, y, previous):
        _common.check_measurement(operator, y)
        _common.check_params(method, needs, params)
        return {}, model.restore(key, params, params["learned"], y)

    def loss(params, y, context, variables):
        fit = objectives.l2(operator(context[0]), y)
        return fit, {"l2": fit}

    def finish(params, y, variables, context):
        return context

    return Solve((Phase(1, start, loss, optax.identity()),), finish, operator, settings.eps)
