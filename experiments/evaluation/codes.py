"""The codes of a prior's spaces and of LAREN's GDM: drawn, labelled, regressed on, correlated (see
disentangle.py)."""

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxsr import degradations, learned, metrics
from jaxsr.nets import laren
from jaxsr.nets.features import Features
from jaxsr.operators import Operator
from jaxsr.priors import Prior, tile
from jaxsr.records import files
from jaxsr.records.ledger import Ledger
from jaxsr.types import Image, Params

REGRESSORS = {"trees": metrics.boosted_tree_importance, "logistic": metrics.logistic_importance}
Network = tuple[Features, Params]
LEAST_SIDE, SAME = 0.05, 0.95


class Subject(NamedTuple):
    """A prior, and a trained network with GDM for an operator."""

    prior: Prior
    operator: Operator
    net: Any


class Space(NamedTuple):
    """A latent space, by the number of a sample.

    Attributes:
        code: (params, number) -> [D].
        image: (params, number) -> [H, W, 3], of that code.
    """

    code: Callable[[Params, jax.Array], jax.Array]
    image: Callable[[Params, jax.Array], Image]


def check(subject: Subject, folder: Path) -> None:
    """Raises ValueError for a network without GDM, or a prior without styles."""
    if subject.net.space != "g":
        raise ValueError(
            f"{folder}: expected a network with GDM, got one that makes {subject.net.space}"
        )
    if subject.prior.styles is None:
        raise ValueError(
            f"the space of styles needs a prior with modulations: {subject.prior.info.name!r} "
            "has none"
        )


def check_regressors() -> None:
    """Raises ValueError where scikit-learn is missing, before any sample is drawn."""
    if importlib.util.find_spec("sklearn") is None:
        raise ValueError('the regressors of DCI need scikit-learn: pip install ".[dci]"')


def spaces(subject: Subject, seed: int) -> dict[str, Space]:
    """W, W+, S and G; sample i of each comes from the same w."""
    prior = subject.prior

    def w_of(params: Params, number: jax.Array) -> jax.Array:
        return prior.map(
            params,
            jax.random.normal(
                jax.random.fold_in(jax.random.key(seed), number), (prior.info.z_dim,)
            ),
        )

    def drawn(params: Params, w_plus: jax.Array) -> Image:
        return prior.synthesize(params, w_plus, prior.noise("const", params))

    def image(params: Params, number: jax.Array) -> Image:
        return drawn(params, tile(prior, w_of(params, number)))

    def styles(params: Params, number: jax.Array) -> jax.Array:
        return jnp.concatenate(
            jax.tree.leaves(prior.styles(params, tile(prior, w_of(params, number))))
        )

    def g(params: Params, number: jax.Array) -> jax.Array:
        return code_of(subject, params, image(params, number))[1]

    return {
        "W": Space(w_of, image),
        "W+": Space(lambda params, number: tile(prior, w_of(params, number)).ravel(), image),
        "S": Space(styles, image),
        "G": Space(
            g,
            lambda params, number: drawn(
                params, g(params, number).reshape(prior.info.num_layers, -1)
            ),
        ),
    }


def code_of(subject: Subject, params: Params, image: Image) -> tuple[jax.Array, jax.Array]:
    """z [H] and g [N H], as codes of W+, of the measurement of an image [H, W, 3], clipped as a
    photo of it would be."""
    prior, operator, net = subject
    y = degradations.recorded(operator(jnp.clip(image, 0.0, 1.0)))
    found = laren.codes(net, params["learned"], learned.seen(prior, operator, y))
    return found.z, learned.as_w_plus(net, prior, params, cast(jax.Array, found.latent)).ravel()


def factor_names(reader: Features) -> list[str]:
    """A factor for every value of the labels, of two values only the second."""
    return [
        f"{label}={value}"
        for label, values in reader.config.heads
        for value in (values if len(values) > 2 else values[1:])
    ]


def read_odds(reader: Features, reading: Params, image: Image) -> jax.Array:
    """Log odds of each factor [K]."""
    odds = []
    for logits in reader.read(reading, jnp.clip(image, 0.0, 1.0)).values():
        others = jnp.where(jnp.eye(len(logits), dtype=bool), -jnp.inf, logits)
        against = logits - jax.nn.logsumexp(others, 1)
        odds.append(against if len(logits) > 2 else against[1:])
    return jnp.concatenate(odds)


def log_odds(
    path: Path, space: Space, network: Network, params: Params, count: int, batch: int
) -> np.ndarray:
    """Log odds [count, K] of samples 0 to count - 1, kept in a file, of which only what is missing
    is made; held on the disk.

    Raises:
        ValueError: the file is another table's, or a sample has no finite log odds.
        OSError: no space.
    """
    reader, reading = network
    shape = (count, len(factor_names(reader)))
    if not path.exists():
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            # All of it: a disk that is full says so now.
            np.save(file, np.full(shape, np.nan, np.float32))
    held = np.load(path, mmap_mode="r+")
    if held.shape != shape:
        raise ValueError(
            f"{path}: expected a table of {shape[0]} x {shape[1]}, got {list(held.shape)}: "
            "choose another --out"
        )
    read = jax.jit(
        lambda params, reading, numbers: jax.vmap(
            lambda i: read_odds(reader, reading, space.image(params, i))
        )(numbers)
    )
    for first in tqdm(range(0, count, batch), desc=path.stem, unit="batch", dynamic_ncols=True):
        if np.isnan(held[first : first + batch]).any():
            found = np.asarray(read(params, reading, jnp.arange(first, first + batch)))[
                : count - first
            ]
            if not np.isfinite(found).all():
                raise ValueError(
                    f"{path.stem}: sample {first + int(np.argmin(np.isfinite(found).all(1)))} "
                    "has no finite log odds"
                )
            held[first : first + batch] = found
    return held


def kept(odds: Sequence[np.ndarray], least_side: float = LEAST_SIDE) -> list[int]:
    """The factors that are used: neither rare in any space nor the same as one before it. Raises
    ValueError for fewer than two."""
    common = np.all([np.minimum((x > 0).mean(0), (x <= 0).mean(0)) >= least_side for x in odds], 0)
    alike = correlations(np.asarray(odds[0]))
    found: list[int] = []
    for j in np.flatnonzero(common):
        if all(alike[j, other] <= SAME for other in found):
            found.append(int(j))
    if len(found) < 2:
        raise ValueError(
            f"expected two of {len(common)} factors with {least_side:.0%} of samples on each "
            f"side, got {len(found)}"
        )
    return found


def regress(
    ledger: Ledger,
    name: str,
    space: Space,
    params: Params,
    odds: np.ndarray,
    factors: Mapping[str, int],
    settings: Any,
) -> None:
    """Adds the missing rows of a space: for each factor every entry's importance, and accuracy."""
    done = ledger.rows()
    todo = [factor for factor in factors if (name, factor) not in done]
    ends = round(settings.samples * settings.labelled)
    draw = jax.jit(jax.vmap(space.code, (None, 0)))
    for factor in tqdm(todo, desc=f"regressors of {name}", unit="factor", dynamic_ncols=True):
        order = np.argsort(odds[:, factors[factor]], kind="stable")
        chosen = np.concatenate([order[:ends], order[-ends:]])
        latents = batched(functools.partial(draw, params), chosen, settings.batch_size)
        labels = np.repeat([0.0, 1.0], ends)[:, None]
        found = REGRESSORS[settings.regressor](latents, labels, seed=settings.seed)
        row = {"importance": found.importance[:, 0].tolist(), "accuracy": float(found.accuracy[0])}
        ledger.add([{"space": name, "factor_name": factor, "status": "ok", **row}])


def batched(function: Callable[[Any], Any], rows: np.ndarray, batch: int) -> np.ndarray:
    """function of all rows, `batch` at a time, the last one filled up."""
    made = []
    for first in range(0, len(rows), batch):
        chunk = rows[first : first + batch]
        padding = [(0, batch - len(chunk))] + [(0, 0)] * (rows.ndim - 1)
        made.append(
            np.asarray(function(jnp.asarray(np.pad(chunk, padding, mode="edge"))))[: len(chunk)]
        )
    return np.concatenate(made)


def of_photos(
    subject: Subject, params: Params, photos: np.ndarray | None, count: int, batch: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """z [n, H] and g [n, N H] of photos uint8 [n, R, R, 3], or of `count` images of the prior."""
    drawn = spaces(subject, seed)["W"].image

    def both(params: Params, row: jax.Array) -> jax.Array:
        return jnp.concatenate(
            code_of(
                subject,
                params,
                drawn(params, row) if photos is None else row.astype(jnp.float32) / 255,
            )
        )

    rows = np.arange(count) if photos is None else photos
    found = batched(functools.partial(jax.jit(jax.vmap(both, (None, 0))), params), rows, batch)
    width = subject.net.graph.width
    return found[:, :width], found[:, width:]


def correlations(codes: np.ndarray) -> np.ndarray:
    """Absolute correlations [D, D] over rows; 0 with an entry that never changes, 1 with itself."""
    codes = np.asarray(codes, np.float64)
    centred = codes - codes.mean(0)
    deviation = np.sqrt((centred**2).mean(0))
    scaled = centred / np.where(
        deviation > 1e-9 * np.maximum(1.0, np.abs(codes).max(0)), deviation, np.inf
    )
    found = np.abs(scaled.T @ scaled) / len(codes)
    np.fill_diagonal(found, 1.0)
    return np.minimum(found, 1.0)


def summary(r: np.ndarray) -> dict[str, float]:
    """Mean off the diagonal, share above one half, and the same of the figure's entries 1 to 20."""
    off, few = _off_diagonal(r), _off_diagonal(r[:20, :20])
    return {
        "mean": float(off.mean()),
        "share above 0.5": float((off > 0.5).mean()),
        "mean of 1 to 20": float(few.mean()),
    }


def _off_diagonal(r: np.ndarray) -> np.ndarray:
    return r[~np.eye(len(r), dtype=bool)]
