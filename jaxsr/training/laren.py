"""Training of a learned restorer (LAREN, GLEAN) on photos that are degraded as they are read,
around a frozen generator.

Objective (LAREN, arXiv:2208.02861, Eq. 5; GLEAN, arXiv:2012.00739): mean squared error of images in
[-1, 1], as mmagic takes it, plus that of one deep map of a perceptual network, plus the
non-saturating adversarial term against a discriminator that begins as the prior's. With a network
that is `literal`, Eq. 5 as printed: sums instead of means, and log(1 - D).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.nn import softplus

from jaxsr import degradations
from jaxsr.learned import Model
from jaxsr.metrics.perceptual import deep_difference
from jaxsr.nets.laren import Config as LarenConfig
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.training import members
from jaxsr.training.ema import averaged
from jaxsr.types import Images, Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train. Weights and rates are LAREN's; the paper does not say how long.

    Attributes:
        batch: photos a step.
        learning_rate: of both Adams.
        perceptual_weight: of the perceptual term; 0 asks no network.
        adversarial_weight: of the adversarial term; 0 trains no discriminator.
        warmup_images: images before the adversarial term joins, as ESRGAN (arXiv:1809.00219)
            begins; the paper names none. Its gradient is larger than the squared error's long
            before the network follows its input. Until then a step takes half the time.
        ema_images: half-life of the moving average of the weights, in images, at most `ema_rampup`
            of what was seen.
        ema_rampup: share of the images seen, beyond which the average's half-life does not go.
    """

    batch: int = 8
    learning_rate: float = 1e-4
    perceptual_weight: float = 0.01
    adversarial_weight: float = 0.01
    warmup_images: int = 20_000
    ema_images: float = 10_000
    ema_rampup: float = 0.05

    def __post_init__(self):
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, got {self.batch}")
        for name in ("learning_rate", "perceptual_weight", "adversarial_weight", "warmup_images"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} must be a finite number of at least 0, got {getattr(self, name)}"
                )
        for name in ("ema_images", "ema_rampup"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


class State(NamedTuple):
    """All that training carries from step to step."""

    step: jax.Array
    key: jax.Array
    params: Params
    ema: Params
    opt: optax.OptState
    discriminator: Params
    discriminator_opt: optax.OptState


class Bound(NamedTuple):
    """What is trained, for what, and the network of the perceptual term ("vgg" or "features")."""

    model: Model
    prior: Prior
    operator: Operator
    network: str


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate, b1=0.9, b2=0.999, eps=1e-8)


def begin(key: PRNGKey, bound: Bound, prior_params: Params, config: Config) -> State:
    """Fresh state; the discriminator is the prior's. Raises ValueError where that has none and the
    adversarial term asks for it."""
    if config.adversarial_weight and "discriminator" not in prior_params:
        raise ValueError(
            f"prior {bound.prior.info.name!r} has no discriminator for the adversarial term: "
            "take adversarial_weight 0"
        )
    key_init, key = jax.random.split(key)
    params = jax.jit(bound.model.init)(key_init, prior_params)
    ema = jax.tree.map(jnp.copy, params)  # donated buffers of a jitted step must not alias
    discriminator = (
        jax.tree.map(jnp.copy, prior_params["discriminator"]) if config.adversarial_weight else {}
    )
    optimizer = _optimizer(config)
    return State(
        jnp.int32(0),
        key,
        params,
        ema,
        optimizer.init(params),
        discriminator,
        optimizer.init(discriminator),
    )


def measure(bound: Bound, images: Images) -> jax.Array:
    """What a camera gives of images [n, H, W, 3] in [0, 1]: the operator's measurements, rounded to
    8 bits."""
    return jax.vmap(lambda image: degradations.recorded(bound.operator(image)))(images)


def restored(key: PRNGKey, bound: Bound, given: Params, params: Params, ys: jax.Array) -> jax.Array:
    """Images [n, H, W, 3] of measurements [n, ...], each with noise of its own."""
    keys = jax.random.split(key, len(ys))
    return jax.vmap(lambda key, y: bound.model.restore(key, given, params, y)[0])(keys, ys)


def loss(
    key: PRNGKey,
    bound: Bound,
    config: Config,
    given: Params,
    discriminator: Params,
    params: Params,
    images: Images,
) -> tuple[jax.Array, tuple[dict[str, jax.Array], Images]]:
    """Eq. 5 of images [n, H, W, 3] in [0, 1]; its unweighted terms and the restored images.

    Args:
        given: params of the prior, and "perceptual".
        discriminator: its params as they are now.
        params: of the model.
    """
    made = restored(key, bound, given, params, measure(bound, images))
    literal = is_literal(bound)
    # Of [-1, 1].
    terms = {
        "mse": 4 * _of_an_image((made - images) ** 2, literal),
        "perceptual": jnp.float32(0),
        "adversarial": jnp.float32(0),
    }
    if config.perceptual_weight:
        compare = functools.partial(deep_difference(bound.network), given["perceptual"])
        differences = jax.vmap(compare)(made, images)
        terms["perceptual"] = _of_an_image(differences**2, literal)
    if config.adversarial_weight:
        logits = _judge(bound, discriminator, made)
        terms["adversarial"] = jnp.mean(-softplus(logits) if literal else softplus(-logits))
    value = (
        terms["mse"]
        + config.perceptual_weight * terms["perceptual"]
        + config.adversarial_weight * terms["adversarial"]
    )
    return value, (terms, made)


def is_literal(bound: Bound) -> bool:
    """Whether the objective is Eq. 5 as printed."""
    return isinstance(bound.model.net, LarenConfig) and bound.model.net.graph.literal


def _of_an_image(squares: jax.Array, literal: bool) -> jax.Array:
    """Their mean, or their sum for each image of the batch."""
    return jnp.sum(squares) / len(squares) if literal else jnp.mean(squares)


def discriminator_loss(
    bound: Bound, discriminator: Params, made: Images, images: Images
) -> tuple[jax.Array, jax.Array]:
    """Mean of softplus(D(restored)) + softplus(-D(photo)), and the mean sign of the photos'
    logits."""
    fake, real = (_judge(bound, discriminator, stack) for stack in (made, images))
    return softplus(fake).mean() + softplus(-real).mean(), jnp.sign(real).mean()


def _judge(bound: Bound, discriminator: Params, images: Images) -> jax.Array:
    return bound.prior.discriminate({"discriminator": discriminator}, images)[0]


def make_step(
    bound: Bound, config: Config, axis: str | None = None
) -> Callable[[State, Params, jax.Array], tuple[State, dict]]:
    """The training step (state, given, photos uint8 [n, H, W, 3]) -> (state, logged scalars): pure,
    to be jitted.

    The discriminator's step sees the images that the network's loss was taken of, as in GLEAN's
    release.

    Args:
        axis: the mapped axis that splits a batch of config.batch photos into n a member; None: n is
            config.batch. Gradients are averaged.
    """

    mean = functools.partial(members.mean, axis=axis)

    def step(state: State, given: Params, photos: jax.Array) -> tuple[State, dict]:
        key = jax.random.fold_in(state.key, state.step)
        key = key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))
        images, warm = (
            photos.astype(jnp.float32) / 255,
            state.step * config.batch < config.warmup_images,
        )

        def objective(config: Config, params: Params) -> tuple[tuple, Params]:
            whole = functools.partial(loss, key, bound, config, given, state.discriminator)
            return jax.value_and_grad(lambda p: whole(p, images), has_aux=True)(params)

        (value, (terms, made)), grads = _either(warm, config, objective, state.params)
        value, terms, grads = mean((value, terms, grads))
        updates, opt = _optimizer(config).update(grads, state.opt)
        params = optax.apply_updates(state.params, updates)
        state = state._replace(
            params=params,
            opt=opt,
            ema=averaged(config, state.step, state.ema, params),
            step=state.step + 1,
        )
        state, judged = _either(
            warm,
            config,
            lambda config, state: _discriminator_step(bound, config, state, made, images, mean),
            state,
        )
        return state, {"loss": value, **terms, **judged}

    return step


def _either(warm: jax.Array, config: Config, function: Callable[[Config, Any], Any], x: Any) -> Any:
    """function(config, x), without the adversarial term while it is `warm`."""
    if not config.warmup_images:
        return function(config, x)
    plain = dataclasses.replace(config, adversarial_weight=0.0)
    return jax.lax.cond(
        warm, functools.partial(function, plain), functools.partial(function, config), x
    )


def _discriminator_step(
    bound: Bound, config: Config, state: State, made: Images, images: Images, mean: Callable
) -> tuple[State, dict]:
    if not config.adversarial_weight:
        return state, {"loss_discriminator": jnp.float32(0), "sign_real": jnp.float32(0)}
    objective = jax.value_and_grad(
        lambda d: discriminator_loss(bound, d, made, images), has_aux=True
    )
    (value, sign), grads = mean(objective(state.discriminator))
    updates, opt = _optimizer(config).update(grads, state.discriminator_opt)
    discriminator = optax.apply_updates(state.discriminator, updates)
    return state._replace(discriminator=discriminator, discriminator_opt=opt), {
        "loss_discriminator": value,
        "sign_real": sign,
    }
