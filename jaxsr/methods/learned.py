"""Learned restorers as methods, one pass an image: LAREN (Zhang et al., arXiv:2208.02861) and GLEAN
(Chan et al., arXiv:2012.00739), GFPGAN (Wang et al., arXiv:2101.04061) and GPEN (Yang et al.,
arXiv:2105.06070) with a generator; VDSR (Kim et al., arXiv:1511.04587), FSRNet-style (Chen et al.,
arXiv:1711.10703) and the networks of ESRGAN (Wang et al., arXiv:1809.00219) and Real-ESRGAN
(arXiv:2107.10833) without."""

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


def srvgg(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `rrdb`, with Real-ESRGAN's small network."""
    return _learned("srvgg", prior, operator, config)


def fsrnet_style(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `vdsr`; FSRNet-style, pseudo-parsing: a network that is trained to tell classes of colours
    too."""
    return _learned("fsrnet_style", prior, operator, config)


def gfpgan(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `glean`; a U-Net scales and shifts half of the generator's channels."""
    return _learned("gfpgan", prior, operator, config)


def gpen(prior: Prior, operator: Operator, config: Learned = Learned()) -> Solve:
    """As `glean`; an encoder gives the latent and maps in place of noise to a generator that was
    trained with it."""
    return _learned("gpen", prior, operator, config)


def _learned(method: str, prior: Prior, operator: Operator, config: Learned) -> Solve:
    """A search of one step that searches nothing: its start is the result."""
    row = learned.RESTORERS[learned.names_of(method)[0]]
    learned.check_prior(method, row, prior, operator)
    settings = resolve(config, operator, Learned)
    folder = learned.find(method, prior, operator, settings.model)
    net = learned.read_net(folder)
    model = learned.bind(net, prior, operator)
    needs = settings.NEEDS if learned.is_free(net) else (*learned.NEEDS, *settings.NEEDS)

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
