"""Any method for a family of operators: the parameters of a photo's own are read as the program
runs, so that one compilation serves all photos of a size, and those that nobody knows are searched
with the latent.

The method is built anew of `family.make(theta)` inside of each of the functions of a `Solve`, which
costs a trace and nothing as it runs.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsr.operators import Family, Operator, Theta
from jaxsr.search.solve import Phase, Solve, State, Trace
from jaxsr.types import Params, PRNGKey, Result

Method = Callable[[Operator], Solve]
STEP = 0.02  # of Adam at the start, of the range between a parameter's bounds


class Given(NamedTuple):
    """What is known of a photo: its pixels, and its operator's parameters."""

    pixels: Any
    theta: Theta


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Conditioned(Solve):
    """A method bound to a prior and a family of operators: solve(key, params, Given(y, theta)).

    The Result's latent tells "operator", theta as found, and "residual_at_start", that of the same
    image with the theta given. The free parameters are moved by Adam, at STEP of their range and
    falling to 0 over a phase as half a cosine, and are clipped to their bounds after each step; the
    next phase goes on from the best.

    Attributes:
        family: the operators; those in its bounds are searched.
        at: (theta) -> the method for one operator.
    """

    family: Family
    at: Callable[[Theta], Solve]

    def inputs(self, ys: np.ndarray, thetas: Mapping[str, np.ndarray] | None = None) -> Given:
        """Measurements [n, ...] with a theta each, [n, ...]; where `thetas` lacks a name, or there
        are none, the family's start.

        Raises:
            ValueError: a name that the family does not have, or an array of another shape.
        """
        start, n = self.family.start, len(ys)
        found = {name: np.broadcast_to(value, (n, *value.shape)) for name, value in start.items()}
        for name, value in (thetas or {}).items():
            if name not in start or np.shape(value) != (n, *start[name].shape):
                shapes = {name: (n, *value.shape) for name, value in start.items()}
                raise ValueError(
                    f"expected parameters of the shapes {shapes}, got {name} of {np.shape(value)}"
                )
            found[name] = np.asarray(value, np.float32)
        return Given(ys, found)

    def conclude(self, params: Params, y: Given, state: State, traces: Sequence[Trace]) -> Result:
        """As that of the method; see `Solve.conclude`."""
        theta = {**y.theta, **state.best["operator"]}
        solve = self.at(theta)
        inner = state._replace(best=state.best["search"])
        result = solve.conclude(params, _measured(solve, y), inner, traces)
        before = self.at(y.theta)
        residual = jnp.mean((before.operator(result.image) - _measured(before, y)) ** 2)
        told = {"operator": theta, "residual_at_start": residual}
        return result._replace(latent={**result.latent, **told})


def conditioned(method: Method, family: Family) -> Conditioned:
    """The method for a family of operators.

    Args:
        method: (operator) -> Solve, such as `lambda operator: methods.pulse(prior, operator)`.
        family: see `operators.families`.
    """

    def at(theta: Theta) -> Solve:
        return method(family.make(theta))

    template = at(family.start)
    phases = tuple(_Part(at, family, i).phase(each) for i, each in enumerate(template.phases))

    def finish(params: Params, y: Given, variables: dict, context: Any) -> tuple:
        solve = at({**y.theta, **variables["operator"]})
        return solve.finish(params, _measured(solve, y), variables["search"], context)

    return Conditioned(
        phases,
        finish,
        template.operator,
        template.eps,
        lambda variables: template.tuned(variables["search"]),
        family=family,
        at=at,
    )


class _Part(NamedTuple):
    """The functions of one phase, see `Phase`. Its variables are {"search": those of the method,
    "operator": the free parameters}."""

    at: Callable[[Theta], Solve]
    family: Family
    number: int

    def phase(self, template: Phase) -> Phase:
        """The phase whose schedule and rules are the template's, and whose functions see the
        photo's own operator."""
        steps = optax.cosine_decay_schedule(STEP, template.steps)
        keep = template.project or (lambda context, variables: variables)
        pace = template.pace or (lambda params: 1.0)
        ranges = {name: high - low for name, (low, high) in self.family.bounds.items()}
        return template._replace(
            start=self.start,
            loss=self.loss,
            tx=_each({"search": template.tx, "operator": optax.adam(steps)}),
            project=lambda context, variables: {
                "search": keep(context, variables["search"]),
                "operator": self.clipped(variables["operator"]),
            },
            pace=lambda params: {"search": pace(params), "operator": ranges},
        )

    def start(
        self, key: PRNGKey, params: Params, y: Given, previous: tuple | None
    ) -> tuple[dict, Any]:
        if previous is None:
            free, before = {name: y.theta[name] for name in self.family.bounds}, None
        else:
            (found, context) = previous
            free, before = found["operator"], (found["search"], context)
        solve = self.at({**y.theta, **free})
        variables, context = solve.phases[self.number].start(
            key, params, _measured(solve, y), before
        )
        return {"search": variables, "operator": free}, context

    def loss(self, params: Params, y: Given, context: Any, variables: dict) -> tuple:
        solve = self.at({**y.theta, **variables["operator"]})
        phase = solve.phases[self.number]
        return phase.loss(params, _measured(solve, y), context, variables["search"])

    def clipped(self, free: dict) -> dict:
        bounds = self.family.bounds
        return {name: jnp.clip(value, *bounds[name]) for name, value in free.items()}


def _measured(solve: Solve, y: Given) -> jax.Array:
    """The pixels without those that the photo's operator does not measure."""
    onto_range = solve.operator.onto_range
    return y.pixels if onto_range is None else onto_range(y.pixels)


def _each(transformations: dict[str, optax.GradientTransformation]) -> optax.GradientTransformation:
    """For each of the variables' names an optimiser of its own. (`optax.partition` would hand them
    trees of another structure, which the methods' own partitions do not know.)"""

    def init(variables: dict) -> dict:
        return {name: tx.init(variables[name]) for name, tx in transformations.items()}

    def update(updates: dict, state: dict, variables: dict | None = None) -> tuple[dict, dict]:
        made = {
            name: tx.update(updates[name], state[name], variables and variables[name])
            for name, tx in transformations.items()
        }
        return {name: each[0] for name, each in made.items()}, {
            name: each[1] for name, each in made.items()
        }

    return optax.GradientTransformation(init, update)
