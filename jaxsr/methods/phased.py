"""The three-phase search of "Robust Unsupervised StyleGAN Image Restoration" (Poirier-Ginter and
Lalonde, CVPR 2023, arXiv:2302.06733)."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jaxsr import operators, standins
from jaxsr.methods import _common
from jaxsr.metrics.perceptual import check_side, perceptual
from jaxsr.operators import Operator
from jaxsr.priors import MODULATIONS, Prior, check_prior, start_in_w, tile, with_layers
from jaxsr.search import Phase, Solve, objectives, transforms
from jaxsr.settings import Presets, count, iterates, resolve
from jaxsr.types import Drawn, Image, Measurement, Params, PRNGKey

SMALLEST = 16  # px
KEY, TAG = "noise_key", 0x7068  # of the noise that is drawn in each step
PAPER = {
    "w_steps": 150,
    "w_plus_steps": 150,
    "style_steps": 150,
    "w_learning_rate": 0.08,
    "w_plus_learning_rate": 0.02,
    "style_learning_rate": 0.005,
    "l1_weight": 0.1,
    "smallest": SMALLEST,
    "init_spread": 0.0,
    "network": lambda config, operator: (
        "vgg" if operators.image_side(operator) > config.smallest else "features"
    ),
    "noise": 0.0,
    "eps": 2e-3,
}


@dataclasses.dataclass(frozen=True)
class Phased:
    """Settings of the phased search; a field left at None takes the preset's value. One setting
    serves every degradation and level.

    Attributes:
        w_steps: iterates with one code for all layers, from the mean of w.
        w_plus_steps: iterates with one code a layer, from the best of the first phase.
        style_steps: iterates with one code for every channel of every layer (W++).
        w_learning_rate: length of a code's step in the first phase.
        w_plus_learning_rate: in the second.
        style_learning_rate: in the third.
        l1_weight: of the mean absolute difference at the coarsest scale.
        smallest: halvings of the measurement stop when its side is not above this (px); at a single
            scale that small the l1 term is all.
        init_spread: the start is w_mean + init_spread (w - w_mean) with a random w: other keys give
            other solutions with 0.2, say.
        network: "vgg", LPIPS with VGG-16, or "features", the feature distance of the network that
            comes with the package, which also stands in for measurements whose side is not above
            `smallest`, where no network is asked.
        noise: standard deviation of white noise, on [0, 1], that is added to the measurement of the
            image in each step, anew, as the photo's was; the latest iterate counts then, as no two
            losses compare. 0: none.
        eps: largest feasible residual (mean square on [0, 1]); PULSE's, as the method has none.
    """

    preset: Literal["paper"] = "paper"
    w_steps: int | None = iterates()
    w_plus_steps: int | None = iterates()
    style_steps: int | None = iterates()
    w_learning_rate: float | None = None
    w_plus_learning_rate: float | None = None
    style_learning_rate: float | None = None
    l1_weight: float | None = None
    smallest: int | None = count()
    init_spread: float | None = None
    network: Literal["vgg", "features"] | None = None
    noise: float | None = None
    eps: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER}
    NEEDS: ClassVar[tuple[str, ...]] = ("statistics", "perceptual")


def phased(prior: Prior, operator: Operator, config: Phased = Phased()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "styles": {layer: [c,
    1]}}.

    Each phase is gradient descent with steps of a fixed length, each code's gradient divided by its
    norm. All that matters of one channel's code is how far it moved along that channel's row of the
    layer's kernel, so the third phase searches that one number for each. The noise is the
    checkpoint's. Where params have the tables of the photo's JPEG (`jaxsr.standins`), the image's
    measurement goes through them before it is compared. Departures: each phase starts at the best
    iterate of the one before instead of its last, and what a mask hides is black in both images,
    where the original fills it with noise.

    Raises:
        ValueError: the prior has no w space, or its images are not the operator's; at solve time
            also if params has no "statistics", no "perceptual" or no modulations, or y has the
            wrong shape.
    """
    check_prior("phased", prior, operator)
    settings = resolve(config, operator, Phased)
    compare = perceptual(settings.network).distance
    _check_scales(settings, operators.image_side(operator))
    noisy = settings.noise > 0

    def loss(params, y, context, variables):
        latent = {name: leaf for name, leaf in context.items() if name != KEY} | variables
        measured = operator(_decode(prior, params, latent))
        measured = _recorded(params, measured, context.get(KEY), settings.noise)
        return _multiscale(
            settings, compare, params, *(operators.as_image(operator, m) for m in (measured, y))
        )

    def first(key, params, y, previous):
        _common.check_inputs("phased", settings, operator, params, y)
        return {"w_plus": start_in_w(prior, settings.init_spread, key, params)[None]}, own(key, 0)

    def second(key, params, y, previous):
        return {"w_plus": tile(prior, previous[0]["w_plus"])}, own(key, 1)

    def third(key, params, y, previous):
        return {"styles": _offsets(params)}, dict(previous[0]) | own(key, 2)

    def own(key, phase):
        return {KEY: jax.random.fold_in(jax.random.fold_in(key, TAG), phase)} if noisy else {}

    def redraw(context, step):
        return context | {KEY: jax.random.fold_in(context[KEY], step)}

    def finish(params, y, variables, context):
        latent = {name: leaf for name, leaf in context.items() if name != KEY} | variables
        return _decode(prior, params, latent), latent

    stages = (
        (settings.w_steps, first, settings.w_learning_rate),
        (settings.w_plus_steps, second, settings.w_plus_learning_rate),
        (settings.style_steps, third, settings.style_learning_rate),
    )
    phases = tuple(
        Phase(steps, start, loss, _descent(length), redraw=redraw if noisy else None)
        for steps, start, length in stages
    )
    return Solve(phases, finish, operator, settings.eps)


def _recorded(
    params: Params, measured: Measurement, key: PRNGKey | None, noise: float
) -> Measurement:
    """A measurement as the photo was kept: with the noise of this step, and compressed with the
    tables that params have."""
    if key is not None:
        measured = standins.noisy(key, measured, noise)
    for name, halves in standins.JPEG.items():
        if name in params:
            measured = standins.jpeg(measured, params[name], halves)
    return measured


def _descent(length: float) -> optax.GradientTransformation:
    """Steps of a fixed length against the gradient of each code, the last axis of a leaf; no step
    where it is zero."""

    def update(updates, state, params=None):
        def unit(gradient: jax.Array) -> jax.Array:
            norm = transforms.norm(gradient)
            return -length * gradient / jnp.where(norm > 0, norm, 1.0)

        return jax.tree.map(unit, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _decode(prior: Prior, params: Params, latent: dict) -> Drawn:
    styles = latent.get("styles", {})
    params = (
        {**params, "synthesis": with_layers(params["synthesis"], styles, _moved)}
        if styles
        else params
    )
    return prior.synthesize(params, tile(prior, latent["w_plus"]), prior.noise("const", params))


def _offsets(params: Params) -> dict[str, jax.Array]:
    """Zeros [c, 1] for each modulation of the synthesis network, by its path: how far its channels'
    codes have moved."""
    leaves = jax.tree_util.tree_leaves_with_path(params["synthesis"])
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    found = {
        path.removesuffix("/bias"): leaf
        for path, leaf in named.items()
        if path.split("/")[-1] == "bias"
    }
    styles = {
        path: jnp.zeros((len(bias), 1))
        for path, bias in found.items()
        if path.split("/")[-1] in MODULATIONS
    }
    if not styles:
        raise ValueError(
            "method phased needs a style-based generator: params['synthesis'] has no layer "
            f"named {' or '.join(MODULATIONS)}"
        )
    return styles


def _moved(layer: Params, offset: jax.Array) -> Params:
    """A modulation whose codes moved: a channel's code that went t along its row's direction adds t
    times the row's norm."""
    # As the equalised layer scales its kernel.
    norms = transforms.norm(layer["kernel"].T)[:, 0] / math.sqrt(len(layer["kernel"]))
    return {**layer, "bias": layer["bias"] + offset[:, 0] * norms}


@runtime_checkable
class Scales(Protocol):
    """Settings of the distance over scales, resolved; see Phased."""

    l1_weight: float
    smallest: int
    network: str


def _multiscale(
    config: Scales, compare: Callable, params: Params, measured: Image, y: Image
) -> tuple[jax.Array, dict]:
    """The distance at each scale while the side is above `smallest`, and the mean absolute
    difference at the scale where that ends."""
    distance = jnp.zeros(())
    while min(y.shape[:2]) > config.smallest:
        distance = distance + compare(params["perceptual"], measured, y)
        measured, y = _halved(measured), _halved(y)
    terms = {"perceptual": distance, "l1": objectives.l1(measured, y)}
    return distance + config.l1_weight * terms["l1"], terms


def _check_scales(config: Scales, side: int) -> None:
    """Raises ValueError if the network cannot see the smallest of the scales that it compares."""
    seen = [
        side >> halvings
        for halvings in range(side.bit_length())
        if side >> halvings > config.smallest
    ]
    if seen:
        check_side("phased", config.network, seen[-1])


def _halved(image: Image) -> Drawn:
    """Means of 2x2 pixels; a last odd row or column is left out."""
    height, width = (side // 2 for side in image.shape[:2])
    return image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
