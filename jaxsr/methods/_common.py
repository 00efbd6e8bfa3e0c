"""What the methods share: presets turned into explicit values, and the checks that make a mismatch
one clear line."""

import jax.numpy as jnp

from jaxsr.operators import Operator
from jaxsr.settings import Needing
from jaxsr.types import Measurement, Params

HINTS = {
    "statistics": ("statistics of w", "see jaxsr.priors.latent_statistics"),
    "flow": ("a flow", "run experiments/train_flow.py"),
    "perceptual": (
        "a perceptual network",
        'see jaxsr.methods.networks; network="features" needs no download',
    ),
    "learned": ("a trained model", "see jaxsr.learned.load"),
    "diffusion": ("a diffusion model", "see jaxsr.diffusion.load"),
    "discriminator": ("a discriminator", "the prior's checkpoint held a generator alone"),
}


def check_inputs(
    method: str, config: Needing, operator: Operator, params: Params, y: Measurement
) -> None:
    """Raises ValueError if y is not a floating-point measurement of the operator's, or if params
    lack what the method needs."""
    check_measurement(operator, y)
    check_params(method, config.NEEDS, params)


def check_params(method: str, needs: tuple[str, ...], params: Params) -> None:
    """Raises ValueError if params lack what the method needs."""
    for name in needs:
        if name not in params:
            what, hint = HINTS[name]
            raise ValueError(f"method {method} needs {what}: params has no {name!r} ({hint})")


def check_measurement(operator: Operator, y: Measurement) -> None:
    """Raises ValueError if y is not a floating-point measurement of the operator's."""
    if tuple(y.shape) != tuple(operator.measurement_shape):
        raise ValueError(
            f"y has shape {tuple(y.shape)}, but the operator measures "
            f"{tuple(operator.measurement_shape)}"
        )
    if not jnp.issubdtype(y.dtype, jnp.floating):
        raise ValueError(
            f"expected floating-point measurements in [0, 1], got {y.dtype}: divide 8-bit "
            "values by 255"
        )
