"""What the methods share: presets turned into explicit values, and the checks that make a mismatch one clear line."""

import dataclasses
import math
import numbers
import typing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.priors import Prior, require_w
from jaxsr.search import Solve
from jaxsr.types import Image, Measurement, Params


def resolve(config: Any, operator: Any, kind: type | None = None) -> Any:
    """The same config with each field that is None set to its preset's value for this operator: every value that a report has to print.

    Args:
        config: of a method.
        operator: what the method inverts; some presets go by it.
        kind: the class of config that the method takes; None: that of any method.

    Raises:
        ValueError: no config of a method, or that of another; a preset or another choice that does not exist, a value of another type than
            its field's, a negative number, or fewer than one step, sample, start or code.
    """
    if not hasattr(config, "PRESETS") or not isinstance(config, kind or object):
        expected = f"{kind.__name__}()" if kind else "a method's config, such as PULSE()"
        raise ValueError(f"expected {expected}, got {type(config).__name__}")
    check_choices(config)
    if config.preset is None:
        raise ValueError(f"preset must be one of {', '.join(config.PRESETS)}, got None")
    check_types(config)
    open_values = {name: value for name, value in config.PRESETS[config.preset].items() if getattr(config, name) is None}
    config = dataclasses.replace(config, **{name: value for name, value in open_values.items() if not callable(value)})
    config = dataclasses.replace(config, **{name: value(config, operator) for name, value in open_values.items() if callable(value)})
    for name, value in dataclasses.asdict(config).items():
        least = 1 if name.endswith("steps") or name in COUNTS else 0
        if not isinstance(value, str) and not value >= least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
        if name != "radius" and value == math.inf:
            raise ValueError(f"{name} must be finite, got {value}")
    return config


COUNTS = ("samples", "starts", "codes", "smallest")  # settings of which there must be one at least


def check_types(config: Any) -> None:
    """Raises ValueError if a field annotated int, float or bool (or one of these | None) has another kind of value."""
    kinds = {int: numbers.Integral, float: numbers.Real, bool: (bool, np.bool_)}
    for name, hint in typing.get_type_hints(type(config)).items():
        kind = next((kind for kind in (hint, *typing.get_args(hint)) if kind in kinds), None)
        value = getattr(config, name)
        if kind is None or value is None:
            continue
        if not isinstance(value, kinds[kind]) or (kind is not bool and isinstance(value, bool)):
            raise ValueError(f"{name} must be {'an' if kind is int else 'a'} {kind.__name__}, got {value!r}")


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
    check_images(prior, operator)
    require_w(f"method {method}", prior)


def check_images(prior: Prior, operator: Any) -> None:
    """Raises ValueError unless the prior is one, and makes the images that the operator takes."""
    if not isinstance(prior, Prior):
        raise ValueError(f"expected a Prior, the first of what jaxsr.load_prior returns, got {type(prior).__name__}")
    if not hasattr(operator, "image_shape"):
        raise ValueError(f"expected an operator, such as operators.downsample(8, image_shape=...), got {operator!r}")
    made = (prior.info.resolution, prior.info.resolution, 3)
    if tuple(operator.image_shape) != made:
        raise ValueError(f"the operator takes images {tuple(operator.image_shape)}, but prior {prior.info.name!r} makes {made}")


HINTS = {
    "statistics": ("statistics of w", "see jaxsr.priors.latent_statistics"),
    "flow": ("a flow", "run experiments/train_flow.py"),
    "perceptual": ("a perceptual network", 'see jaxsr.methods.networks; network="features" needs no download'),
    "learned": ("a trained model", "see jaxsr.learned.load"),
    "discriminator": ("a discriminator", "the prior's checkpoint held a generator alone"),
}


def check_inputs(method: str, operator: Any, params: Params, y: Measurement, *, needs: tuple[str, ...]) -> None:
    """Raises ValueError if y is not a floating-point measurement of the operator's, or if params lack what the method needs."""
    if tuple(y.shape) != tuple(operator.measurement_shape):
        raise ValueError(f"y has shape {tuple(y.shape)}, but the operator measures {tuple(operator.measurement_shape)}")
    if not jnp.issubdtype(y.dtype, jnp.floating):
        raise ValueError(f"expected floating-point measurements in [0, 1], got {y.dtype}: divide 8-bit values by 255")
    for name in needs:
        if name not in params:
            what, hint = HINTS[name]
            raise ValueError(f"method {method} needs {what}: params has no {name!r} ({hint})")


def as_image(operator: Any, y: Measurement) -> Image:
    """A measurement as an image [h, w, 3] that a network can look at: grey ones in three channels, and in place of what is no image the
    image of least norm that explains it."""
    if not is_image(y.shape):
        return operator.pinv(y)
    return jnp.broadcast_to(y, (*y.shape[:2], 3)) if y.shape[2] == 1 else y


def enlarged(operator: Any, y: Measurement, kernel: str) -> Image:
    """A measurement as an image [H, W, 3] of the size that the operator takes: "bicubic", "bilinear" or "nearest"."""
    image = as_image(operator, y)
    return image if image.shape == tuple(operator.image_shape) else jax.image.resize(image, operator.image_shape, kernel)


def image_side(operator: Any) -> int:
    """The shorter side of `as_image` of this operator's measurements."""
    shape = operator.measurement_shape
    return min(shape[:2]) if is_image(shape) else min(operator.image_shape[:2])


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether measurements of this shape are images, in grey or colour."""
    return len(shape) == 3 and shape[2] in (1, 3)


def exact(solve: Solve) -> Solve:
    """The same method, whose image is made `consistent` with the measurement at the end; the latent tells "residual_before" it was, which
    a method that does so by itself (IAGAN) has told already.

    Where the measurement is noisy and the operator nearly blind to some detail (a blur), this amplifies the noise.
    """

    if not isinstance(solve, Solve):
        raise ValueError(f"expected a method bound to a prior and an operator, such as methods.pulse(prior, operator), got {solve!r}")

    def finish(params, y, variables, context):
        image, latent = solve.finish(params, y, variables, context)
        before = jnp.mean((solve.operator(image) - y) ** 2)
        return consistent(solve.operator, image, y), {"residual_before": before, **latent}

    return dataclasses.replace(solve, finish=finish)


def consistent(operator: Any, image: Image, y: Measurement) -> Image:
    """x + pinv(y - A x): the image nearest to x that explains y as well as any does; what the measurement does not see of x stays."""
    return image + operator.pinv(y - operator(image))
