"""RLSE: PULSE's search guided by the GAN's own discriminator while the generator is fine-tuned (Shi
et al., ICASSP 2024)."""

import dataclasses
import math
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsr import operators
from jaxsr.methods import _common, _sizes, _spheres
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_prior
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import Presets, iterates, resolve
from jaxsr.types import Image, Measurement, Params, PRNGKey


def _entry(config: "RLSE", operator: Operator) -> str:
    return "resize" if operators.is_image(operator.measurement_shape) else "pinv"


PAPER = {
    **_spheres.SETTINGS,
    "generator_learning_rate": 5e-5,
    "pixel_weight": 100.0,
    "semantic_weight": 0.5,
    "geocross_weight": 500.0,
    "reduction": "norm",
    "blocks": 3,
    "entry": _entry,
    "radius": "draw",
    "fitted": False,
}
SCALED = {**PAPER, "fitted": True}
MEANS = {**PAPER, "geocross_weight": 0.05, "reduction": "mean"}
# A face of CelebA at 128 px, made small by 8.
MEASURED = 16 * 16 * 3


@dataclasses.dataclass(frozen=True)
class RLSE:
    """Settings of RLSE; a field left at None takes the preset's value.

    Preset "paper" takes the printed weights, step sizes and norms literally; "scaled" brings them
    from the paper's network and its measurements of 16 px to the prior's sizes and the operator's
    (`_sizes`). "means" is another objective, PULSE's scaling, under which the weight 100 was first
    used: means in place of norms, and its weight 0.05 of the geodesic cross term, of which the
    paper prints ten thousand times as much; no size makes it "paper". What the paper leaves open
    (schedule, noise, radius of the spheres) follows PULSE's released code in all. There is no
    preset "code": nothing is released.

    Attributes:
        steps: iterates.
        learning_rate: of the spherical Adam, the peak of the schedule.
        schedule: of that step size: "fixed", "linear1cycle" or "linear1cycledrop".
        generator_learning_rate: of Adam on the synthesis network; 0 leaves the generator as it is.
        pixel_weight: lambda_p, of L_p (eq. 3).
        semantic_weight: lambda_s, of L_s (eq. 4).
        geocross_weight: lambda_g, of L_g, PULSE's geodesic cross term on w+.
        reduction: "norm": L_p is the l2 norm of A(image) - y, L_s the sum of the blocks' l1 norms;
            "mean": the mean square, and the sum of the blocks' mean absolute differences.
        blocks: how many of the discriminator's blocks are compared, the last ones (all, if it has
            fewer). What leaves three is 16, 8 and 4 px wide; the convolution and the dense layers
            that follow at 4 px are its head.
        entry: how a measurement enters the discriminator: "resize": as an image, grey ones in three
            channels, enlarged to the prior's resolution (bicubic); "pinv": as the image of least
            norm that explains it. None: "resize" for what is an image, else "pinv".
        eps: largest feasible residual (mean square on [0, 1]); PULSE's, as RLSE has none.
        tile_latent, noise, num_noise, bad_noise_layer, radius: as in PULSE.
        fitted: whether weights and step sizes are for the paper's network and measurements, brought
            to the prior's and the operator's sizes; else they are taken as they are.
    """

    preset: Literal["paper", "scaled", "means"] = "paper"
    steps: int | None = iterates()
    learning_rate: float | None = None
    schedule: Literal["fixed", "linear1cycle", "linear1cycledrop"] | None = None
    generator_learning_rate: float | None = None
    pixel_weight: float | None = None
    semantic_weight: float | None = None
    geocross_weight: float | None = None
    reduction: Literal["norm", "mean"] | None = None
    blocks: int | None = None
    entry: Literal["resize", "pinv"] | None = None
    eps: float | None = None
    tile_latent: bool | None = None
    noise: Literal["trainable", "fixed", "zero"] | None = None
    num_noise: int | None = None
    bad_noise_layer: int | None = None
    radius: Literal["sqrt_d", "draw"] | None = None
    fitted: bool | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER, "scaled": SCALED, "means": MEANS}
    NEEDS: ClassVar[tuple[str, ...]] = ("statistics", "discriminator")


def rlse(prior: Prior, operator: Operator, config: RLSE = RLSE()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise": tuple of [r,
    r]}.

    v and noise are searched as in PULSE, the synthesis network is tuned at the same time; the
    discriminator stays as it is. The best iterate (smallest loss) is returned. The image comes from
    weights that were tuned for it and are not returned.

    Raises:
        ValueError: the prior has no w space, its images are not the operator's, or measurements are
            no images and entry is "resize"; at solve time also if params has no "statistics" or no
            "discriminator", or y has the wrong shape.
    """
    check_prior("rlse", prior, operator)
    settings = resolve(config, operator, RLSE)
    if settings.entry == "resize" and not operators.is_image(operator.measurement_shape):
        raise ValueError(
            'rlse with entry="resize" needs measurements [h, w, 1 or 3], got '
            f'{operator.measurement_shape}: use entry="pinv"'
        )

    search = _Search(prior, operator, settings)
    phase = Phase(
        settings.steps,
        search.start,
        search.loss,
        _optimiser(settings),
        _spheres.project,
        pace=search.pace if settings.fitted else None,
    )
    return Solve(
        (phase,),
        lambda params, y, variables, context: search.decode(params, variables, context),
        operator,
        settings.eps,
        lambda variables: {"synthesis": variables["synthesis"]},
    )


class _Search(NamedTuple):
    """The functions of the search, see `Phase`; of resolved settings."""

    prior: Prior
    operator: Operator
    settings: Any

    def start(self, key: PRNGKey, params: Params, y: Measurement, previous: None) -> tuple:
        _common.check_inputs("rlse", self.settings, self.operator, params, y)
        variables, context = _spheres.start(self.prior, self.settings, key, params)
        context["features"] = self.features(params, y)
        return {**variables, "synthesis": params["synthesis"]}, context

    def features(self, params: Params, y: Measurement) -> list[jax.Array]:
        """What the discriminator's blocks see of a measurement."""
        image = as_image(self.operator, y, self.settings.entry)
        return _features(self.prior, params, image, self.settings.blocks)

    def decode(self, params: Params, variables: dict, context: dict) -> tuple:
        tuned = {**params, "synthesis": variables["synthesis"]}
        return _spheres.decode(self.prior, tuned, variables, context)

    def loss(self, params: Params, y: Measurement, context: dict, variables: dict) -> tuple:
        image, latent = self.decode(params, variables, context)
        measured = self.operator(image)
        features = self.features(params, measured)
        terms = {
            "pixel": _pixel(measured, y, self.settings.reduction),
            "semantic": _semantic(features, context["features"], self.settings),
            "geocross": objectives.geocross(latent["w_plus"]),
        }
        return objectives.weighted(terms, self.weights(params)), terms

    def weights(self, params: Params) -> dict:
        """Of the terms. A norm of n numbers grows with sqrt n, a mean does not."""
        settings = self.settings
        own = _sizes.sizes(self.prior, params, settings.fitted)
        norm = settings.fitted and settings.reduction == "norm"
        pixels = math.sqrt(MEASURED / math.prod(self.operator.measurement_shape)) if norm else 1.0
        return {
            "pixel": settings.pixel_weight * pixels,
            "semantic": settings.semantic_weight,
            "geocross": settings.geocross_weight * _sizes.geocross(own),
        }

    def pace(self, params: Params) -> dict:
        own = _sizes.sizes(self.prior, params, self.settings.fitted)
        steps = _sizes.steps_of_weights(own, params["synthesis"])
        return {"v": 1.0, "noise": 1.0, "synthesis": steps}


def _optimiser(settings: Any) -> optax.GradientTransformation:
    weights = optax.adam(settings.generator_learning_rate)
    return optax.partition(
        {"latent": _spheres.adam(settings), "weights": weights},
        {"v": "latent", "noise": "latent", "synthesis": "weights"},
    )


def as_image(operator: Operator, y: Measurement, entry: str) -> Image:
    """A measurement as an image [H, W, 3] of the prior's size that a discriminator can take."""
    return operator.pinv(y) if entry == "pinv" else operators.enlarged(operator, y, "bicubic")


def _features(prior: Prior, params: Params, image: Image, blocks: int) -> list[jax.Array]:
    """The maps of the discriminator's last blocks; one image at a time, so that its minibatch
    statistic couples nothing."""
    _, features = prior.discriminate(params, image[None])
    return [maps[0] for maps in features[max(0, len(features) - blocks) :]]


def _pixel(measured: Measurement, y: Measurement, reduction: str) -> jax.Array:
    if reduction == "mean":
        return objectives.l2(measured, y)
    return jnp.sqrt(jnp.sum((measured - y) ** 2) + 1e-12)  # a gradient at 0


def _semantic(features: list[jax.Array], targets: list[jax.Array], config: RLSE) -> jax.Array:
    """The sum over blocks of the sum, or mean, of |differences|; `fitted` brings a sum to the
    channels of the paper's discriminator."""

    def one(difference):
        if config.reduction == "mean":
            return jnp.mean(difference)
        channels = difference.shape[-1]
        return jnp.sum(difference) * (_sizes.REFERENCE.channels / channels if config.fitted else 1)

    return sum((one(jnp.abs(f - t)) for f, t in zip(features, targets, strict=True)), jnp.zeros(()))
