"""RLS: latent search regularised by a normalising flow of w (Gheisari and Genovesio,
arXiv:2311.16923)."""

import dataclasses
from typing import ClassVar, Literal, Protocol, runtime_checkable

import jax
import optax

from jaxsr.methods import _common, _sizes
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_prior, start_in_w, tile
from jaxsr.search import Phase, Solve, objectives, transforms
from jaxsr.settings import Needing, Presets, iterates, resolve

PAPER = {
    "steps": 200,
    "learning_rate": 0.5,
    "fit_weight": 1.0,
    "flow_weight": 0.0002,
    "gaussian_weight": 0.0004,
    "cross_weight": 0.05,
    "cross": "sum_sq",
    "eps": 2e-3,
    "init_spread": 0.0,
    "space": "w_plus",
    "fitted": False,
}
CODE = {
    **PAPER,
    "steps": 500,
    "fit_weight": 10.0,
    "flow_weight": 0.002,
    "gaussian_weight": 0.004,
    "cross_weight": 0.5,
    "cross": "mean_l2",
}
SCALED = {**PAPER, "fitted": True}


@dataclasses.dataclass(frozen=True)
class RLS:
    """Settings of RLS; a field left at None takes the preset's value.

    Preset "paper" is what is printed: eq. 5 with its sum of squares, its weights, 200 steps. What
    the paper leaves open follows the release: the l1 fit is a mean over pixels, the flow's terms
    are means over layers, the step size follows linear1cycledrop, the noise is drawn once. "code"
    is the release: weights ten times the paper's (Adam does not see the common factor), 500 steps,
    and a mean of distances for the cross term. "scaled" is "paper" with every number brought from
    the paper's network to the prior's sizes (`_sizes`).

    Attributes:
        steps: iterates.
        learning_rate: peak of the schedule linear1cycledrop, of Adam.
        fit_weight: of the mean |A(image) - y|.
        flow_weight: lambda_w, of -log p_F(w), mean over layers.
        gaussian_weight: lambda_g, of (|F(w)| - sqrt d)^2, mean over layers.
        cross_weight: lambda_c, of the distances between the layers' codes.
        cross: "sum_sq", the sum of squares that the paper prints (eq. 5), or "mean_l2", the mean of
            distances that the release has, under the same weight.
        eps: largest residual (mean square on [0, 1]) called feasible; PULSE's, as RLS has none.
        init_spread: the start is w_mean + init_spread (w - w_mean) with a random w: 0 starts at the
            mean of w as the paper, 0.2 is the release's when several solutions are wanted.
        space: "w_plus", one code a layer, or "w", one code for all layers (the paper's ablation
            "w/o W+", its Table 5).
        fitted: whether weights and step sizes are those of the paper's network, brought to the
            prior's sizes; else they are taken as they are.
    """

    preset: Literal["paper", "code", "scaled"] = "paper"
    steps: int | None = iterates()
    learning_rate: float | None = None
    fit_weight: float | None = None
    flow_weight: float | None = None
    gaussian_weight: float | None = None
    cross_weight: float | None = None
    cross: Literal["mean_l2", "sum_sq"] | None = None
    eps: float | None = None
    init_spread: float | None = None
    space: Literal["w_plus", "w"] | None = None
    fitted: bool | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER, "code": CODE, "scaled": SCALED}
    NEEDS: ClassVar[tuple[str, ...]] = ("statistics", "flow")


CROSS = {"mean_l2": objectives.pairwise_mean_l2, "sum_sq": objectives.pairwise_sum_sq}


def rls(prior: Prior, operator: Operator, config: RLS = RLS()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus": [L, d], "noise": tuple of [r,
    r]}.

    w+ is searched from the mean of w; the noise maps are drawn once, normalised to mean 0 and
    standard deviation 1 (so that the refinement of RLS+, which keeps them so, starts at exactly
    this image), and fixed. The best iterate (smallest loss) is returned. The key draws the noise
    maps and, with init_spread, the start: other keys give other solutions.

    Raises:
        ValueError: the prior has no w space, or its images are not the operator's; at solve time
            also if params has no "statistics" or no "flow", or y has the wrong shape.
    """
    check_prior("rls", prior, operator)
    settings = resolve(config, operator, RLS)

    def finish(params, y, variables, context):
        w_plus = tile(prior, variables["w_plus"])
        return prior.synthesize(params, w_plus, context["noise"]), {"w_plus": w_plus, **context}

    return Solve((search_phase("rls", prior, operator, settings),), finish, operator, settings.eps)


@runtime_checkable
class Settings(Needing, Protocol):
    """Settings of RLS and of RLS+ that rule the search, resolved; see RLS."""

    steps: int
    learning_rate: float
    fit_weight: float
    flow_weight: float
    gaussian_weight: float
    cross_weight: float
    cross: str
    init_spread: float
    space: str
    fitted: bool


def search_phase(method: str, prior: Prior, operator: Operator, config: Settings) -> Phase:
    """The search of RLS and the first stage of RLS+: variables {"w_plus" [L, d] or, in W, [1, d]},
    context {"noise"}."""
    from jaxsr import flows  # distrax comes with it, which `import jaxsr` must not load

    def start(key, params, y, previous):
        _common.check_inputs(method, config, operator, params, y)
        key_noise, key_w = jax.random.split(key)
        w = start_in_w(prior, config.init_spread, key_w, params)
        noise = transforms.renormalise_noise(prior.noise("random", params, key_noise))
        return {"w_plus": w[None] if config.space == "w" else tile(prior, w)}, {"noise": noise}

    def weights(params):
        own = _sizes.sizes(prior, params, config.fitted)
        return {
            "l1": config.fit_weight,
            "flow_nll": config.flow_weight * _sizes.per_dimension(own),
            "gaussian": config.gaussian_weight * _sizes.per_dimension(own),
            "cross": config.cross_weight * _sizes.cross(own, config.cross),
        }

    def pace(params):
        return {"w_plus": _sizes.step_of_w(_sizes.sizes(prior, params, config.fitted))}

    def loss(params, y, context, variables):
        w_plus = tile(prior, variables["w_plus"])
        u, log_det = jax.vmap(flows.forward_and_log_det, (None, 0))(params["flow"], w_plus)
        terms = {
            "l1": objectives.l1(operator(prior.synthesize(params, w_plus, context["noise"])), y),
            "flow_nll": objectives.flow_nll(u, log_det),
            "gaussian": objectives.gaussianisation(u),
            "cross": CROSS[config.cross](w_plus),
        }
        return objectives.weighted(terms, weights(params)), terms

    tx = optax.adam(transforms.linear1cycledrop(config.learning_rate, config.steps))
    return Phase(config.steps, start, loss, tx, pace=pace if config.fitted else None)
