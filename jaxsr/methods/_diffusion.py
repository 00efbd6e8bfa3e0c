"""What the methods with a diffusion model share: the model found, y brought to its range, and the
sampler's run as a search of one step."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax

from jaxsr import diffusion
from jaxsr.methods import _common
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_images
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import iterates, resolve
from jaxsr.types import Scalar

# (denoise, chain, draw, y of an image in [-1, 1]) -> image in [-1, 1].
Sampler = Callable[[diffusion.Denoise, diffusion.Chain, diffusion.Draw, jax.Array], jax.Array]
# (standard deviation of the photo's noise, on [0, 1]) -> what samples.
AtNoise = Callable[[Scalar | float], Sampler]
# Where params may have that noise: in place of the setting, it compiles once for all noises.
NOISE = "photo_noise"
SHARES = ("eta", "eta_b")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Settings that DDRM and DDNM have in common; a field left at None takes the preset's value.

    Attributes:
        model: folder of the diffusion model (experiments/train_diffusion.py, ports/convert.py);
            empty: the one that comes with the package for the prior's domain and size.
        steps: of the diffusion that are visited, evenly spaced.
        noise: standard deviation of the noise in the photo, on [0, 1].
        eta: share of fresh noise in a step, of what the photo does not tell (by the deviation), at
            most 1.
        eps: largest feasible residual (mean square on [0, 1]); PULSE's.
    """

    preset: Literal["paper"] = "paper"
    model: str = ""
    steps: int | None = iterates()
    noise: float | None = None
    eta: float | None = None
    eps: float | None = None

    NEEDS: ClassVar[tuple[str, ...]] = ("diffusion",)


def solve(
    prior: Prior, operator: Operator, config: Any, kind: type, sampler: Callable[[Any], AtNoise]
) -> Solve:
    """A search of one step whose start is the sampler's result, of a config of that kind; see the
    methods. What is outside of [0, 1] is clipped as in the releases, so that the residual is that
    of the picture that is seen."""
    check_images(prior, operator)
    settings, method = resolve(config, operator, kind), kind.__name__.lower()
    for name in SHARES:
        if getattr(settings, name, 0) > 1:
            raise ValueError(f"{name} must be at most 1, got {getattr(settings, name)}")
    model = diffusion.read(diffusion.find(prior, settings.model))
    chain = diffusion.chain(model.schedule, settings.steps)
    at_noise, shape = sampler(settings), tuple(operator.image_shape)

    def start(key, params, y, previous):
        _common.check_inputs(method, settings, operator, params, y)
        image = at_noise(params.get(NOISE, settings.noise))(
            diffusion.denoiser(model, params["diffusion"]),
            chain,
            lambda n: jax.random.normal(jax.random.fold_in(key, n), shape),
            2 * y - operator.apply(jnp.ones(shape)),
        )
        return {}, jnp.clip(0.5 + 0.5 * image, 0.0, 1.0)

    def loss(params, y, context, variables):
        fit = objectives.l2(operator(context), y)
        return fit, {"l2": fit}

    def finish(params, y, variables, context):
        return context, {}

    return Solve((Phase(1, start, loss, optax.identity()),), finish, operator, settings.eps)
