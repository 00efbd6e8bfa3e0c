"""What the methods share: presets turned into explicit values, and the checks that make a mismatch one clear line."""

import dataclasses
import typing
from typing import Any

from jaxsr.priors import Prior, require_w
from jaxsr.types import Measurement, Params


def resolve(config: Any, operator: Any) -> Any:
    """The same config with each field that is None set to its preset's value for this operator: every value that a report has to print.

    Raises:
        ValueError: a preset or another choice that does not exist, a negative number, or fewer than one step.
    """
    _check_choices(config)
    values = config.PRESETS[config.preset]
    chosen = {name: value(operator) if callable(value) else value for name, value in values.items() if getattr(config, name) is None}
    config = dataclasses.replace(config, **chosen)
    for name, value in dataclasses.asdict(config).items():
        least = 1 if name.endswith("steps") else 0
        if not isinstance(value, str) and not value >= least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    return config


def _check_choices(config: Any) -> None:
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
    made = (prior.info.resolution, prior.info.resolution, 3)
    if tuple(operator.image_shape) != made:
        raise ValueError(f"the operator takes images {tuple(operator.image_shape)}, but prior {prior.info.name!r} makes {made}")


HINTS = {"statistics": "see jaxsr.priors.latent_statistics", "flow": "run experiments/train_flow.py"}


def check_inputs(method: str, operator: Any, params: Params, y: Measurement, *, needs: tuple[str, ...]) -> None:
    """Raises ValueError if y has another shape than the operator's measurements, or if params lack what the method needs."""
    if tuple(y.shape) != tuple(operator.measurement_shape):
        raise ValueError(f"y has shape {tuple(y.shape)}, but the operator measures {tuple(operator.measurement_shape)}")
    for name in needs:
        if name not in params:
            article = "a flow" if name == "flow" else f"{name} of w"
            raise ValueError(f"method {method} needs {article}: params has no {name!r} ({HINTS[name]})")
