"""BRGM: Bayesian reconstruction with a GAN prior over w (Marinescu et al., arXiv:2012.04567): the
maximum a posteriori."""

import dataclasses
import math
from typing import ClassVar, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jaxsr import operators
from jaxsr.methods import _common
from jaxsr.metrics.perceptual import check_side, perceptual
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_prior, tile
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import Presets, iterates, resolve
from jaxsr.types import AnyArray, Image, Measurement, Params, Scalar

# Numbers in LPIPS-VGG's five maps.
FEATURES_AT_256 = 64 * 256**2 + 128 * 128**2 + 256 * 64**2 + 512 * 32**2 + 512 * 16**2
PAPER = {
    "steps": 5000,
    "learning_rate": 0.1,
    "schedule": "projector",
    "fit_weight": 0.001 * 255**2,
    "perceptual_weight": 1.0,
    "prior_weight": 100.0,
    "cosine_weight": 3.0,
    "cosine": "mean",
    "side": "as_is",
    "start_spread": 0.01,
    "network": "vgg",
    "eps": 2e-3,
}
CODE = {
    **PAPER,
    "steps": 501,
    "schedule": "fixed",
    "perceptual_weight": 1e7 / FEATURES_AT_256,
    "cosine_weight": lambda config, operator: 1.0 if _factor(operator) > 16 else 0.1,
    "cosine": "sum",
    "side": "256",
    "start_spread": 0.0,
}


def _factor(operator: Operator) -> float:
    return math.sqrt(math.prod(operator.image_shape) / math.prod(operator.measurement_shape))


@dataclasses.dataclass(frozen=True)
class BRGM:
    """Settings of BRGM; a field left at None takes the preset's value.

    Preset "paper" is the paper's TensorFlow code, "code" the authors' PyTorch port, which most
    people run.

    Attributes:
        steps: iterates.
        learning_rate: of Adam, its peak.
        schedule: of the step size: "projector", StyleGAN2's (up over the first 5 %, down over the
            last 25 %), or "fixed".
        fit_weight: of the mean squared A(image) - y on [0, 1]; 0.001 on [0, 255].
        perceptual_weight: of LPIPS between A(image) and y; the port's 1e7 times a mean over the
            numbers of its maps at 256 px.
        prior_weight: of mean ((w - w_mean) / sigma)^2, where sigma is one number, the root mean
            square distance of w from its mean.
        cosine_weight: of |1 - cos(w_i, w_j)| over all ordered pairs of layers; the port's 0.1, and
            1 above factor 16.
        cosine: "mean" or "sum" over the pairs.
        side: LPIPS sees measurements "as_is" (area means of those above 256 px) or all at "256" px
            (bilinear).
        start_spread: the start is w_mean plus one normal number, the same for every entry, times
            this and sigma.
        network: "vgg", LPIPS with VGG-16, or "features", the feature distance of the network that
            comes with the package.
        eps: largest feasible residual (mean square on [0, 1]); PULSE's, as BRGM has none.
    """

    preset: Literal["paper", "code"] = "paper"
    steps: int | None = iterates()
    learning_rate: float | None = None
    schedule: Literal["projector", "fixed"] | None = None
    fit_weight: float | None = None
    perceptual_weight: float | None = None
    prior_weight: float | None = None
    cosine_weight: float | None = None
    cosine: Literal["mean", "sum"] | None = None
    side: Literal["as_is", "256"] | None = None
    start_spread: float | None = None
    network: Literal["vgg", "features"] | None = None
    eps: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER, "code": CODE}
    NEEDS: ClassVar[tuple[str, ...]] = ("statistics", "perceptual")


def brgm(prior: Prior, operator: Operator, config: BRGM = BRGM()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise": tuple of [r,
    r]}.

    w+ is searched from the mean of w, the noise is drawn once. Departures: the cosine term is of
    the photo itself, where the port reads the first of the batch; the measurement is the
    operator's, where the port downscales without a filter.

    Raises:
        ValueError: the prior has no w space, or its images are not the operator's, or measurements
            are too small for VGG-16 as they are (16 px; side "256" enlarges them); at solve time
            also if params has no "statistics" or "perceptual", or y has the wrong shape.
    """
    check_prior("brgm", prior, operator)
    settings = resolve(config, operator, BRGM)
    check_fidelity("brgm", settings, operator)

    def start(key, params, y, previous):
        _common.check_inputs("brgm", settings, operator, params, y)
        key_w, key_noise = jax.random.split(key)
        mean, sigma = gaussian(params)
        w = mean + settings.start_spread * sigma * jax.random.normal(key_w)
        return {"w_plus": tile(prior, w)}, {"noise": prior.noise("random", params, key_noise)}

    def loss(params, y, context, variables):
        w_plus = variables["w_plus"]
        measured = operator(prior.synthesize(params, w_plus, context["noise"]))
        terms = {
            **fidelity(settings, operator, params, measured, y),
            "prior": log_prior(params, w_plus),
            "cosine": objectives.cosine(w_plus, settings.cosine),
        }
        return weighted(settings, terms), terms

    def finish(params, y, variables, context):
        return prior.synthesize(params, variables["w_plus"], context["noise"]), {
            **variables,
            **context,
        }

    tx = optax.adam(SCHEDULES[settings.schedule](settings.learning_rate, settings.steps))
    return Solve((Phase(settings.steps, start, loss, tx),), finish, operator, settings.eps)


@runtime_checkable
class Objective(Protocol):
    """Settings of BRGM and of its variational form that rule the objective, resolved; see BRGM."""

    fit_weight: float
    perceptual_weight: float
    prior_weight: float
    cosine_weight: float
    side: str
    network: str


def gaussian(params: Params) -> tuple[jax.Array, jax.Array]:
    """The mean of w [d] and the root mean square distance of w from it [], StyleGAN2's and both
    releases' one number."""
    return params["statistics"]["w_mean"], jnp.sqrt(jnp.sum(params["statistics"]["w_std"] ** 2))


def fidelity(
    settings: Objective, operator: Operator, params: Params, measured: Measurement, y: Measurement
) -> dict[str, Scalar]:
    """How far a measurement is from y: {"l2", "perceptual"}."""
    seen = [_seen(operators.as_image(operator, m), settings.side) for m in (measured, y)]
    compare = perceptual(settings.network).distance
    return {"l2": objectives.l2(measured, y), "perceptual": compare(params["perceptual"], *seen)}


def check_fidelity(method: str, settings: Objective, operator: Operator) -> None:
    """Raises ValueError if the network cannot see measurements of this size."""
    if settings.side == "as_is":
        check_side(method, settings.network, operators.image_side(operator))


def log_prior(params: Params, w_plus: jax.Array) -> Scalar:
    """mean ((w - w_mean) / sigma)^2: the negative logarithm of the Gaussian prior of w, but for
    factor and constant."""
    mean, sigma = gaussian(params)
    return jnp.mean(((w_plus - mean) / sigma) ** 2)


def weighted(settings: Objective, terms: dict[str, Scalar]) -> Scalar:
    """The objective of BRGM from its terms."""
    weights = {
        "l2": settings.fit_weight,
        "perceptual": settings.perceptual_weight,
        "prior": settings.prior_weight,
        "cosine": settings.cosine_weight,
    }
    return objectives.weighted(terms, weights)


def _projector(peak: float, steps: int) -> optax.Schedule:
    """StyleGAN2's projector (arXiv:1912.04958, appendix D): cosine down over the last quarter,
    linear up over the first twentieth."""

    def schedule(count):
        x = count / steps
        down = jnp.minimum(1.0, (1 - x) / 0.25)
        return peak * (0.5 - 0.5 * jnp.cos(down * jnp.pi)) * jnp.minimum(1.0, x / 0.05)

    return schedule


SCHEDULES = {"projector": _projector, "fixed": lambda peak, steps: optax.constant_schedule(peak)}


def _seen(image: Image, side: str) -> AnyArray:
    """What LPIPS sees of a measurement."""
    height, width = image.shape[:2]
    if side == "256":
        return (
            image
            if (height, width) == (256, 256)
            else jax.image.resize(image, (256, 256, 3), "linear")
        )
    times = max(1, math.ceil(max(height, width) / 256))
    if height % times or width % times:
        return jax.image.resize(
            image, (math.ceil(height / times), math.ceil(width / times), 3), "linear"
        )
    return image.reshape(height // times, times, width // times, times, 3).mean((1, 3))
