"""PULSE: search on spheres for an image that downscales to the measurement (Menon et al., CVPR
2020, arXiv:2003.03808)."""

import dataclasses
from typing import ClassVar, Literal, Protocol, runtime_checkable

import jax.numpy as jnp

from jaxsr.methods import _common, _sizes, _spheres
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_images, check_prior
from jaxsr.search import Phase, Solve, bound, objectives, transforms
from jaxsr.settings import Needing, Presets, iterates, resolve
from jaxsr.types import Drawn, Measurement, Params, Scalar

PAPER = {
    **_spheres.SETTINGS,
    "fit": "l2",
    "fit_weight": 100.0,
    "geocross_weight": 0.05,
    "radius": "sqrt_d",
    "fitted": False,
}
CODE = {**PAPER, "radius": "draw"}
SCALED = {**PAPER, "fitted": True}
FITS = {"l2": (objectives.l2, 1.0), "l1": (objectives.l1, 10.0)}


@dataclasses.dataclass(frozen=True)
class PULSE:
    """Settings of PULSE; a field left at None takes the preset's value.

    The paper's text fixes 100 steps, step size 0.4, a random start and the sphere of radius
    sqrt(d); the numbers of the rest (weights, eps, schedule, noise) are the released code's, so
    "paper" and "code" share them. They differ in the radius: sqrt(d) for preset "paper", the norm
    of the random start, near sqrt(d), for "code". The release's -duplicates k are k results under k
    seeds. "scaled" is "paper" with its geodesic cross term, which grows with the dimension of w,
    brought to the prior's sizes (`_sizes`); the whitened v on its sphere, the noise and the fit, a
    mean, depend on no size.

    Attributes:
        steps: iterates.
        learning_rate: of Adam, the peak of the schedule.
        schedule: of the step size: "fixed", "linear1cycle" or "linear1cycledrop".
        fit: "l2", max(mean (A(image) - y)^2, eps), or "l1", 10 max(mean |A(image) - y|, eps); no
            gradient once below eps.
        fit_weight: of the fit.
        geocross_weight: of the geodesic cross term on w+ (0 with a tiled latent, whose rows are
            equal).
        eps: largest feasible residual (mean square on [0, 1]).
        tile_latent: one v for all layers, a search in W.
        noise: "trainable": the first maps are searched on spheres; "fixed": all stay as drawn;
            "zero": there is none.
        num_noise: how many noise maps, coarsest first, are searched; the others stay as drawn.
        bad_noise_layer: the index of a map that is set to zero, 17 (StyleGAN1 at 1024 px); ignored
            if the prior has fewer maps.
        radius: of the spheres of v, the whitened w: "sqrt_d" or "draw".
        fitted: whether geocross_weight is for the paper's network and is brought to the prior's
            sizes; else it is taken as it is.
    """

    preset: Literal["paper", "code", "scaled"] = "paper"
    steps: int | None = iterates()
    learning_rate: float | None = None
    schedule: Literal["fixed", "linear1cycle", "linear1cycledrop"] | None = None
    fit: Literal["l2", "l1"] | None = None
    fit_weight: float | None = None
    geocross_weight: float | None = None
    eps: float | None = None
    tile_latent: bool | None = None
    noise: Literal["trainable", "fixed", "zero"] | None = None
    num_noise: int | None = None
    bad_noise_layer: int | None = None
    radius: Literal["sqrt_d", "draw"] | None = None
    fitted: bool | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER, "code": CODE, "scaled": SCALED}
    NEEDS: ClassVar[tuple[str, ...]] = ("statistics",)


@runtime_checkable
class Settings(_spheres.Settings, Needing, Protocol):
    """Settings of PULSE, resolved; see PULSE."""

    fit: str
    fit_weight: float
    geocross_weight: float
    eps: float
    fitted: bool


def pulse(prior: Prior, operator: Operator, config: PULSE = PULSE()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise": tuple of [r,
    r]}; for a prior without w (PGGAN, BigGAN) with latent {"z": [z_dim]}, see `_in_z`.

    v [L, d] is standard normal at the start (each row another code) and w_plus = LeakyReLU_0.2(v
    std + mean); each row of v and each searched noise map is put back on its sphere after every
    step of Adam. Departures from the released code: loss and feasibility are per image, feasibility
    is judged on the unclamped residual, and the best iterate (smallest loss) is returned instead of
    the last, feasible or not.

    Raises:
        ValueError: the prior's images are not the operator's; at solve time also if y has the wrong
            shape or, for a prior with w, params has no "statistics".
    """
    check_images(prior, operator)
    settings = resolve(config, operator, PULSE)
    return (_in_z if prior.map is None else _in_w_plus)(prior, operator, settings)


def _in_w_plus(prior: Prior, operator: Operator, settings: Settings) -> Solve:
    check_prior("pulse", prior, operator)

    def start(key, params, y, previous):
        _common.check_inputs("pulse", settings, operator, params, y)
        return _spheres.start(prior, settings, key, params)

    def loss(params, y, context, variables):
        image, latent = _spheres.decode(prior, params, variables, context)
        data, fit = _misfit(settings, operator, params, image, y)
        geocross = objectives.geocross(latent["w_plus"])
        own = _sizes.sizes(prior, params, settings.fitted)
        weight = settings.geocross_weight * _sizes.geocross(own)
        return data + weight * geocross, {settings.fit: fit, "geocross": geocross}

    def finish(params, y, variables, context):
        return _spheres.decode(prior, params, variables, context)

    return Solve(
        (Phase(settings.steps, start, loss, _spheres.adam(settings), _spheres.project),),
        finish,
        operator,
        settings.eps,
    )


def _in_z(prior: Prior, operator: Operator, settings: Settings) -> Solve:
    """The search in z of a prior without w, as e-GLASS restarts it (Montanaro et al., section 4).

    z starts as the prior draws it and is put back to the norm of that draw after every step. The
    latent is one vector, as for IAGAN: BigGAN's without a label ends with a class's vector, and the
    norm is that of both. There are no rows to cross, no noise maps and nothing to whiten, so that
    `radius`, `geocross_weight`, `tile_latent` and the settings of noise are not read.
    """

    def start(key, params, y, previous):
        _common.check_measurement(operator, y)
        z = prior.sample(key, params)
        return {"z": z}, {"radius": transforms.norm(z)}

    def loss(params, y, context, variables):
        image = prior.decode(params, variables["z"])
        data, fit = _misfit(settings, operator, params, image, y)
        return data, {settings.fit: fit}

    def project(context, variables):
        return {"z": transforms.project_to_sphere(variables["z"], context["radius"])}

    def finish(params, y, variables, context):
        return prior.decode(params, variables["z"]), variables

    phase = Phase(settings.steps, start, loss, _spheres.adam(settings), project)
    return Solve((phase,), finish, operator, settings.eps)


def _misfit(
    settings: Settings, operator: Operator, params: Params, image: Drawn, y: Measurement
) -> tuple[Scalar, Scalar]:
    """The weighted data term, flat once below eps, and the fit itself. A photo's own eps is a mean
    square, so that "l1", whose fit is none, keeps the setting."""
    distance, gain = FITS[settings.fit]
    fit = distance(operator(image), y)
    eps = bound(params, settings.eps) if settings.fit == "l2" else settings.eps
    return settings.fit_weight * gain * jnp.maximum(fit, eps), fit
