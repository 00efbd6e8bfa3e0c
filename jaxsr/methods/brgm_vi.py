"""BRGM's several solutions: samples of a Gaussian fitted to the posterior of w+ by variational
inference (arXiv:2012.04567)."""

import dataclasses
import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax

from jaxsr.methods import _common
from jaxsr.methods.brgm import CODE, check_fidelity, fidelity, log_prior, weighted
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_prior, tile
from jaxsr.search import Phase, Solve, objectives
from jaxsr.settings import Presets, count, iterates, resolve
from jaxsr.types import Drawn, Latent, Params, PRNGKey, Scalar

CONCENTRATION, RATE = 0.1, 0.95  # of the inverse gamma prior of half a standard deviation
PAPER = {
    **{name: value for name, value in CODE.items() if name not in ("schedule", "start_spread")},
    "samples": 6,
}


@dataclasses.dataclass(frozen=True)
class BRGMVI:
    """Settings of BRGM's variational inference; a field left at None takes the preset's value.

    Preset "paper" is the authors' PyTorch port, where alone it exists.

    Attributes:
        steps: iterates.
        learning_rate: of Adam on mean and standard deviation.
        samples: drawn anew in each step, over which the objective is averaged; the first is the
            mean.
        fit_weight, perceptual_weight, prior_weight, cosine_weight, cosine, side, network: as in
            BRGM; the cosine term is of the mean.
        eps: largest feasible residual (mean square on [0, 1]); PULSE's, as BRGM has none.
    """

    preset: Literal["paper"] = "paper"
    steps: int | None = iterates()
    learning_rate: float | None = None
    samples: int | None = count()
    fit_weight: float | None = None
    perceptual_weight: float | None = None
    prior_weight: float | None = None
    cosine_weight: float | None = None
    cosine: Literal["mean", "sum"] | None = None
    side: Literal["as_is", "256"] | None = None
    network: Literal["vgg", "features"] | None = None
    eps: float | None = None

    PRESETS: ClassVar[Presets] = {"paper": PAPER}
    NEEDS: ClassVar[tuple[str, ...]] = ("statistics", "perceptual")


def brgm_vi(prior: Prior, operator: Operator, config: BRGMVI = BRGMVI()) -> Solve:
    """Returns solve(key, params, y) -> Result with latent {"w_plus", "mean", "std": [L, d],
    "noise": tuple of [r, r]}.

    q(w+) = N(mean, diag(std^2)), from the mean and deviation of w. The image is one sample; each
    key fits q anew and draws another, and `draw` takes any number from one fit. The entropy of q is
    left out, as in the port: an inverse gamma prior on std / 2 keeps q from collapsing. The port
    draws in each step too; its log q depends on the draws alone and is left out here.

    Raises:
        ValueError: the prior has no w space, or its images are not the operator's; at solve time
            also if params has no "statistics" or no "perceptual", or y has the wrong shape.
    """
    check_prior("brgm_vi", prior, operator)
    settings = resolve(config, operator, BRGMVI)
    check_fidelity("brgm_vi", settings, operator)
    shape = (settings.samples - 1, prior.info.num_layers, prior.info.w_dim)

    def start(key, params, y, previous):
        _common.check_inputs("brgm_vi", settings, operator, params, y)
        key_noise, key_draws, key_result = jax.random.split(key, 3)
        rho = _inverse_softplus(params["statistics"]["w_std"])
        keys = {"draws": jax.random.key_data(key_draws), "result": jax.random.key_data(key_result)}
        variables = {"mean": tile(prior, params["statistics"]["w_mean"]), "rho": tile(prior, rho)}
        return variables, {"noise": prior.noise("random", params, key_noise), **keys}

    def redraw(context, step):
        key = jax.random.fold_in(jax.random.wrap_key_data(context["draws"]), step)
        return {
            **context,
            "normal": jnp.concatenate([jnp.zeros((1, *shape[1:])), jax.random.normal(key, shape)]),
        }

    def loss(params, y, context, variables):
        mean, std = variables["mean"], jax.nn.softplus(variables["rho"])
        samples = mean + context["normal"] * std
        measured = jax.vmap(
            lambda w_plus: operator(prior.synthesize(params, w_plus, context["noise"]))
        )(samples)
        each = jax.vmap(lambda m: fidelity(settings, operator, params, m, y))(measured)
        terms = jax.tree.map(jnp.mean, each)
        terms |= {
            "prior": log_prior(params, samples),
            "cosine": objectives.cosine(mean, settings.cosine),
        }
        terms["spread"] = _spread(std)
        return weighted(settings, terms) + terms["spread"], terms

    def finish(params, y, variables, context):
        latent = {
            "mean": variables["mean"],
            "std": jax.nn.softplus(variables["rho"]),
            "noise": context["noise"],
        }
        image, w_plus = draw(prior, params, latent, jax.random.wrap_key_data(context["result"]))
        return image, {"w_plus": w_plus, **latent}

    tx = optax.adam(settings.learning_rate)
    phase = Phase(settings.steps, start, loss, tx, redraw=redraw)
    return Solve((phase,), finish, operator, settings.eps)


def draw(prior: Prior, params: Params, latent: Latent, key: PRNGKey) -> tuple[Drawn, jax.Array]:
    """Another solution from the `latent` of one result of `brgm_vi`, without `restore`'s leading
    axis: (image [H, W, 3], w_plus [L, d]).

    Raises:
        ValueError: a latent of another method, or of several results.
    """
    expected = (prior.info.num_layers, prior.info.w_dim)
    if (
        jnp.shape(latent.get("mean", ())) != expected
        or jnp.shape(latent.get("std", ())) != expected
    ):
        got = {name: jnp.shape(leaf) for name, leaf in latent.items() if name != "noise"}
        raise ValueError(
            f"expected the latent of one result of brgm_vi, mean and std {expected}, got {got}"
        )
    w_plus = latent["mean"] + latent["std"] * jax.random.normal(key, latent["mean"].shape)
    return prior.synthesize(params, w_plus, latent["noise"]), w_plus


def _inverse_softplus(x: jax.Array) -> jax.Array:
    return x + jnp.log(-jnp.expm1(-x))


def _spread(std: jax.Array) -> Scalar:
    """Minus the mean log density of std / 2 under the inverse gamma distribution."""
    half = std / 2
    constant = CONCENTRATION * math.log(RATE) - math.lgamma(CONCENTRATION)
    return jnp.mean((CONCENTRATION + 1) * jnp.log(half) + RATE / half) - constant
