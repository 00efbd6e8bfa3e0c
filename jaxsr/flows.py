"""Masked autoregressive flow over w, as RLS uses it (arXiv:2311.16923, section 2.2), written as
distrax bijectors.

The flow F = standardisation (w - mean) / std, then `num_blocks` times [MADE, batch normalisation,
reversal of the order of dimensions]. Everywhere here, forward is the Gaussianising direction w -> u
= F(w), and inverse is u -> w, in distrax's `bijector(params)` too. `distribution(params)`, whose
samples are w, is therefore the standard normal pushed through `distrax.Inverse(bijector(params))`.

Parameters are a nested dict; sizes are read from its shapes, so using a flow needs no config:
    {"blocks": {"block0": {"kernel0", "bias0", "kernel1", "bias1", "kernel2", "bias2", "log_gain",
    "shift"}, ...},     learnt
     "statistics": {"w": {"mean", "std"}, "block0": {"mean", "var"}, ...}}
         measured on samples
It imports distrax and with it TensorFlow Probability: import this module where a flow is used, not
where `import jaxsr` reaches.
"""

from dataclasses import dataclass

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxsr.types import Params, PRNGKey, Scalar

EPS = 1e-5  # of the batch normalisation


@dataclass(frozen=True)
class Config:
    """Sizes of a flow; hidden 1024 and 5 blocks are RLS's (13.1 M weights for the 512 dimensions of
    StyleGAN).

    Attributes:
        dim: dimensions of w, at least 2.
        hidden: units in each of the two hidden layers of a MADE.
        num_blocks: number of [MADE, batch normalisation, reversal].
    """

    dim: int
    hidden: int = 1024
    num_blocks: int = 5


def init(key: PRNGKey, config: Config) -> Params:
    """Parameters of an untrained flow: orthogonal kernels, zero biases, statistics of zero mean and
    unit variance.

    Raises:
        ValueError: a size below 1, or fewer than two dimensions.
    """
    if config.dim < 2 or config.hidden < 1 or config.num_blocks < 1:
        raise ValueError(
            f"expected a flow with dim >= 2, hidden >= 1 and num_blocks >= 1, got {config}"
        )
    keys = jax.random.split(key, config.num_blocks)
    zeros, ones = jnp.zeros(config.dim), jnp.ones(config.dim)
    statistics = {f"block{i}": {"mean": zeros, "var": ones} for i in range(config.num_blocks)}
    blocks = {f"block{i}": _init_block(k, config) for i, k in enumerate(keys)}
    return {"blocks": blocks, "statistics": {"w": {"mean": zeros, "std": ones}, **statistics}}


def _init_block(key: PRNGKey, config: Config) -> dict[str, Array]:
    orthogonal = jax.nn.initializers.orthogonal()
    block = {"log_gain": jnp.zeros(config.dim), "shift": jnp.zeros(config.dim)}
    masks = made_masks(config.dim, config.hidden)
    for i, (key_layer, mask) in enumerate(
        zip(jax.random.split(key, len(masks)), masks, strict=True)
    ):
        # Masked entries start and stay at zero: nothing reads them, and zeros compress.
        block |= {
            f"kernel{i}": jnp.where(mask, orthogonal(key_layer, mask.shape), 0),
            f"bias{i}": jnp.zeros(mask.shape[1]),
        }
    return block


def rank_based_mask(in_ranks: np.ndarray, out_ranks: np.ndarray) -> Bool[Array, "i o"]:
    """True where an output may see an input: where its rank is not below the input's (MADE,
    arXiv:1502.03509).

    Compared inside the program: as ready-made constants the masks of RLS's flow would add 52 MB to
    it.
    """
    return jnp.asarray(out_ranks)[None, :] >= jnp.asarray(in_ranks)[:, None]


def made_masks(dim: int, hidden: int) -> list[Bool[Array, "i o"]]:
    """Masks of the three layers in natural order: output i (shift and log-scale alike) sees the
    inputs before i only."""
    inputs, units, outputs = (
        np.arange(dim),
        np.arange(hidden) % (dim - 1),
        np.tile(np.arange(dim) - 1, 2),
    )
    ranks = [inputs, units, units, outputs]
    return [rank_based_mask(a, b) for a, b in zip(ranks[:-1], ranks[1:], strict=True)]


class Made(distrax.Bijector):
    """u = (x - m(x)) * exp(-a(x)), m_i and a_i functions of x_1 .. x_{i-1} (arXiv:1705.07057, eq.
    4); any leading batch axes.

    The forward direction is one pass of the network, the inverse `dim` passes in sequence.
    """

    def __init__(self, block: Params):
        super().__init__(event_ndims_in=1)
        self._layers = [(block[f"kernel{i}"], block[f"bias{i}"]) for i in range(3)]
        self._dim, self._hidden = block["kernel0"].shape

    def _shift_and_log_scale(self, x: Array) -> tuple[Array, Array]:
        masks = made_masks(self._dim, self._hidden)
        for i, ((kernel, bias), mask) in enumerate(zip(self._layers, masks, strict=True)):
            x = jax.nn.relu(x) if i else x
            # Full float32: with an accelerator's shortened products the inverse and the
            # log-determinant would be off by per mille.
            x = (
                jnp.matmul(x, jnp.where(mask, kernel, 0), precision=jax.lax.Precision.HIGHEST)
                + bias
            )
        m, a = jnp.split(x, 2, axis=-1)
        return m, a

    def forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        m, a = self._shift_and_log_scale(x)
        return (x - m) * jnp.exp(-a), -a.sum(-1)

    def inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        def fill(x: Array, i: Array) -> tuple[Array, Array]:
            m, a = self._shift_and_log_scale(x)
            return x.at[..., i].set(y[..., i] * jnp.exp(a[..., i]) + m[..., i]), a[..., i]

        x, log_scales = jax.lax.scan(fill, jnp.zeros_like(y), jnp.arange(self._dim))
        return x, log_scales.sum(0)


class Affine(distrax.Bijector):
    """y = (x - mean) * exp(log_scale) + shift, all [dim]: the standardisation, and batch
    normalisation with given statistics."""

    def __init__(self, mean: Array, log_scale: Array, shift: Array | float = 0.0):
        super().__init__(event_ndims_in=1, is_constant_jacobian=True)
        self._mean, self._log_scale, self._shift = mean, log_scale, shift

    def forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        log_det = jnp.broadcast_to(self._log_scale.sum(), x.shape[:-1])
        return (x - self._mean) * jnp.exp(self._log_scale) + self._shift, log_det

    def inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        log_det = jnp.broadcast_to(-self._log_scale.sum(), y.shape[:-1])
        return (y - self._shift) * jnp.exp(-self._log_scale) + self._mean, log_det


class Reverse(distrax.Bijector):
    """The order of the dimensions reversed."""

    def __init__(self):
        super().__init__(event_ndims_in=1, is_constant_jacobian=True)

    def forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return x[..., ::-1], jnp.zeros(x.shape[:-1], x.dtype)

    def inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return self.forward_and_log_det(y)


def standardisation(statistics: Params) -> Affine:
    """(w - mean) / std."""
    return Affine(statistics["mean"], -jnp.log(statistics["std"]))


def batch_norm(block: Params, statistics: Params) -> Affine:
    """(x - mean) / sqrt(var + 1e-5) * exp(log_gain) + shift, with the statistics given: measured,
    or in training those of the batch."""
    return Affine(
        statistics["mean"],
        block["log_gain"] - 0.5 * jnp.log(statistics["var"] + EPS),
        block["shift"],
    )


def bijector(params: Params) -> distrax.Chain:
    """The flow as a distrax bijector whose forward is w -> u; takes [..., dim]."""
    chain: list[distrax.Bijector] = [standardisation(params["statistics"]["w"])]
    for i in range(len(params["blocks"])):
        block = params["blocks"][f"block{i}"]
        chain += [Made(block), batch_norm(block, params["statistics"][f"block{i}"]), Reverse()]
    return distrax.Chain(chain[::-1])  # distrax applies the last of a chain first


def distribution(params: Params) -> distrax.Transformed:
    """The flow's density of w as a distrax distribution."""
    mean = params["statistics"]["w"]["mean"]
    normal = distrax.MultivariateNormalDiag(jnp.zeros_like(mean), jnp.ones_like(mean))
    return distrax.Transformed(normal, distrax.Inverse(bijector(params)))


def forward_and_log_det(params: Params, w: Float[Array, " d"]) -> tuple[Float[Array, " d"], Scalar]:
    """u = F(w), nearly standard normal if w is the prior's, and log |det dF/dw|, that of the
    standardisation included."""
    return bijector(params).forward_and_log_det(w)  # pyright: ignore[reportReturnType]


def inverse_and_log_det(params: Params, u: Float[Array, " d"]) -> tuple[Float[Array, " d"], Scalar]:
    """w with F(w) = u and log |det dw/du|; `d` passes of each MADE in sequence, so about `d` times
    the time of the forward direction."""
    return bijector(params).inverse_and_log_det(u)  # pyright: ignore[reportReturnType]


def log_prob(params: Params, w: Float[Array, " d"]) -> Scalar:
    """log p_F(w) in nats, RLS eq. 1: log N(F(w); 0, I) + log |det dF/dw|, that of the
    standardisation included."""
    return distribution(params).log_prob(w)  # pyright: ignore[reportReturnType]


def sample(key: PRNGKey, params: Params) -> Float[Array, " d"]:
    """w drawn from the flow: the inverse of a standard normal draw."""
    return distribution(params).sample(seed=key)
