"""Settings of a method or an exploration: presets made explicit, types and choices checked."""

import dataclasses
import math
import numbers
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from jaxsr.operators import Operator

# Of a field of a config. A preset may know it only by the operator: (config, operator) -> value.
Value = float | str | bool
Presets = Mapping[str, Mapping[str, Value | Callable[..., Value]]]


@runtime_checkable
class Needing(Protocol):
    """Settings of a method that needs these entries of params beside the generator."""

    NEEDS: ClassVar[tuple[str, ...]]


@runtime_checkable
class MethodConfig(Needing, Protocol):
    """The config of a method, a dataclass; PRESETS: preset -> setting -> value, or the function
    (config, operator) -> value."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]
    PRESETS: ClassVar[Presets]

    @property
    def preset(self) -> str: ...


def resolve(config: MethodConfig, operator: Operator, kind: type | None = None) -> Any:
    """The same config with each field that is None set to its preset's value for this operator:
    every value that a report has to print. (Any: the config's class would still say "or None".)

    Args:
        config: of a method.
        operator: what the method inverts; some presets go by it.
        kind: the class of config that the method takes; None: that of any method.

    Raises:
        ValueError: no config of a method, or that of another; a preset or another choice that does
            not exist, a value of another type than its field's, a negative number, or fewer than
            one step, sample, start or code.
    """
    if not hasattr(config, "PRESETS") or not isinstance(config, kind or object):
        expected = f"{kind.__name__}()" if kind else "a method's config, such as PULSE()"
        raise ValueError(f"expected {expected}, got {type(config).__name__}")
    check_choices(config)
    if config.preset is None:
        raise ValueError(f"preset must be one of {', '.join(config.PRESETS)}, got None")
    check_types(config)
    open_values = {
        name: value
        for name, value in config.PRESETS[config.preset].items()
        if getattr(config, name) is None
    }
    config = dataclasses.replace(
        config, **{name: value for name, value in open_values.items() if not callable(value)}
    )
    config = dataclasses.replace(
        config,
        **{name: value(config, operator) for name, value in open_values.items() if callable(value)},
    )
    for field in dataclasses.fields(config):
        value, least = getattr(config, field.name), field.metadata.get("least", 0)
        if not isinstance(value, str) and not value >= least:
            raise ValueError(f"{field.name} must be at least {least}, got {value}")
        if value == math.inf and not field.metadata.get("unbounded"):
            raise ValueError(f"{field.name} must be finite, got {value}")
    return config


def count() -> Any:
    """A setting, open to the preset, of which there must be one at least. Other settings must be at
    least 0."""
    return dataclasses.field(default=None, metadata={"least": 1})


def iterates() -> Any:
    """A setting, open to the preset, that counts iterates of a search: a trial makes few of
    them."""
    return dataclasses.field(default=None, metadata={"least": 1, "iterates": True})


def unbounded() -> Any:
    """A setting, open to the preset, that may be infinite. Others must be finite."""
    return dataclasses.field(default=None, metadata={"unbounded": True})


def iterates_of(kind: type) -> tuple[str, ...]:
    """Names of a config's settings that count iterates."""
    return tuple(field.name for field in dataclasses.fields(kind) if field.metadata.get("iterates"))


def check_types(config: object) -> None:
    """Raises ValueError if a field annotated int, float or bool (or one of these | None) has
    another kind of value."""
    kinds = {int: numbers.Integral, float: numbers.Real, bool: (bool, np.bool_)}
    for name, hint in typing.get_type_hints(type(config)).items():
        kind = next((kind for kind in (hint, *typing.get_args(hint)) if kind in kinds), None)
        value = getattr(config, name)
        if kind is None or value is None:
            continue
        if not isinstance(value, kinds[kind]) or (kind is not bool and isinstance(value, bool)):
            raise ValueError(
                f"{name} must be {'an' if kind is int else 'a'} {kind.__name__}, got {value!r}"
            )


def check_choices(config: object) -> None:
    """Raises ValueError if a field annotated Literal[...] (or Literal[...] | None) has another
    value."""
    for name, hint in typing.get_type_hints(type(config)).items():
        kinds = [
            kind
            for kind in (hint, *typing.get_args(hint))
            if typing.get_origin(kind) is typing.Literal
        ]
        choices = [choice for kind in kinds for choice in typing.get_args(kind)]
        value = getattr(config, name)
        if choices and value is not None and value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
