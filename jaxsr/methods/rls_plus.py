"""RLS+: RLS, then the latent code, the first noise maps and the generator refined for each image
(arXiv:2311.16923, section 3.2)."""

import dataclasses
import math
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import optax

from jaxsr.methods import _sizes
from jaxsr.methods.rls import RLS, search_phase
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_prior, tile
from jaxsr.search import Phase, Solve, bound, objectives, transforms
from jaxsr.settings import Presets, count, iterates, resolve, unbounded
from jaxsr.types import Measurement, Params, PRNGKey

PAPER = {
    **RLS.PRESETS["paper"],
    "refine_steps": 50,
    "refine_rounds": 1,
    "refine_learning_rate": 1e-4,
    "generator_learning_rate": 1e-4,
    "radius": 1.0,
    "num_noise": 9,
}
CODE = {**PAPER, **RLS.PRESETS["code"], "refine_steps": 200, "refine_learning_rate": 0.1}
SCALED = {**PAPER, **RLS.PRESETS["scaled"], "refine_rounds": 8}
GROWTH = 2.0  # of the latent's step size, from round to round


@dataclasses.dataclass(frozen=True)
class RLSPlus(RLS):
    """Settings of RLS+: those of RLS for the search, and those of the refinement; a field left at
    None takes the preset's value.

    Preset "paper" refines for 50 iterations at 1e-4, "code" for 200 at 0.1, the generator at 1e-4
    (the release's defaults, not those of its figures). What the paper leaves open follows the
    release in all: the step size of the latent and the noise follows linear1cycledrop, the
    generator's stays constant, and "early stopping" is the fixed number of iterations. "scaled"
    brings the paper's numbers to the prior's sizes, and goes on in rounds of 50 until the result is
    feasible, for 8 rounds at most.

    The paper's ball cannot bind at the paper's own numbers: 50 steps, of half of 1e-4 in the mean,
    take 512 numbers 1.3 away at most, and the radius is 22.6. Where one round does not make a photo
    feasible, "scaled" doubles the latent's step size in the next: from the fifth on (31 x 1.3 and
    more) the ball is within reach, and it is what ends the latent's way.

    Attributes:
        refine_steps: iterates of the refinement, of each round.
        refine_rounds: how often they are made, at most: no more once the best iterate's residual is
            at most eps. The schedule begins anew in each, at twice the step size for the latent and
            the noise.
        refine_learning_rate: of w+ and the noise maps, peak of the schedule.
        generator_learning_rate: of the generator's weights.
        radius: r; each row of w+ stays within r sqrt(d) of the search's result in the l1 norm.
        num_noise: how many noise maps, coarsest first, are refined (9: 4 to 64 px); the others stay
            as they are.
    """

    refine_steps: int | None = iterates()
    refine_rounds: int | None = count()
    refine_learning_rate: float | None = None
    generator_learning_rate: float | None = None
    radius: float | None = unbounded()
    num_noise: int | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER, "code": CODE, "scaled": SCALED}


def rls_plus(prior: Prior, operator: Operator, config: RLSPlus = RLSPlus()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise": tuple of [r,
    r]} and, with several rounds, "steps_made", the number of iterates of the refinement.

    The refinement starts at the best iterate of the search and minimises the mean |A(image) - y|
    alone. The image comes from weights that were tuned for it and are not returned: the latent in
    the prior's own generator gives a slightly different image.

    Raises:
        ValueError: as `rls`.
    """
    check_prior("rls_plus", prior, operator)
    settings = resolve(config, operator, RLSPlus)

    def finish(params, y, variables, context):
        noise = variables["noise"] + context["noise"]
        image = prior.synthesize(
            {**params, "synthesis": variables["synthesis"]}, variables["w_plus"], noise
        )
        return image, {"w_plus": variables["w_plus"], "noise": noise}

    phases = (
        search_phase("rls_plus", prior, operator, settings),
        refine_phase(prior, operator, settings),
    )
    return Solve(
        phases,
        finish,
        operator,
        settings.eps,
        lambda variables: {"synthesis": variables["synthesis"]},
    )


@runtime_checkable
class Refinement(Protocol):
    """Settings of RLS+ that rule the refinement, resolved; see RLSPlus."""

    fit_weight: float
    eps: float
    refine_steps: int
    refine_rounds: int
    refine_learning_rate: float
    generator_learning_rate: float
    radius: float
    num_noise: int
    fitted: bool


def refine_phase(prior: Prior, operator: Operator, config: Refinement) -> Phase:
    """The refinement: variables {"w_plus", "noise", "synthesis"}, context {"anchor", "radius",
    "noise" (the fixed rest)}."""
    refine = _Refine(prior, operator, config)
    several = config.refine_rounds > 1
    return Phase(
        config.refine_steps * config.refine_rounds,
        refine.start,
        refine.loss,
        refine.optimiser(),
        _project,
        pace=refine.pace if config.fitted else None,
        enough=(lambda params, terms: terms["l2"] <= bound(params, config.eps))
        if several
        else None,
        round=config.refine_steps,
    )


class _Refine(NamedTuple):
    """The functions of the refinement, see `Phase`."""

    prior: Prior
    operator: Operator
    config: Refinement

    def start(self, key: PRNGKey, params: Params, y: Measurement, previous: tuple) -> tuple:
        prior, config, (found, fixed) = self.prior, self.config, previous
        w_plus, noise = tile(prior, found["w_plus"]), fixed["noise"]
        variables = {
            "w_plus": w_plus,
            "noise": noise[: config.num_noise],
            "synthesis": params["synthesis"],
        }
        factor = _sizes.radius(_sizes.sizes(prior, params, config.fitted))
        radius = jnp.asarray(config.radius * math.sqrt(prior.info.w_dim) * factor)
        return variables, {"anchor": w_plus, "radius": radius, "noise": noise[config.num_noise :]}

    def pace(self, params: Params) -> dict:
        own = _sizes.sizes(self.prior, params, self.config.fitted)
        return {
            "w_plus": _sizes.step_of_w(own),
            "noise": 1.0,
            "synthesis": _sizes.steps_of_weights(own, params["synthesis"]),
        }

    def loss(self, params: Params, y: Measurement, context: dict, variables: dict) -> tuple:
        params = {**params, "synthesis": variables["synthesis"]}
        noise = variables["noise"] + context["noise"]
        measured = self.operator(self.prior.synthesize(params, variables["w_plus"], noise))
        fit = objectives.l1(measured, y)
        return self.config.fit_weight * fit, {"l1": fit, "l2": objectives.l2(measured, y)}

    def optimiser(self) -> optax.GradientTransformation:
        """Adam: of the latent by a schedule that begins anew in each round, GROWTH times as fast,
        of the weights at one pace."""
        steps = self.config.refine_steps
        cycle = transforms.linear1cycledrop(self.config.refine_learning_rate, steps)

        def schedule(count):
            number, step = jnp.divmod(count, steps)
            return cycle(step) * GROWTH**number

        weights = optax.adam(self.config.generator_learning_rate)
        return optax.partition(
            {"latent": optax.adam(schedule), "weights": weights},
            {"w_plus": "latent", "noise": "latent", "synthesis": "weights"},
        )


def _project(context: dict, variables: dict) -> dict:
    """The latent within its ball around the anchor, the noise of mean 0 and deviation 1."""
    anchor = context["anchor"]
    step = transforms.project_l1_ball(variables["w_plus"] - anchor, context["radius"])
    noise = transforms.renormalise_noise(variables["noise"])
    return {**variables, "w_plus": anchor + step, "noise": noise}
