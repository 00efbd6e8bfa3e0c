"""What is explored: a prior's latent space, a measurement operator and a perceptual metric, and the
solution it starts from."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr import metrics
from jaxsr.operators import Operator
from jaxsr.priors import (
    Prior,
    check_images,
    in_styles,
    in_w,
    in_w_plus,
    in_w_plus_noise,
    require_w,
    tile,
)
from jaxsr.settings import check_choices, check_types
from jaxsr.types import Drawn, Latent, Measurement, Noise, Params

# name of a latent space -> the prior in that space
SPACES: dict[str, Callable[[Prior], Prior]] = {
    "z": lambda prior: prior,
    "w": in_w,
    "w_plus": in_w_plus,
    "w_plus_noise": in_w_plus_noise,
    "styles": in_styles,
}
# what a method's latent must hold for the space: any of these
SOURCES = {
    "z": ("z",),
    "w": ("z", "w_plus"),
    "w_plus": ("w_plus", "z"),
    "w_plus_noise": ("w_plus", "z"),
    "styles": ("w_plus", "z"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of e-GLASS. The paper leaves k, K, the threshold and the step open; its figures show
    v^8 and v^12, or v^8 and v^26.

    Attributes:
        space: latent space that is explored: the paper's "z", or a StyleGAN's "w" (from a point of
            W+ the w of all layers move alike), "w_plus", "w_plus_noise" with the noise maps, or
            "styles", one number for every channel that is modulated.
        perceptual: network of the perceptual metric; None: the first of LPIPS (alex, vgg, squeeze),
            the bundled feature network and the prior's discriminator that is on this machine.
        way: directions: "vk", top eigenvectors of H_X as they are; "algorithm1", the paper's
            Algorithm 1 of them; "closed_form", them projected onto the complement of the top k
            eigenvectors of H_Y; "generalized", H_X v = mu (H_Y + damping I) v; "curved", a walk
            that starts along the closed form's and turns at every step to where the picture changes
            most and the measurement least. The first three use the same K.
        num_solutions: wanted.
        eps: largest feasible residual, mean squared A(G(z)) - y on [0, 1]: the paper's 1e-2 ("l2");
            PULSE's is 2e-3.
        k: how many top eigenvectors of H_Y are taken out of v^K, fewer than the latent has numbers;
            "vk" reads from it which v^K retain enough; not for "generalized". None: as many as hold
            `energy`.
        from_k: K of Algorithm 1's input: v^K is walked first, then v^(K-1), v^(K-2), ... down to
            v^1, as printed, whatever each retains; not for "generalized". None: from v^1 up, those
            skipped that retain less than `least_retained`.
        energy: share of the trace of H_Y that its k top eigenvectors hold.
        threshold: tau of Algorithm 1: correlations |d . u| with one of the k that may remain.
        least_retained: K is skipped where the projection keeps less of v^K than this norm.
        least_distance: perceptual distance of a solution from the start and from every other, as a
            share of the typical distance of two random images of the prior.
        reach: longest step, in units of the root mean square distance of random latents from their
            mean.
        steps: points at which a step's search looks first, and those of a curved walk.
        bisections: halvings of the interval that holds the largest feasible step.
        corrections: conjugate-gradient iterations of each solve of a curved walk, preconditioned by
            H_Y at the start.
        most_directions: directions tried before the search for solutions ends.
        dense_limit: latent sizes up to this get all of their eigenvectors, larger ones the `rank`
            largest by a block Krylov method.
        rank: eigenpairs of each metric in the matrix-free case; those of H_Y are doubled until they
            hold `energy` of its trace, up to four times as many.
        chunk: passes of the generator at once on each device; bounds the memory.
    """

    space: Literal["z", "w", "w_plus", "w_plus_noise", "styles"] = "z"
    perceptual: metrics.Network | None = None
    way: Literal["vk", "algorithm1", "closed_form", "generalized", "curved"] = "algorithm1"
    num_solutions: int = 10
    eps: float = 1e-2
    k: int | None = None
    from_k: int | None = None
    energy: float = 0.99
    threshold: float = 0.05
    least_retained: float = 0.3
    least_distance: float = 0.05
    reach: float = 1.0
    steps: int = 12
    bisections: int = 6
    corrections: int = 3
    most_directions: int = 64
    dense_limit: int = 1024
    rank: int = 64
    chunk: int = 16


class Start(NamedTuple):
    """The solution that an exploration starts from.

    Attributes:
        latent: z0 in the space that is explored.
        noise: noise maps of the generator, which stay as they are (except in "w_plus_noise"); ()
            for a prior without.
        offset: [num_layers, w_dim], what stays added to the w of each layer in "w": a point of W+
            is explored by moving all layers alike. 0 in the other spaces.
    """

    latent: Latent
    noise: Noise
    offset: jax.Array | float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What is explored; functions and settings only, so that jit takes it as a static argument, and
    compiles once for each Problem.

    Attributes:
        base: the prior itself.
        operator: A.
        embedding: the perceptual metric.
        network: its name in `metrics.load_embedding`.
        config: settings.
    """

    base: Prior
    operator: Operator
    embedding: metrics.Embedding
    network: metrics.Network
    config: Config

    def draw(self, params: Params, start: Start, latent: Latent) -> Drawn:
        """The image [H, W, 3] of a latent of the space, with what the start holds fixed."""
        return SPACES[self.config.space](_around(self.base, start)).decode(params, latent)

    def measure(self, params: Params, start: Start, latent: Latent) -> jax.Array:
        """phi of H_Y: A G(z)."""
        return self.operator(self.draw(params, start, latent))

    def both(
        self, params: Params, start: Start, latent: Latent
    ) -> tuple[Measurement, list[jax.Array]]:
        """`measure` and `embed` of one image."""
        image = self.draw(params, start, latent)
        return self.operator(image), self.embedding.embed(params, image)

    def embed(self, params: Params, start: Start, latent: Latent) -> list[jax.Array]:
        """The map of H_X: the image's perceptual embedding."""
        return self.embedding.embed(params, self.draw(params, start, latent))


def _around(prior: Prior, start: Start) -> Prior:
    """The prior whose "const" noise maps are the start's, and whose layers get the start's offset
    besides."""

    def synthesize(params: Params, w_plus: jax.Array, noise: Noise) -> jax.Array:
        return prior.synthesize(params, w_plus + start.offset, noise)

    return prior._replace(
        noise=lambda kind, params, key=None: start.noise, synthesize=prior.synthesize and synthesize
    )


def problem(prior: Prior, operator: Operator, config: Config = Config()) -> Problem:
    """The exploration of a prior's solutions under an operator.

    Raises:
        ValueError: a choice that does not exist, a number that makes no sense, a prior without the
            space, images that are not the operator's, or perceptual weights that are not on this
            machine.
    """
    if not isinstance(config, Config):
        raise ValueError(f"expected an explore.Config, got {config!r}")
    check_choices(config)
    check_types(config)
    _check_numbers(config)
    _check_unread(config)
    check_images(prior, operator)
    if config.space != "z":
        require_w(f"space {config.space}", prior)
    SPACES[config.space](prior)  # raises where the prior lacks it
    network = config.perceptual or metrics.available()
    return Problem(prior, operator, metrics.embedding(network, prior.discriminate), network, config)


def _check_numbers(config: Config) -> None:
    for name, value in dataclasses.asdict(config).items():
        if isinstance(value, str | None):
            continue
        if name in ("eps", "reach") and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a number above 0, got {value}")
        is_count = isinstance(getattr(Config, name), int) or name in ("k", "from_k")
        least = 1 if is_count else 0
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name} must be a number of at least {least}, got {value}")
    for name in ("energy", "least_retained"):
        if getattr(config, name) > 1:
            raise ValueError(f"{name} must be at most 1, got {getattr(config, name)}")
    if config.threshold >= 1:
        raise ValueError(f"threshold must be below 1, got {config.threshold}")


def _check_unread(config: Config) -> None:
    """Both counts are of Algorithm 1, from whose v^K the other ways but one begin."""
    for name in ("k", "from_k"):
        value = getattr(config, name)
        if value is not None and config.way == "generalized":
            raise ValueError(
                f"{name}={value} is of ways that begin with v^K, an eigenvector of H_X, not of "
                "'generalized': leave it out"
            )


def check_counts(config: Config, size: int) -> None:
    """Raises ValueError for a k or from_k that a latent of `size` numbers does not have."""
    if config.k is not None and config.k >= size:
        raise ValueError(
            f"k must be below {size}, how many numbers the latent has in space {config.space}, got "
            f"{config.k}"
        )
    if config.from_k is not None and config.from_k > size:
        raise ValueError(
            f"from_k must be at most {size}, how many numbers the latent has in space "
            f"{config.space}, got {config.from_k}"
        )


def start(prior: Prior, space: str, params: Params, latent: dict[str, Any]) -> Start:
    """The start in a space from the latent that a method returned; a z becomes its w.

    Args:
        prior: the prior itself, not in a space.
        space: a name in SPACES.
        params: with the weights that the method tuned.
        latent: {"z"} or {"w_plus", "noise"}, as in `types.Result`.

    Raises:
        ValueError: no such space for this prior, or a method whose latent is no point of it.
    """
    if space not in SPACES:
        raise ValueError(f"unknown space {space!r}: expected one of {', '.join(SPACES)}")
    if not isinstance(latent, Mapping):
        raise ValueError(
            f"expected the latent of a method's Result, such as {{'z': z}}, got "
            f"{type(latent).__name__}"
        )
    if space != "z":
        require_w(f"space {space}", prior)
    given = next((name for name in SOURCES[space] if name in latent), None)
    if given is None:
        raise ValueError(
            f"space {space} starts from {' or '.join(SOURCES[space])}, but the method "
            f"returned {', '.join(latent) or 'no latent'}"
        )
    code, noise = latent[given], latent.get("noise", prior.noise("const", params))
    one = jax.eval_shape(
        (in_w_plus(prior) if given == "w_plus" else prior).sample, jax.random.key(0), params
    )
    if jax.tree.map(jnp.shape, code) != jax.tree.map(jnp.shape, one):
        raise ValueError(
            f"space {space} starts from one {given} {one.shape}, but the method returned "
            f"{jnp.shape(code)}"
        )
    noise = tuple(map(jnp.asarray, noise))
    point = _AS[space](prior, params, given, jnp.asarray(code), noise)
    offset = (
        _w_plus(prior, params, given, jnp.asarray(code), noise) - point
        if space == "w"
        else jnp.zeros(())
    )
    return Start(point, noise, offset)


def _w_plus(prior: Prior, params: Params, given: str, code: jax.Array, noise: Noise) -> jax.Array:
    return code if given == "w_plus" else tile(prior, prior.map(params, code))


_AS: dict[str, Callable[..., Latent]] = {
    "z": lambda prior, params, given, code, noise: code,
    "w": lambda *given: _w_plus(*given).mean(0),
    "w_plus": _w_plus,
    "w_plus_noise": lambda prior, params, given, code, noise: {
        "w_plus": _w_plus(prior, params, given, code, noise),
        "noise": noise,
    },
    "styles": lambda prior, params, given, code, noise: prior.styles(
        params, _w_plus(prior, params, given, code, noise)
    ),
}
