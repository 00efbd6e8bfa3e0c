"""The type checker of the test session: beartype, where `jax.Array` means what JAX takes for one,
NumPy's arrays too, and `float` an int too, as for every static checker."""

import functools

import jax
import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

_CONF = BeartypeConf(
    hint_overrides=FrozenDict({jax.Array: jax.Array | np.ndarray}), is_pep484_tower=True
)
check = functools.partial(beartype, conf=_CONF)
