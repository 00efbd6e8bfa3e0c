"""What the members of a mapped axis, the devices that split a batch, have in common."""

from typing import Any

import jax
from jax.flatten_util import ravel_pytree


def mean(tree: Any, axis: str | None) -> Any:
    """The mean of a tree of float32 over the members of a mapped axis; None: there is only this
    one.

    All leaves travel as one vector. A CPU's devices share one pool of threads, and an exchange
    holds a thread until each of them takes part: with many at once two devices could fill the pool
    with different ones.
    """
    if axis is None:
        return tree
    vector, restored = ravel_pytree(tree)
    return restored(jax.lax.pmean(vector, axis))
