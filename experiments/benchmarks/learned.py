"""What learned restorers cost: a pass and a training step by batch size, and LAREN's relation held
at once or J pairs at a time.

`benchmark.py` prints the table. Networks are small, with random weights (`SIZES`); the relation has
the paper's sizes: 18 layers of 512, 64 nodes of 8. The compiler counts the FLOPs of a scan's body
once, so those of the relation and the encoder are too few.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.clock import Limits, measured
from jaxsr import learned
from jaxsr.metrics import perceptual
from jaxsr.nets import laren_modules as net
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.training import restorer
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_losses import Bound
from jaxsr.types import Params

SIZES = learned.Sizes(blocks=4, width=32, growth=16, capped=True)
GRAPH = net.Graph(512, 18, ((4, 4),))
NETWORKS = ("laren", "glean")


class Case(NamedTuple):
    """A program to measure, for so many photos at once."""

    network: str
    what: str
    photos: int
    function: Callable
    args: tuple


def table(
    prior: Prior,
    params: Params,
    operator: Operator,
    *,
    sizes: tuple[int, ...],
    rates: Limits,
    repeats: int,
    smoke: bool,
) -> Iterator[dict]:
    """A row for each case."""
    made = (
        cases(prior, params, operator, sizes)
        if not smoke
        else passes("laren", prior, params, operator, sizes)
    )
    for case in made:
        row, _ = measured(case.function, case.args, rates, repeats)
        about = {"network": case.network, "what": case.what, "photos": case.photos}
        yield about | row | {"photos_per_s": 1e3 * case.photos / row["ms"]}


def cases(
    prior: Prior, params: Params, operator: Operator, sizes: tuple[int, ...]
) -> Iterator[Case]:
    """Everything but training on single photos: a statistic over a batch of one is nothing."""
    for name in NETWORKS:
        yield from passes(name, prior, params, operator, sizes)
        yield from steps(name, prior, params, operator, [batch for batch in sizes if batch > 1])
    yield from relations()


def passes(
    name: str, prior: Prior, params: Params, operator: Operator, sizes: tuple[int, ...]
) -> Iterator[Case]:
    """From measurements to images."""
    model = learned.bind(learned.sized(name, prior, params, operator, SIZES), prior, operator)
    own = jax.jit(model.init)(jax.random.key(0), params)

    def restored(params: Params, own: Params, ys: jax.Array) -> jax.Array:
        return jax.vmap(lambda y: model.restore(jax.random.key(0), params, own, y)[0])(ys)

    for batch in sizes:
        yield Case(
            name,
            "pass",
            batch,
            restored,
            (params, own, jnp.full((batch, *operator.measurement_shape), 0.5)),
        )


def steps(
    name: str, prior: Prior, params: Params, operator: Operator, sizes: list[int]
) -> Iterator[Case]:
    """Training steps with every term of the loss, the perceptual one in the bundled network."""
    model = learned.bind(learned.sized(name, prior, params, operator, SIZES), prior, operator)
    bound, given = (
        Bound(model, prior, operator, "features"),
        params | perceptual.load("features"),
    )
    for batch in sizes:
        config = Config(batch=batch, warmup_images=0)
        state = restorer.begin(jax.random.key(0), bound, given, config)
        photos = jnp.full((batch, prior.info.resolution, prior.info.resolution, 3), 127, jnp.uint8)
        yield Case(
            name,
            "training step",
            batch,
            restorer.make_step(bound, config, batch),
            (state, given, photos),
        )


def relations() -> Iterator[Case]:
    """Value and gradient of Eq. 1's mean relation, of one image."""
    keys = jax.random.split(jax.random.key(0), 2)
    nodes = jax.random.normal(keys[0], (GRAPH.nodes, GRAPH.node_width))
    kernel = jax.random.normal(keys[1], (2 * GRAPH.node_width, GRAPH.attributes))
    args: tuple[Any, ...] = (nodes, kernel, jnp.zeros(GRAPH.attributes), jnp.ones(GRAPH.nodes))
    for what, relation in (
        ("relation, J pairs at a time", net.mean_relation),
        ("relation, all pairs at once", all_pairs),
    ):
        yield Case(
            "laren",
            what,
            1,
            jax.value_and_grad(lambda *args, f=relation: jnp.sum(f(*args) ** 2), (0, 1, 2, 3)),
            args,
        )


def all_pairs(
    nodes: jax.Array, kernel: jax.Array, bias: jax.Array, weights: jax.Array
) -> jax.Array:
    """`net.mean_relation` as it is printed: it holds the relations of all pairs
    [J (J - 1) / 2, D]."""
    width = nodes.shape[1]
    first, second = nodes @ kernel[:width] + bias, nodes @ kernel[width:]
    i, j = np.triu_indices(len(nodes), 1)
    return weights[i] @ net.pair_relation(first[i] + second[j]) / len(i)
