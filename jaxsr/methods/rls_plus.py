"""RLS+: RLS, then the latent code, the first noise maps and the generator refined for each image
(arXiv:2311.16923, section 3.2)."""

import dataclasses
import math
from typing import ClassVar, Protocol, runtime_checkable

import optax

from jaxsr.methods.rls import RLS, search_phase
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_prior, tile
from jaxsr.search import Phase, Solve, objectives, transforms
from jaxsr.settings import Presets, iterates, resolve, unbounded


def _code_refine_steps(config: RLS, operator: Operator) -> int:
    """The figure script's iterations, 80, 70, 30, 20 at 8, 16, 32, 64 times; in between those of
    the next smaller factor, below 8 80."""
    factor = math.sqrt(math.prod(operator.image_shape) / math.prod(operator.measurement_shape))
    return next((steps for least, steps in ((64, 20), (32, 30), (16, 70)) if factor >= least), 80)


PAPER = {
    **RLS.PRESETS["paper"],
    "refine_steps": 50,
    "refine_learning_rate": 1e-4,
    "generator_learning_rate": 1e-4,
    "radius": 1.0,
    "num_noise": 9,
}
CODE = {**PAPER, **RLS.PRESETS["code"], "refine_steps": _code_refine_steps}


@dataclasses.dataclass(frozen=True)
class RLSPlus(RLS):
    """Settings of RLS+: those of RLS for the search, and those of the refinement; a field left at
    None takes the preset's value.

    Preset "paper" refines for 50 iterations, "code" for 80, 70, 30 or 20 by the factor (8, 16, 32,
    64); both at 1e-4, where the step size of the latent and the noise follows linear1cycledrop and
    the generator's stays constant.

    Attributes:
        refine_steps: iterates of the refinement.
        refine_learning_rate: of w+ and the noise maps, peak of the schedule.
        generator_learning_rate: of the generator's weights.
        radius: r; each row of w+ stays within r sqrt(d) of the search's result in the l1 norm.
        num_noise: how many noise maps, coarsest first, are refined (9: 4 to 64 px); the others stay
            as they are.
    """

    refine_steps: int | None = iterates()
    refine_learning_rate: float | None = None
    generator_learning_rate: float | None = None
    radius: float | None = unbounded()
    num_noise: int | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER, "code": CODE}


def rls_plus(prior: Prior, operator: Operator, config: RLSPlus = RLSPlus()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise": tuple of [r,
    r]}.

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
    refine_steps: int
    refine_learning_rate: float
    generator_learning_rate: float
    radius: float
    num_noise: int


def refine_phase(prior: Prior, operator: Operator, config: Refinement) -> Phase:
    """The refinement: variables {"w_plus", "noise", "synthesis"}, context {"anchor", "noise" (the
    fixed rest)}."""

    def start(key, params, y, previous):
        found, fixed = previous
        w_plus, noise = tile(prior, found["w_plus"]), fixed["noise"]
        variables = {
            "w_plus": w_plus,
            "noise": noise[: config.num_noise],
            "synthesis": params["synthesis"],
        }
        return variables, {"anchor": w_plus, "noise": noise[config.num_noise :]}

    def loss(params, y, context, variables):
        params = {**params, "synthesis": variables["synthesis"]}
        image = prior.synthesize(params, variables["w_plus"], variables["noise"] + context["noise"])
        fit = objectives.l1(operator(image), y)
        return config.fit_weight * fit, {"l1": fit}

    def project(context, variables):
        anchor = context["anchor"]
        step = transforms.project_l1_ball(
            variables["w_plus"] - anchor, config.radius * math.sqrt(prior.info.w_dim)
        )
        return {
            **variables,
            "w_plus": anchor + step,
            "noise": transforms.renormalise_noise(variables["noise"]),
        }

    tx = optax.partition(
        {
            "latent": optax.adam(
                transforms.linear1cycledrop(config.refine_learning_rate, config.refine_steps)
            ),
            "weights": optax.adam(config.generator_learning_rate),
        },
        {"w_plus": "latent", "noise": "latent", "synthesis": "weights"},
    )
    return Phase(config.refine_steps, start, loss, tx, project)
