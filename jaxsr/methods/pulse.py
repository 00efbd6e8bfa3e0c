"""PULSE: search on spheres for an image that downscales to the measurement (Menon et al., CVPR 2020, arXiv:2003.03808)."""

import dataclasses
import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax

from jaxsr import objectives, transforms
from jaxsr.methods import _common
from jaxsr.priors import Prior
from jaxsr.search import Phase, Solve

PAPER = {
    "steps": 100,
    "learning_rate": 0.4,
    "fit_weight": 100.0,
    "geocross_weight": 0.05,
    "eps": 2e-3,
    "num_noise": 5,
    "bad_noise_layer": 17,
    "radius": "sqrt_d",
}
CODE = {**PAPER, "radius": "draw"}


@dataclasses.dataclass(frozen=True)
class PULSE:
    """Settings of PULSE; a field left at None takes the preset's value.

    The paper's text fixes 100 steps, step size 0.4, a random start and the sphere of radius sqrt(d); the numbers of the rest (weights, eps,
    schedule, noise) are the released code's, so the two presets share them. They differ in the radius: sqrt(d) for preset "paper", the
    norm of the random start, near sqrt(d), for "code".

    Attributes:
        steps: iterates.
        learning_rate: peak of the schedule linear1cycledrop, of Adam.
        fit_weight: of max(mean squared A(image) - y, eps), which has no gradient once the image is feasible.
        geocross_weight: of the geodesic cross term on w+ (W+ only; the original's W is an infinite weight).
        eps: largest feasible residual (mean square on [0, 1]).
        num_noise: how many noise maps, coarsest first, are searched on spheres; the others stay as drawn.
        bad_noise_layer: the index of a map that is set to zero, 17 (StyleGAN at 1024 px); ignored if the prior has fewer maps.
        radius: of the spheres of v, the whitened w: "sqrt_d" or "draw".
    """

    preset: Literal["paper", "code"] = "paper"
    steps: int | None = None
    learning_rate: float | None = None
    fit_weight: float | None = None
    geocross_weight: float | None = None
    eps: float | None = None
    num_noise: int | None = None
    bad_noise_layer: int | None = None
    radius: Literal["sqrt_d", "draw"] | None = None

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"paper": PAPER, "code": CODE}


def pulse(prior: Prior, operator: Any, config: PULSE = PULSE()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise": tuple of [r, r]}.

    v [L, d] is standard normal at the start (each row another code) and w_plus = LeakyReLU_0.2(v std + mean); each row of v and each
    searched noise map is put back on its sphere after every step of Adam. Departures from the released code: loss and feasibility are
    per image, feasibility is judged on the unclamped residual, and the best iterate (smallest loss) is returned instead of the last,
    feasible or not.

    Raises:
        ValueError: the prior has no w space, or its images are not the operator's; at solve time also if params has no "statistics" or y
            has the wrong shape.
    """
    _common.check_prior("pulse", prior, operator)
    settings = _common.resolve(config, operator)

    def start(key, params, y, previous):
        _common.check_inputs("pulse", operator, params, y, needs=("statistics",))
        return _start(prior, settings, key, params)

    def decode(params, variables, context):
        w_plus = transforms.unwhiten(variables["v"], params["statistics"]["white_mean"], params["statistics"]["white_std"])
        noise = variables["noise"] + context["noise"]
        return prior.synthesize(params, w_plus, noise), {"w_plus": w_plus, "noise": noise}

    def loss(params, y, context, variables):
        image, latent = decode(params, variables, context)
        fit, geocross = objectives.l2(operator(image), y), objectives.geocross(latent["w_plus"])
        total = settings.fit_weight * jnp.maximum(fit, settings.eps) + settings.geocross_weight * geocross
        return total, {"l2": fit, "geocross": geocross}

    def finish(params, y, variables, context):
        return decode(params, variables, context)

    tx = optax.adam(transforms.linear1cycledrop(settings.learning_rate, settings.steps))
    return Solve((Phase(settings.steps, start, loss, tx, _project),), finish, operator, settings.eps)


def _start(prior: Prior, config: Any, key, params) -> tuple[dict, dict]:
    key_v, key_noise = jax.random.split(key)
    v = jax.random.normal(key_v, (prior.info.num_layers, prior.info.w_dim))
    if config.radius == "sqrt_d":
        v = transforms.project_to_sphere(v, jnp.asarray(math.sqrt(prior.info.w_dim)))
    noise = prior.noise("random", params, key_noise)
    noise = tuple(jnp.zeros_like(map) if i == config.bad_noise_layer else map for i, map in enumerate(noise))
    searched, fixed = noise[: config.num_noise], noise[config.num_noise :]
    radii = {"v": transforms.norm(v), "noise": tuple(transforms.norm(map, (-2, -1)) for map in searched)}
    return {"v": v, "noise": searched}, {"noise": fixed, "radii": radii}


def _project(context: dict, variables: dict) -> dict:
    radii = context["radii"]
    noise = (transforms.project_to_sphere(map, r, (-2, -1)) for map, r in zip(variables["noise"], radii["noise"], strict=True))
    return {"v": transforms.project_to_sphere(variables["v"], radii["v"]), "noise": tuple(noise)}
