"""A published network that restores photos by itself, as its folder holds it."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr import learned, operators, weights
from jaxsr.learned import KINDS
from jaxsr.types import Params
from restoration.fitting import REFERENCE_FACTOR
from restoration.options import Settings


class Network(NamedTuple):
    """What restores.

    Attributes:
        method: its name.
        factor: how much it enlarges; of one that makes images of one size, what references are made
            small by.
        side: px, of the images that it takes and makes; 0: of any size.
        multiple: px on a side that it reads as one.
        digest: of its parameters.
        restored: photo [h, w, 3] in [0, 1] -> the same [h * factor, w * factor, 3]; of one with a
            side [side, side, 3] -> [side, side, 3].
    """

    method: str
    factor: int
    side: int
    multiple: int
    digest: str
    restored: Callable[..., jax.Array]

    @property
    def told(self) -> str:
        """What it does, in a few words."""
        if self.side:
            return f"{self.method} restores the centre square of photos at {self.side} px"
        return f"{self.method} enlarges {self.factor}x"


def load(settings: Settings) -> Network:
    """The network of the flags. Raises ValueError where it does not fit them."""
    folder, name = str(settings.model), learned.kind_of(settings.method)
    net, (params, record) = learned.read_net(folder), weights.load(folder)
    if learned.architecture_of(net) != name:
        raise ValueError(
            f"{folder}: expected a model with architecture {name!r}, got "
            f"{learned.architecture_of(net)!r}"
        )
    side = 0 if KINDS[name].whole else net.side
    factor = _square_factor(settings) if side else _factor(settings, record)
    apply = _alone(net, side) if side else _enlarging(net, name, factor)
    # Compiled once for a size of photo, or of window.
    clipped = jax.jit(lambda params, image: jnp.clip(apply(params, image), 0, 1))
    digest, multiple = weights.digest(params), getattr(net, "unshuffle", 1)
    restored = functools.partial(clipped, params)
    return Network(settings.method, factor, side, multiple, digest, restored)


def _factor(settings: Settings, record: dict[str, Any]) -> int:
    factor = record["factor"] or settings.factor
    if factor is None:
        raise ValueError(f"--factor is missing: {settings.method} enlarges by any")
    if settings.factor not in (None, factor):
        raise ValueError(
            f"--factor={settings.factor}: the network of {settings.model} enlarges {factor}x"
        )
    return factor


def _square_factor(settings: Settings) -> int:
    if settings.factor is not None and not settings.reference:
        raise ValueError(
            f"--factor={settings.factor} is for --reference here, which is made small by it: "
            f"{settings.method} takes photos of any size, leave it out"
        )
    return settings.factor or REFERENCE_FACTOR


def _enlarging(net: Any, name: str, factor: int) -> Callable[[Params, Any], Any]:
    enlarge: Any = KINDS[name].whole
    return lambda params, image: enlarge(net, params, image, factor)


def _alone(net: Any, side: int) -> Callable[[Params, Any], Any]:
    """A network with a generator of its own, on images of its side."""
    model = learned.bind(net, None, operators.identity((side, side, 3)))
    key = jax.random.key(0)  # one image of a photo: nothing is drawn
    return lambda params, image: model.restore(key, {}, params, image)[0]
