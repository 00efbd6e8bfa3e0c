"""What the methods share: presets turned into explicit values, and the checks that make a mismatch one clear line."""

import dataclasses
import typing
from typing import Any

import jax
import jax.numpy as jnp

from jaxsr.priors import Prior, require_w
from jaxsr.search import Solve
from jaxsr.types import Image, Measurement, Params


def resolve(config: Any, operator: Any) -> Any:
    """The same config with each field that is None set to its preset's value for this operator: every value that a report has to print.

    Raises:
        ValueError: a preset or another choice that does not exist, a negative number, or fewer than one step.
    """
    check_choices(config)
    values = config.PRESETS[config.preset]
    chosen = {name: value(operator) if callable(value) else value for name, value in values.items() if getattr(config, name) is None}
    config = dataclasses.replace(config, **chosen)
    for name, value in dataclasses.asdict(config).items():
        least = 1 if name.endswith("steps") else 0
        if not isinstance(value, str) and not value >= least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    return config


def check_choices(config: Any) -> None:
    """Raises ValueError if a field annotated Literal[...] (or Literal[...] | None) has another value."""
    for name, hint in typing.get_type_hints(type(config)).items():
        kinds = [kind for kind in (hint, *typing.get_args(hint)) if typing.get_origin(kind) is typing.Literal]
        choices = [choice for kind in kinds for choice in typing.get_args(kind)]
        value = getattr(config, name)
        if choices and value is not None and value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_prior(method: str, prior: Prior, operator: Any) -> None:
    """Raises ValueError unless the prior has a w space and makes the images that the operator takes."""
    require_w(f"method {method}", prior)
    check_images(prior, operator)


def check_images(prior: Prior, operator: Any) -> None:
    """Raises ValueError unless the prior makes the images that the operator takes."""
    made = (prior.info.resolution, prior.info.resolution, 3)
    if tuple(operator.image_shape) != made:
        raise ValueError(f"the operator takes images {tuple(operator.image_shape)}, but prior {prior.info.name!r} makes {made}")


HINTS = {
    "statistics": ("statistics of w", "see jaxsr.priors.latent_statistics"),
    "flow": ("a flow", "run experiments/train_flow.py"),
    "perceptual": ("a perceptual network", "see jaxsr.methods.networks"),
    "discriminator": ("a discriminator", "the prior's checkpoint held a generator alone"),
}


def check_inputs(method: str, operator: Any, params: Params, y: Measurement, *, needs: tuple[str, ...]) -> None:
    """Raises ValueError if y has another shape than the operator's measurements, or if params lack what the method needs."""
    if tuple(y.shape) != tuple(operator.measurement_shape):
        raise ValueError(f"y has shape {tuple(y.shape)}, but the operator measures {tuple(operator.measurement_shape)}")
    for name in needs:
        if name not in params:
            what, hint = HINTS[name]
            raise ValueError(f"method {method} needs {what}: params has no {name!r} ({hint})")


def as_image(operator: Any, y: Measurement) -> Image:
    """A measurement as an image [h, w, 3] that a network can look at: grey ones in three channels, and in place of what is no image the
    image of least norm that explains it."""
    if y.ndim != 3:
        return operator.pinv(y)
    return jnp.broadcast_to(y, (*y.shape[:2], 3)) if y.shape[2] == 1 else y


def enlarged(operator: Any, y: Measurement, kernel: str) -> Image:
    """A measurement as an image [H, W, 3] of the size that the operator takes: "bicubic", "bilinear" or "nearest"."""
    image = as_image(operator, y)
    return image if image.shape == tuple(operator.image_shape) else jax.image.resize(image, operator.image_shape, kernel)


def exact(solve: Solve) -> Solve:
    """The same method, whose image is made `consistent` with the measurement at the end; the latent tells "residual_before" it was."""

    def finish(params, y, variables, context):
        image, latent = solve.finish(params, y, variables, context)
        before = jnp.mean((solve.operator(image) - y) ** 2)
        return consistent(solve.operator, image, y), {**latent, "residual_before": before}

    return dataclasses.replace(solve, finish=finish)


def consistent(operator: Any, image: Image, y: Measurement) -> Image:
    """x + pinv(y - A x): the image nearest to x that explains y as well as any does; what the measurement does not see of x stays."""
    return image + operator.pinv(y - operator(image))
