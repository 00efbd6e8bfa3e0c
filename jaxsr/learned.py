"""Learned restorers: a network bound to a prior that goes from a measurement to the image in one
pass (LAREN, GLEAN), and their weights.

A model's folder has config.json and params/, as a prior's: {"architecture", "net", "prior",
"generator_sha256", "operator", ...}.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import weights
from jaxsr.nets import encoder, glean, laren
from jaxsr.operators import Operator, as_image
from jaxsr.priors import Prior, check_prior, synthesize_styles, tile
from jaxsr.records.files import ASSETS
from jaxsr.types import Drawn, Latent, Measurement, Params, PRNGKey

MODELS = ASSETS / "learned"
LEAST = 4  # px: the side at which an encoder ends


class Model(NamedTuple):
    """A network bound to a prior and an operator, as pure functions.

    Attributes:
        architecture: "laren" or "glean".
        net: its sizes.
        init: (key, prior_params) -> params.
        restore: (key, prior_params, params, y) -> (image [H, W, 3], latent: {"w_plus", "noise"},
            {"styles", "noise"} or {}).
    """

    architecture: str
    net: laren.Config | glean.Config
    init: Callable[[PRNGKey, Params], Params]
    restore: Callable[[PRNGKey, Params, Params, Measurement], tuple[Drawn, Latent]]


def input_side(prior: Prior, operator: Operator) -> int:
    """The side of the image that an encoder sees: the measurement's where that is 4 times a power
    of two, else the prior's."""
    side = operator.measurement_shape[0]
    halves = [LEAST << i for i in range(12)]
    square = len(operator.measurement_shape) == 3 and operator.measurement_shape[1] == side
    return (
        side
        if square and side in halves and side <= prior.info.resolution
        else prior.info.resolution
    )


def seen(prior: Prior, operator: Operator, y: Measurement) -> jax.Array:
    """What an encoder sees of a measurement, [side, side, 3] in [-1, 1]: the measurement itself, or
    the image of least norm behind it."""
    image = as_image(operator, y)
    side = input_side(prior, operator)
    return 2 * jnp.asarray(image if image.shape == (side, side, 3) else operator.pinv(y)) - 1


def widths(prior: Prior, params: Params) -> tuple[int, ...]:
    """Channels of the generator's maps at 4, 8, ... px."""
    blocks = (prior.info.resolution // LEAST).bit_length()
    codes = jnp.zeros((prior.info.num_layers, prior.info.w_dim))

    def maps(params: Params) -> list[jax.Array]:
        return [
            prior.blocks(params, codes, prior.noise("none", params), (None, None), 0, n + 1)[0]
            for n in range(blocks)
        ]

    return tuple(x.shape[-1] for x in jax.eval_shape(maps, params))


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes that are not the prior's: of the encoder (see `nets.encoder.Config`) and of LAREN's
    modules (`nets.laren.Graph`).

    Attributes:
        blocks: residual-in-residual dense blocks of the encoder.
        width: channels of the encoder's dense blocks.
        growth: channels that each layer of the encoder's dense blocks adds.
        nodes: J, nodes of LAREN's GDM.
        node_width: C, numbers of each node of LAREN's GDM.
        code_width: F, numbers of each layer's code of LAREN's CGM.
        map_side: side of the maps that LAREN makes in place of noise, before they are resized to
            their layers' sides.
        capped: whether the maps in place of noise of layers smaller than map_side are made at their
            layer's own side: fewer parameters.
        literal: LAREN's equations as they are printed, which hardly train.
    """

    blocks: int = 23
    width: int = 64
    growth: int = 32
    nodes: int = 64
    node_width: int = 8
    code_width: int = 64
    map_side: int = 64
    capped: bool = False
    literal: bool = False


# Of a toy prior's restorer.
TOY_SIZES = Sizes(blocks=1, width=4, growth=2, nodes=4, node_width=2, code_width=4, map_side=4)


class Variant(NamedTuple):
    """A row of LAREN's Table IV: what the network is, beside its sizes. `laren.Config` and
    `laren.Graph` tell what the fields mean."""

    space: Literal["w", "w_plus", "styles", "g"] = "g"
    generated: bool = True
    relations: Literal["multi", "vanilla"] = "multi"
    recursion: bool = True


VARIANTS = {
    "base": Variant(space="w", generated=False),
    "base_w_plus": Variant(space="w_plus", generated=False),
    "base_styles": Variant(space="styles", generated=False),
    "gdm_vanilla": Variant(relations="vanilla", generated=False),
    "gdm": Variant(generated=False),
    "cgm_vanilla": Variant(recursion=False),
    "laren": Variant(),
}


def sized(
    name: str,
    prior: Prior,
    params: Params,
    operator: Operator,
    sizes: Sizes = Sizes(),
    dtype: str = "float32",
) -> laren.Config | glean.Config:
    """The network `name`, "glean" or one of `VARIANTS`, for a prior and an operator; its
    convolutions compute in `dtype`.

    Raises:
        ValueError: no such network, or a prior without a w space or of other images than the
            operator's.
    """
    check_prior(name, prior, operator)
    if name not in (*VARIANTS, "glean"):
        raise ValueError(
            f"unknown network {name!r}: expected one of {', '.join((*VARIANTS, 'glean'))}"
        )
    side, all_widths, layers = (
        input_side(prior, operator),
        widths(prior, params),
        prior.info.num_layers,
    )
    outputs = prior.info.w_dim * (layers if name == "glean" else 1)
    seen_widths = all_widths[: (side // LEAST).bit_length()]
    begin = encoder.Config(
        side, seen_widths, outputs, sizes.blocks, sizes.width, sizes.growth, dtype
    )
    if name == "glean":
        return glean.Config(begin, layers, all_widths)
    variant = VARIANTS[name]
    graph = laren.Graph(
        width=prior.info.w_dim,
        layers=layers,
        noise_shapes=prior.info.noise_shapes,
        nodes=sizes.nodes,
        node_width=sizes.node_width,
        code_width=sizes.code_width,
        relations=variant.relations,
        recursion=variant.recursion,
        map_side=sizes.map_side,
        capped=sizes.capped,
        literal=sizes.literal,
    )
    styles = _modulations(prior, params) if variant.space == "styles" else ()
    return laren.Config(begin, graph, variant.space, variant.generated, styles)


def _modulations(prior: Prior, params: Params) -> tuple[tuple[str, int], ...]:
    """(path, channels) of each of the generator's modulations."""
    w_plus = jax.ShapeDtypeStruct((prior.info.num_layers, prior.info.w_dim), jnp.float32)
    styles = jax.eval_shape(prior.styles, params, w_plus)
    return tuple((path, leaf.shape[0]) for path, leaf in styles.items())


def bind(net: laren.Config | glean.Config, prior: Prior, operator: Operator) -> Model:
    """The `Model` of a network for a prior and an operator."""
    return (
        _laren(net, prior, operator)
        if isinstance(net, laren.Config)
        else _glean(net, prior, operator)
    )


def _laren(net: laren.Config, prior: Prior, operator: Operator) -> Model:
    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        codes = laren.codes(net, params, seen(prior, operator, y))
        noise = codes.maps or prior.noise("random", prior_params, key)
        if isinstance(codes.latent, dict):
            mean = prior.styles(prior_params, tile(prior, prior_params["statistics"]["w_mean"]))
            styles = {path: mean[path] + codes.latent[path] for path in mean}
            return synthesize_styles(prior, prior_params, styles, noise), {
                "styles": styles,
                "noise": noise,
            }
        w_plus = as_w_plus(net, prior, prior_params, codes.latent)
        return prior.synthesize(prior_params, w_plus, noise), {"w_plus": w_plus, "noise": noise}

    return Model("laren", net, lambda key, prior_params: laren.init(key, net), restore)


def as_w_plus(
    net: laren.Config, prior: Prior, prior_params: Params, latent: jax.Array
) -> jax.Array:
    """The codes [num_layers, w_dim] that the generator gets for a network's latent in any space but
    styles."""
    if net.space == "g" and net.graph.literal:
        return tile(prior, latent)
    statistics = prior_params["statistics"]
    return tile(prior, statistics["w_mean"] + statistics["w_std"] * latent)


def _glean(net: glean.Config, prior: Prior, operator: Operator) -> Model:
    def bank(prior_params: Params) -> glean.Bank:
        statistics = prior_params["statistics"]

        def block(codes: jax.Array, cut: glean.Cut, number: int) -> glean.Cut:
            w_plus, noise = (
                statistics["w_mean"] + statistics["w_std"] * codes,
                prior.noise("const", prior_params),
            )
            return prior.blocks(prior_params, w_plus, noise, cut, number, number + 1)

        return block

    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        image = glean.restored(net, params, seen(prior, operator, y), bank(prior_params))
        return 0.5 + 0.5 * image, {}

    return Model(
        "glean", net, lambda key, prior_params: glean.init(key, net, bank(prior_params)), restore
    )


def is_deterministic(net: laren.Config | glean.Config) -> bool:
    """Whether a network makes one image of a measurement, whatever the key: one that makes its own
    maps, or takes the generator's."""
    return isinstance(net, glean.Config) or net.generated


def generator_digest(params: Params) -> str:
    """SHA-256 of what a model depends on of a prior's params."""
    parts = {name: params[name] for name in ("mapping", "synthesis", "noise")}
    return weights.digest(
        parts | {name: params["statistics"][name] for name in ("w_mean", "w_std")}
    )


def probe(operator: Operator) -> list[float]:
    """Eight numbers of what an operator makes of a picture, [8]: what tells masks or blurs apart,
    which all have one name."""
    draw = np.random.default_rng(0)
    y = np.real(operator(jnp.asarray(draw.random(operator.image_shape), jnp.float32))).ravel()
    return [round(float(x), 5) for x in draw.normal(size=(8, len(y))) @ y / len(y) ** 0.5]


def save(
    folder: str | Path,
    model: Model,
    params: Params,
    prior: Prior,
    prior_params: Params,
    operator: Operator,
    about: dict,
) -> None:
    """Writes a model; `about` (JSON) joins its config.json."""
    record = {
        "architecture": model.architecture,
        "net": dataclasses.asdict(model.net),
        "prior": prior.info.name,
    }
    record |= {
        "generator_sha256": generator_digest(prior_params),
        "params_sha256": weights.digest(params),
    }
    record |= {"operator": operator.name, "probe": probe(operator)}
    weights.save(folder, params, record | about)


def bundled(architecture: str, prior: Prior, operator: Operator) -> Path | None:
    """The folder of the model that comes with the package for this prior and operator, if there is
    one."""
    for path in sorted(MODELS.glob("*/config.json")):
        record = weights.read_config(path.parent)
        if (record["architecture"], record["prior"], record["operator"]) == (
            architecture,
            prior.info.name,
            operator.name,
        ):
            return path.parent
    return None


def find(architecture: str, prior: Prior, operator: Operator, source: str = "") -> Path:
    """The folder of a model: `source`, or the bundled one for the prior and operator where that is
    empty.

    Raises:
        ValueError: there is none, or it is another architecture's, or was trained for another prior
            or operator.
    """
    folder = Path(source) if source else bundled(architecture, prior, operator)
    if folder is None:
        known = [
            f"{r['architecture']} of {r['prior']}, {r['operator']}"
            for r in map(weights.read_config, sorted(MODELS.glob("*/")))
        ]
        told = f"those bundled: {'; '.join(known)}" if known else "none is bundled"
        raise ValueError(
            f"no {architecture} model for prior {prior.info.name!r} and {operator.name} "
            f"({told}): train one with experiments/train_laren.py"
        )
    record = weights.read_config(folder)
    expected = {"architecture": architecture, "prior": prior.info.name, "operator": operator.name}
    for name, value in expected.items():
        if record.get(name) != value:
            raise ValueError(
                f"{folder}: expected a model with {name} {value!r}, got {record.get(name)!r}"
            )
    return folder


def load(
    architecture: str, prior: Prior, prior_params: Params, operator: Operator, source: str = ""
) -> Params:
    """{"learned": the params of a model}, float32, to join the prior's.

    Raises:
        ValueError: as `find`; the model was trained with other weights of the generator, or its
            arrays do not fit its config.json.
    """
    folder = find(architecture, prior, operator, source)
    params, record = weights.load(folder)
    if record.get("generator_sha256") != generator_digest(prior_params):
        raise ValueError(
            f"{folder}: the model was trained with other weights of prior {prior.info.name!r} "
            "than these"
        )
    if not np.allclose(record.get("probe", []), probe(operator), atol=1e-3):
        raise ValueError(
            f"{folder}: the model was trained for another operator of the name {operator.name!r}"
        )
    model = bind(read_net(folder), prior, operator)
    expected, got = (
        jax.tree.map(jnp.shape, tree)
        for tree in (jax.eval_shape(model.init, jax.random.key(0), prior_params), params)
    )
    if expected != got:
        raise ValueError(f"{folder}: the arrays do not fit the network that config.json describes")
    return {"learned": params}


def read_net(folder: str | Path) -> laren.Config | glean.Config:
    """The sizes of the network in a model's folder.

    Raises:
        ValueError: no such folder, or another network's.
    """
    record = weights.read_config(folder)
    try:
        net = _tuples(record["net"])
        start = encoder.Config(**net.pop("encoder"))
        if record["architecture"] == "glean":
            return glean.Config(start, **net)
        if record["architecture"] == "laren":
            return laren.Config(start, laren.Graph(**net.pop("graph")), **net)
        raise ValueError(f"architecture {record['architecture']!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}/config.json: expected a laren or glean model's, got {error}"
        ) from error


def _tuples(tree: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(tree, dict):
        return {name: _tuples(leaf) for name, leaf in tree.items()}
    return tuple(map(_tuples, tree)) if isinstance(tree, list) else tree
