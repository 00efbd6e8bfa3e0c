"""The one optimisation loop of the library: `lax.scan` of optax updates with the best iterate kept,
in chunks if wanted.

A method is a `Solve`: a sequence of `Phase`s (what is optimised, against which loss, by which
optimiser) and a `finish` that turns the best variables into an image. `solve(key, params, y)` runs
it in one piece; `begin`, `advance` (any number of times) and `conclude` run the same arithmetic in
pieces, so that a long search can show its progress: each of the three compiles once for a shape,
whatever the chunk number.

A step is one evaluation of the loss with its gradient, that is one forward and one backward pass of
the generator. The loss of an iterate is measured before it is updated, as the originals do: of N
steps the N iterates x_0 .. x_{N-1} compete for "best", and the N-th update is made (a later chunk
or phase would start there) but never measured.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsr.operators import Operator
from jaxsr.types import Latent, Params, PRNGKey, Result, Scalar

Trace = dict[str, jax.Array]
# Where params may have the largest residual that is feasible for the photo: in place of the
# method's eps, it compiles once for all photos.
EPS = "photo_eps"
THETA = "operator"  # where it is told of photos that each has an operator of its own


class Phase(NamedTuple):
    """One stage of a search.

    Attributes:
        steps: number of iterates, at least 1.
        start: (key, params, y, previous) -> (variables, context). `previous` is None in the first
            phase, else (best variables, context) of the phase before. `variables` are optimised;
            `context` stays as it is (an anchor, fixed noise).
        loss: (params, y, context, variables) -> (scalar, {term: scalar}); "loss" is no name for a
            term.
        tx: the optimiser.
        project: (context, variables) -> variables, applied after each update; None: nothing is.
        redraw: (context, step) -> context as the loss sees it in that step, for an objective that
            is an expectation over random draws; such losses do not rank iterates, so the latest
            counts as the best.
        pace: (params) -> factors of the updates, for each of the variables a number or a tree like
            it: a step size that depends on the prior; None: all 1.
        enough: (params, terms) -> whether an iterate with these terms will do. Once the best one
            does, the search rests from the next multiple of `round` steps on: nothing changes any
            more, and the trace is NaN. None: it makes all of its steps.
        round: see `enough`.
    """

    steps: int
    start: Callable
    loss: Callable
    tx: optax.GradientTransformation
    project: Callable | None = None
    redraw: Callable | None = None
    pace: Callable | None = None
    enough: Callable | None = None
    round: int = 1


class State(NamedTuple):
    """A search under way; a pytree, so it crosses jit and vmap. `step` counts the steps made,
    `best_value` is inf until an iterate has had a finite loss, `done` tells that the best iterate
    will do."""

    step: jax.Array
    variables: Any
    opt_state: optax.OptState
    best: Any
    best_value: jax.Array
    done: jax.Array
    context: Any


class Search(NamedTuple):
    """Outcome of `minimise`: the best latent seen, its loss, and name -> [steps] of the loss and
    its terms."""

    latent: Latent
    value: jax.Array
    trace: Trace


def begin(
    phase: Phase, key: PRNGKey | None, params: Params, y: Any, previous: tuple | None
) -> State:
    """Starts a phase. All phases of a solve get the same key: a start that draws numbers in a later
    phase must fold a tag into it."""
    variables, context = phase.start(key, params, y, previous)
    # Weak types would become strong in the first chunk, and the second chunk would then be compiled
    # again.
    variables = jax.tree.map(
        lambda leaf: jax.lax.convert_element_type(leaf, jnp.result_type(leaf)), variables
    )
    return State(
        jnp.zeros((), jnp.int32),
        variables,
        phase.tx.init(variables),
        variables,
        jnp.full((), jnp.inf, float),
        jnp.zeros((), bool),
        context,
    )


def advance(
    phase: Phase, params: Params, y: Any, state: State, *, length: int
) -> tuple[State, Trace]:
    """Makes `length` steps, or rests; returns the state after them and name -> [length] of the loss
    and its terms, one row a step, NaN where the search rests.

    An iterate whose loss is not finite never becomes the best.
    """
    context = state.context
    pace = None if phase.pace is None else phase.pace(params)

    def step(state: State):
        now = context if phase.redraw is None else phase.redraw(context, state.step)
        loss = jax.value_and_grad(
            lambda variables: phase.loss(params, y, now, variables), has_aux=True
        )
        (value, terms), grads = loss(state.variables)
        better = jnp.isfinite(value) & ((value < state.best_value) | (phase.redraw is not None))
        enough = state.done if phase.enough is None else phase.enough(params, terms)
        best, best_value, done = jax.tree.map(
            lambda new, old: jnp.where(better, new, old),
            (state.variables, value, enough),
            (state.best, state.best_value, state.done),
        )
        updates, opt_state = phase.tx.update(grads, state.opt_state, state.variables)
        variables = optax.apply_updates(state.variables, _paced(updates, pace))
        variables = variables if phase.project is None else phase.project(context, variables)
        after = State(state.step + 1, variables, opt_state, best, best_value, done, None)
        return after, {"loss": value, **terms}

    def step_or_rest(state: State, _):
        if phase.enough is None:
            return step(state)
        trace = jax.eval_shape(step, state)[1]
        nothing = jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), trace)
        return jax.lax.cond(rests(phase, state), lambda state: (state, nothing), step, state)

    # The context stays out of the carry: what depends on it alone can then be taken out of the
    # loop.
    state, trace = jax.lax.scan(step_or_rest, state._replace(context=None), length=length)
    return state._replace(context=context), trace


def rests(phase: Phase, state: State) -> jax.Array:
    """Whether a search, or each of a batch, makes no more steps; see `Phase.enough`."""
    return state.done & (state.step % phase.round == 0)


def _paced(updates: Any, pace: Any) -> Any:
    if pace is None:
        return updates
    return jax.tree.map(
        lambda factor, branch: jax.tree.map(lambda leaf: factor * leaf, branch), pace, updates
    )


def chunk_length(steps: int, *, limit: int = 25) -> int:
    """The largest divisor of `steps` that is at most `limit`: chunks of this length need a single
    compilation."""
    return max(n for n in range(1, min(steps, limit) + 1) if steps % n == 0)


def minimise(
    loss: Callable[[Latent], tuple[Scalar, dict[str, Scalar]]],
    init: Latent,
    *,
    tx: optax.GradientTransformation,
    steps: int,
    project: Callable[[Latent], Latent] | None = None,
) -> Search:
    """Minimises loss(latent) -> (scalar, terms) from `init`; the best of the `steps` iterates is
    returned."""
    phase = Phase(
        steps=steps,
        start=lambda key, params, y, previous: (init, None),
        loss=lambda params, y, context, latent: loss(latent),
        tx=tx,
        project=project and (lambda context, latent: project(latent)),
    )
    state, trace = advance(phase, None, None, begin(phase, None, None, None, None), length=steps)
    return Search(state.best, state.best_value, trace)


@dataclasses.dataclass(frozen=True, eq=False)
class Solve:
    """A method bound to a prior and an operator: solve(key, params, y) -> Result for one image;
    pure, to be jit-ed and vmap-ed.

    A dataclass and not a NamedTuple because jit needs a weak reference to what it compiles. It
    holds functions only, no arrays.

    Attributes:
        phases: run in sequence, each from the best iterate of the one before.
        finish: (params, y, best variables, context) of the last phase -> (image, latent).
        operator: A, of which the residual is measured.
        eps: the largest residual that counts as feasible, a mean square on the [0, 1] scale, unless
            params have one for the photo (`EPS`).
        tuned: (best variables) of the last phase -> the entries of params that the method changed
            for the photo, {} if it changed none. The prior with params | tuned draws the image from
            the latent, but for a projection at the end; `finish` does not return them.
    """

    phases: tuple[Phase, ...]
    finish: Callable
    operator: Operator
    eps: float
    tuned: Callable[[Any], dict] = lambda variables: {}

    def inputs(self, ys: np.ndarray, thetas: Mapping[str, np.ndarray] | None = None) -> Any:
        """What the functions take for `y`, with a leading axis n: the measurements. `thetas` are
        for methods whose operators have parameters (see `conditioned`).

        Raises:
            ValueError: thetas.
        """
        if thetas is not None:
            raise ValueError(
                f"expected no parameters for {self.operator.name}, which has none, got "
                f"{', '.join(thetas)}"
            )
        return ys

    def __call__(self, key: PRNGKey, params: Params, y: Any) -> Result:
        """Restores one image in one piece."""
        first, *others = self.phases
        state, trace = advance(
            first, params, y, begin(first, key, params, y, None), length=first.steps
        )
        traces = [trace]
        for phase in others:
            state = begin(phase, key, params, y, (state.best, state.context))
            state, trace = advance(phase, params, y, state, length=phase.steps)
            traces.append(trace)
        return self.conclude(params, y, state, traces)

    def conclude(self, params: Params, y: Any, state: State, traces: Sequence[Trace]) -> Result:
        """The result from the last phase's state and the traces of all chunks, in order; one more
        forward pass of the generator. Where the last phase may rest, the latent tells the
        "steps_made" in it."""
        image, latent = self.finish(params, y, state.best, state.context)
        if self.phases[-1].enough is not None:
            latent = {**latent, "steps_made": state.step}
        residual = jnp.mean((self.operator(image) - y) ** 2)
        # If no iterate had a finite loss, the image is only the start of the search and no
        # solution, however small its residual.
        feasible = (residual <= bound(params, self.eps)) & jnp.isfinite(state.best_value)
        return Result(image, latent, join(traces), residual, feasible)


def bound(params: Params, eps: float) -> Scalar | float:
    """The largest feasible residual: the photo's own, where params have it, else `eps`."""
    return params[EPS] if params and EPS in params else eps


def join(traces: Sequence[Trace]) -> Trace:
    """Concatenates traces in time; a term that a piece lacks is NaN there."""
    names = list(dict.fromkeys(name for trace in traces for name in trace))
    return {
        name: jnp.concatenate(
            [trace.get(name, jnp.full_like(trace["loss"], jnp.nan)) for trace in traces]
        )
        for name in names
    }
