"""A tiny prior with the whole contract of `jaxsr.priors.Prior` and closed-form answers: 16 px, 6
layers, 8 dimensions, 5 noise maps.

Its image is affine in (w_plus, noise) for given weights, and affine in the weights for a given
latent: each resolution r in 4, 8, 16 adds sum over its two layers l of w_l . weight[l] [r, r, 3],
plus its noise maps times a strength, enlarged to 16 px by repetition. With `styles` the code of the
first layer shifts the colours too, as an equalised layer "affine".
"""

import jax
import jax.numpy as jnp

from jaxsr import operators
from jaxsr.priors import Info, Prior, latent_statistics, tile

RESOLUTION, DIM, LAYERS = 16, 8, 6
BLOCKS = {"b4": 4, "b8": 8, "b16": 16}
NOISE_SHAPES = ((4, 4), (8, 8), (8, 8), (16, 16), (16, 16))


def prior() -> Prior:
    info = Info(
        "toy", RESOLUTION, DIM, DIM, LAYERS, NOISE_SHAPES, domain="random patterns", licence="none"
    )
    return Prior(info, _sample, _decode, _map, _noise, _synthesize, _discriminate, _split)


def params(key: jax.Array, *, flow: bool = True, styles: bool = False) -> dict:
    """Random parameters; images have mean 0.5 and standard deviation about 0.2. The flow is
    untrained but standardises w."""
    key_map, key_bias, key_weight, key_noise, key_disc, key_flow, key_w = jax.random.split(key, 7)
    key_colour = jax.random.fold_in(key, 7)
    weights = {
        name: jax.random.normal(k, (2, DIM, r, r, 3))
        for (name, r), k in zip(BLOCKS.items(), jax.random.split(key_weight, 3), strict=True)
    }
    made = {
        "mapping": {
            "kernel": jax.random.orthogonal(key_map, DIM),
            "bias": 0.2 * jax.random.normal(key_bias, (DIM,)),
        },
        "synthesis": {
            name: {"weight": 0.04 * weight, "noise_strength": jnp.asarray(0.02)}
            for name, weight in weights.items()
        },
        "discriminator": {"colours": jax.random.normal(key_disc, (3, 4))},
        "noise": _random_noise(key_noise),
    }
    if styles:
        made["synthesis"]["b4"]["affine"] = {
            "kernel": 0.1 * jax.random.normal(key_colour, (DIM, 3)),
            "bias": jnp.zeros(3),
        }
    made["statistics"] = latent_statistics(prior(), made, key_w, num_samples=4_000)
    if flow:
        made["flow"] = _flow(key_flow, made["statistics"])
    return made


def operator(factor: int = 4) -> operators.Operator:
    return operators.downsample(factor, image_shape=(RESOLUTION, RESOLUTION, 3), kernel="box")


def image(key: jax.Array, params: dict) -> jax.Array:
    """An image in the range of the prior, with the constant noise maps."""
    return _decode(params, _sample(key, params))


def _flow(key: jax.Array, statistics: dict) -> dict:
    from jaxsr import flows

    made = flows.init(key, flows.Config(DIM, hidden=16, num_blocks=2))
    made["statistics"]["w"] = {"mean": statistics["w_mean"], "std": statistics["w_std"]}
    return made


def _sample(key, params):
    return jax.random.normal(key, (DIM,))


def _map(params, z, truncation=1.0):
    w = jax.nn.leaky_relu(params["mapping"]["kernel"] @ z + params["mapping"]["bias"], 0.2)
    if truncation == 1.0:
        return w
    return params["statistics"]["w_mean"] + truncation * (w - params["statistics"]["w_mean"])


def _decode(params, z):
    return _synthesize(params, tile(prior(), _map(params, z)), params["noise"])


def _random_noise(key):
    keys = jax.random.split(key, len(NOISE_SHAPES))
    return tuple(jax.random.normal(k, shape) for k, shape in zip(keys, NOISE_SHAPES, strict=True))


def _noise(kind, params, key=None):
    if kind == "const":
        return params["noise"]
    if kind == "none":
        return tuple(jnp.zeros(shape) for shape in NOISE_SHAPES)
    if kind == "random":
        return _random_noise(key)
    raise ValueError(f"unknown kind of noise {kind!r}: expected const, none or random")


def _synthesize(params, w_plus, noise):
    image = jnp.full((RESOLUTION, RESOLUTION, 3), 0.5)
    if affine := params["synthesis"]["b4"].get("affine"):
        image += w_plus[0] @ affine["kernel"] / DIM**0.5 + affine["bias"]
    return _blocks(params, w_plus, noise, 0, 3, image)


def _split(blocks):
    def head(params, z):
        w = _map(params, z)
        return {
            "x": _blocks(
                params, tile(prior(), w), params["noise"], 0, blocks, jnp.zeros((16, 16, 3))
            ),
            "w": w,
        }

    def tail(params, cut):
        w_plus = tile(prior(), cut["w"])
        rest = _synthesize(params, w_plus, params["noise"]) - _blocks(
            params, w_plus, params["noise"], 0, blocks, jnp.zeros((16, 16, 3))
        )
        return cut["x"] + rest

    return head, tail


def _blocks(params, w_plus, noise, start, stop, image):
    for i, (name, r) in list(enumerate(BLOCKS.items()))[start:stop]:
        block = params["synthesis"][name]
        x = jnp.einsum("ld,ldhwc->hwc", w_plus[2 * i : 2 * i + 2], block["weight"])
        x += (
            block["noise_strength"]
            * sum((map for map in noise if map.shape[0] == r), jnp.zeros((r, r)))[..., None]
        )
        image += x.repeat(RESOLUTION // r, 0).repeat(RESOLUTION // r, 1)
    return image


def _discriminate(params, images):
    def features(r):
        pooled = images.reshape(len(images), r, RESOLUTION // r, r, RESOLUTION // r, 3).mean((2, 4))
        return pooled @ params["discriminator"]["colours"]

    maps = [features(r) for r in (16, 8, 4)]
    return maps[-1].mean((1, 2, 3)), maps
