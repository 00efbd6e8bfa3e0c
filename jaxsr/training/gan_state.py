"""What the training of a GAN carries from step to step."""

from typing import NamedTuple

import jax
import optax

from jaxsr.types import Params


class State(NamedTuple):
    """All that training carries from step to step; saved whole, so that a resumed run continues as
    if never stopped."""

    step: jax.Array
    key: jax.Array
    params: Params
    ema: Params
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState
    path_mean: jax.Array
    ada_p: jax.Array


def generator_of(params: Params) -> Params:
    """The part of a prior's parameters that the generator's optimiser trains."""
    return {name: params[name] for name in ("mapping", "synthesis")}
