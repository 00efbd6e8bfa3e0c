"""IAGAN: image-adaptive GAN (Hussein et al., AAAI 2020, arXiv:1906.05284): z searched, then refined
together with the generator."""

import dataclasses
from typing import ClassVar, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jaxsr.methods import _common
from jaxsr.methods.projection import consistent
from jaxsr.operators import Operator
from jaxsr.priors import GENERATOR, Prior, check_images
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import Needing, Presets, count, iterates, resolve
from jaxsr.types import Drawn, Measurement, Params

PAPER = {
    "steps": 1800,
    "learning_rate": 0.1,
    "starts": 5,
    "refine_steps": 300,
    "refine_learning_rate": 1e-4,
    "generator_learning_rate": 1e-3,
    "fit_weight": 4.0,
    "back_projection": True,
    "eps": 2e-3,
}


@dataclasses.dataclass(frozen=True)
class IAGAN:
    """Settings of IAGAN; a field left at None takes the preset's value. Preset "paper" is the
    released code's.

    Attributes:
        steps: iterates of the search for z (CSGM), of each start.
        learning_rate: of its Adam.
        starts: random z, of which the one with the smallest residual goes on.
        refine_steps: iterates in which z and all of the generator's weights are refined together.
        refine_learning_rate: of z.
        generator_learning_rate: of the weights.
        fit_weight: of the mean squared A(image) - y; 4, because the release's images lie in [-1,
            1].
        back_projection: x + pinv(y - A x) at the end, which fits the measurement exactly where it
            can be fitted.
        eps: largest feasible residual (mean square on [0, 1]); PULSE's, as IAGAN has none.
    """

    preset: Literal["paper"] = "paper"
    steps: int | None = iterates()
    learning_rate: float | None = None
    starts: int | None = count()
    refine_steps: int | None = iterates()
    refine_learning_rate: float | None = None
    generator_learning_rate: float | None = None
    fit_weight: float | None = None
    back_projection: bool | None = None
    eps: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER}
    NEEDS: ClassVar[tuple[str, ...]] = ()


def iagan(prior: Prior, operator: Operator, config: IAGAN = IAGAN()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"z": [z_dim], "residual_before": []},
    the latter with back_projection.

    Works on any prior: it needs `sample` and `decode` alone. The starts share one best iterate,
    that of the smallest sum of their residuals. The image comes from weights that were tuned for it
    and are not returned. The pseudo-inverse is the true one, where the release enlarges by an
    interpolation.

    Raises:
        ValueError: the prior's images are not the operator's; at solve time also if y has the wrong
            shape.
    """
    check_images(prior, operator)
    settings = resolve(config, operator, IAGAN)

    def finish(params, y, variables, context):
        image = _decode(prior, params, variables)
        if not settings.back_projection:
            return image, {"z": variables["z"]}
        before = objectives.l2(operator(image), y)
        return consistent(operator, image, y), {
            "z": variables["z"],
            "residual_before": before,
        }

    phases = (_search(prior, operator, settings), _refinement(prior, operator, settings))
    return Solve(phases, finish, operator, settings.eps, lambda variables: variables["weights"])


def _decode(prior: Prior, params: Params, variables: dict) -> Drawn:
    return prior.decode({**params, **variables["weights"]}, variables["z"])


def _residuals(
    prior: Prior, operator: Operator, params: Params, y: Measurement, z: jax.Array
) -> jax.Array:
    return jax.vmap(lambda z: objectives.l2(operator(prior.decode(params, z)), y))(z)


@runtime_checkable
class Settings(Needing, Protocol):
    """Settings of IAGAN that rule its two phases, resolved; see IAGAN."""

    steps: int
    learning_rate: float
    starts: int
    refine_steps: int
    refine_learning_rate: float
    generator_learning_rate: float
    fit_weight: float


def _search(prior: Prior, operator: Operator, config: Settings) -> Phase:
    """CSGM from several starts at once: variables {"z": [starts, z_dim]}."""

    def start(key, params, y, previous):
        _common.check_inputs("iagan", config, operator, params, y)
        keys = jax.random.split(key, config.starts)
        return {"z": jax.vmap(prior.sample, (0, None))(keys, params)}, {}

    def loss(params, y, context, variables):
        each = _residuals(prior, operator, params, y, variables["z"])
        # The gradient of a sum is each start's own.
        return config.fit_weight * jnp.sum(each), {"l2": jnp.min(each)}

    return Phase(config.steps, start, loss, optax.adam(config.learning_rate))


def _refinement(prior: Prior, operator: Operator, config: Settings) -> Phase:
    """The best z and the generator together: variables {"z": [z_dim], "weights"}."""

    def start(key, params, y, previous):
        z = previous[0]["z"]
        best = jnp.argmin(_residuals(prior, operator, params, y, z))
        return {
            "z": z[best],
            "weights": {name: params[name] for name in GENERATOR if name in params},
        }, {}

    def loss(params, y, context, variables):
        fit = objectives.l2(operator(_decode(prior, params, variables)), y)
        return config.fit_weight * fit, {"l2": fit}

    adam = {
        "z": optax.adam(config.refine_learning_rate),
        "weights": optax.adam(config.generator_learning_rate),
    }
    return Phase(
        config.refine_steps,
        start,
        loss,
        optax.partition({**adam}, {"z": "z", "weights": "weights"}),
    )
