"""The type checker of the test session: beartype, under which an annotation `jax.Array` means what
JAX takes for one, NumPy's arrays too."""

import functools

import jax
import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

_CONF = BeartypeConf(hint_overrides=FrozenDict({jax.Array: jax.Array | np.ndarray}))
check = functools.partial(beartype, conf=_CONF)
