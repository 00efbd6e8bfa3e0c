"""mGANprior: several codes whose feature maps are composed inside the generator (Gu et al., CVPR
2020, arXiv:1912.07116)."""

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax

from jaxsr import operators
from jaxsr.methods import _common
from jaxsr.metrics.perceptual import perceptual
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_images
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import Presets, count, iterates, resolve
from jaxsr.types import AnyArray, Image

PAPER = {
    "steps": 2000,
    "learning_rate": 1.0,
    "codes": 30,
    "composing_layer": 6,
    "fit_weight": 4.0,
    "perceptual_weight": 1e-3,
    "network": "vgg",
    "eps": 2e-3,
}
CODE = {**PAPER, "codes": 20}


@dataclasses.dataclass(frozen=True)
class MGANPrior:
    """Settings of mGANprior; a field left at None takes the preset's value.

    Preset "paper" has the release's script for super-resolution (30 codes), "code" its README (20).
    Inpainting took 3,000 steps, layer 4 and a perceptual weight of 1e-4, colourisation 1,500 steps,
    20 codes and layer 4.

    Attributes:
        steps: iterates of plain gradient descent.
        learning_rate: its step size.
        codes: N.
        composing_layer: layers before the composition, an even number: two a resolution from 4 px
            on; at most all but the last resolution's.
        fit_weight: of the mean squared A(image) - y; 4, because the release's images lie in [-1,
            1].
        perceptual_weight: of the mean absolute difference of a feature map, of A(image) and y
            enlarged to 256 px by repetition.
        network: "vgg", VGG-16 up to relu3_3, or "features", the third stage of the network that
            comes with the package.
        eps: largest feasible residual (mean square on [0, 1]); PULSE's, as mGANprior has none.
    """

    preset: Literal["paper", "code"] = "paper"
    steps: int | None = iterates()
    learning_rate: float | None = None
    codes: int | None = count()
    composing_layer: int | None = None
    fit_weight: float | None = None
    perceptual_weight: float | None = None
    network: Literal["vgg", "features"] | None = None
    eps: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER, "code": CODE}
    NEEDS: ClassVar[tuple[str, ...]] = ("perceptual",)


def mganprior(prior: Prior, operator: Operator, config: MGANPrior = MGANPrior()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"z": [N, z_dim], "alpha": [N, c]}.

    x = tail(1/N sum_n alpha_n * head(z_n)), with codes ~ N(0, I) and importances alpha = 1/N at the
    start, both searched. On a style-based prior what follows the composition takes the mean of the
    codes' w, and the RGB so far is their mean: our reading, the paper composes PGGAN only. The best
    iterate is returned, where the release returns the last.

    Raises:
        ValueError: the prior cannot be cut at the composing layer, or its images are not the
            operator's; at solve time also if params has no "perceptual", or y has the wrong shape.
    """
    check_images(prior, operator)
    settings = resolve(config, operator, MGANPrior)
    head, tail = _split(prior, settings.composing_layer)
    compare = perceptual(settings.network).l1

    def start(key, params, y, previous):
        _common.check_inputs("mganprior", settings, operator, params, y)
        z = jax.random.normal(key, (settings.codes, prior.info.z_dim))
        width = jax.eval_shape(head, params, z[0])["x"].shape[-1]
        return {"z": z, "alpha": jnp.full((settings.codes, width), 1 / settings.codes)}, {}

    def decode(params, variables):
        cuts = jax.vmap(head, (None, 0))(params, variables["z"])
        composed = jnp.mean(cuts["x"] * variables["alpha"][:, None, None], 0)
        return tail(params, {**jax.tree.map(lambda leaf: leaf.mean(0), cuts), "x": composed})

    def loss(params, y, context, variables):
        measured = operator(decode(params, variables))
        enlarged = [_enlarged(operators.as_image(operator, m)) for m in (measured, y)]
        terms = {
            "l2": objectives.l2(measured, y),
            "perceptual": compare(params["perceptual"], *enlarged),
        }
        return settings.fit_weight * terms["l2"] + settings.perceptual_weight * terms[
            "perceptual"
        ], terms

    def finish(params, y, variables, context):
        return decode(params, variables), variables

    tx = optax.sgd(settings.learning_rate)
    return Solve((Phase(settings.steps, start, loss, tx),), finish, operator, settings.eps)


def _split(prior: Prior, layer: int) -> tuple[Any, Any]:
    if prior.split is None:
        raise ValueError(
            "method mganprior needs a generator that can be cut between layers: "
            f"{prior.info.name!r} cannot"
        )
    most = prior.info.num_layers - 2
    if layer % 2 or not 2 <= layer <= most:
        raise ValueError(
            f"composing_layer must be an even number from 2 to {most} for "
            f"{prior.info.name!r}, got {layer}"
        )
    return prior.split(layer // 2)


def _enlarged(image: Image) -> AnyArray:
    """To 256 px by repetition, unless it is larger."""
    return (
        image if min(image.shape[:2]) >= 256 else jax.image.resize(image, (256, 256, 3), "nearest")
    )
