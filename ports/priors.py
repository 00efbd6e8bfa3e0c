"""A generator found in a checkpoint -> a prior's parameters and config.json: shapes decide the
sizes, the network what must be there."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsr import priors
from jaxsr.nets import ARCHITECTURES
from jaxsr.types import Params
from ports.channels import as_rgb
from ports.tables import Converted, Row, check, convert, few, nest

# What the sources' names of a discriminator begin with.
_DISCRIMINATOR = ("D/", "D.", "d.")


class Choice(NamedTuple):
    """What the user chooses of a class-conditional network: a class, from 0, and BigGAN's
    truncation."""

    label: int | None = None
    truncation: float | None = None

    def none(self, what: str) -> None:
        """Raises ValueError if something was chosen."""
        for name, value in self._asdict().items():
            if value is not None:
                raise ValueError(f"expected no --{name} for {what}, got {value}")


class Found(NamedTuple):
    """A generator in a checkpoint.

    Attributes:
        architecture: one of `jaxsr.nets.ARCHITECTURES`.
        format: how it is written.
        licence: of the weights, as far as known.
        sources: arrays by the file's names.
        rows: the format's table.
        settle: (arrays by our paths, the choice) -> the arrays as they are needed, and the
            network's Config, from the shapes.
        notes: what of the official network ours does not compute, or what the file lacks.
        judged: whether the discriminator is a file that the user gave for it, so that it must fit.
    """

    architecture: str
    format: str
    licence: str
    sources: dict[str, Any]
    rows: list[Row]
    settle: Callable[[Converted, Choice], tuple[Converted, Any]]
    notes: tuple[str, ...] = ()
    judged: bool = False


def prior(found: Found, choice: Choice) -> tuple[Params, dict[str, Any]]:
    """Parameters (float32) of the found generator, and their {"architecture", "net", ...} for
    config.json.

    A style-based one gets its latent statistics: `w_mean` is the file's own average of w where it
    has one, as the official truncation needs; what the file does not hold is measured. Noise maps
    that it does not hold are drawn. A discriminator that does not fit is left out.

    Raises:
        ValueError: arrays of the generator are missing, left over or of the wrong shape (with the
            lists), or a choice that the network does not offer.
    """
    converted = convert(found.rows, found.sources)
    arrays, coloured = as_rgb(converted.arrays)
    try:
        converted, config = found.settle(converted._replace(arrays=arrays), choice)
    # Shapes that no network of the format has.
    except (IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(
            f"expected the arrays of a {found.format} network, got some of other shapes ({error})"
        ) from error
    given = {
        path: converted.arrays.pop(path)
        for path in list(converted.arrays)
        if path.startswith("statistics/")
    }
    drawn = _draw_noise(converted.arrays, config)
    architecture = ARCHITECTURES[found.architecture]
    shapes = dict(jax.eval_shape(lambda: architecture.init(jax.random.key(0), config)))
    statistics = shapes.pop("statistics", None)
    expected = _shapes(shapes)
    what = f"a {found.format} network of {config.resolution} px"
    arrays, left_out = _fitting(what, converted, expected, found.judged)
    params = nest(arrays)
    if statistics is not None:
        params |= {
            "statistics": _statistics(
                architecture.prior(config), config.w_dim, params["mapping"], given
            )
        }
    notes = (*found.notes, *coloured, *drawn, *left_out)
    return params, _describe(found, config, choice, "discriminator" in params, notes)


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _fitting(
    what: str, converted: Converted, expected: dict[str, tuple[int, ...]], judged: bool
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The arrays of the generator, which must fit, and of a discriminator that does, as it must
    where it is `judged`; and what is told where it does not."""
    generator, discriminator = _parts(converted)
    check(what, generator, {path: x for path, x in expected.items() if not _judges(path)})
    if not any(discriminator):
        return generator.arrays, ()
    try:
        judge = {path: x for path, x in expected.items() if _judges(path)}
        check("its discriminator", discriminator, judge)
    except ValueError as error:
        if judged:
            raise
        return generator.arrays, (f"the discriminator was left out: {error}",)
    return generator.arrays | discriminator.arrays, ()


def _judges(path: str) -> bool:
    return path.startswith(("discriminator/", "label/discriminator/"))


def _parts(converted: Converted) -> tuple[Converted, Converted]:
    """What belongs to the generator, and what to the discriminator."""
    parts = []
    for judges in (False, True):
        arrays = {path: x for path, x in converted.arrays.items() if _judges(path) is judges}
        left_over, refused = (
            [name for name in names if name.startswith(_DISCRIMINATOR) is judges]
            for names in (converted.left_over, converted.refused)
        )
        parts.append(Converted(arrays, left_over, refused))
    return parts[0], parts[1]


def _draw_noise(arrays: dict[str, np.ndarray], config: Any) -> tuple[str, ...]:
    """Sets noise maps where the network needs some and the file holds none, and tells so."""
    shapes = getattr(config, "noise_shapes", ())
    if not shapes or any(path.startswith("noise/") for path in arrays):
        return ()
    keys = jax.random.split(jax.random.key(0), len(shapes))
    for i, (key, shape) in enumerate(zip(keys, shapes, strict=True)):
        arrays[f"noise/{i}"] = np.asarray(jax.random.normal(key, shape))
    return ("the file holds no noise maps: those of kind const were drawn with seed 0",)


def _statistics(
    prior: priors.Prior, w_dim: int, mapping: Params, given: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    wrong = {path: list(array.shape) for path, array in given.items() if array.shape != (w_dim,)}
    if wrong:
        raise ValueError(f"expected statistics of w [{w_dim}], got {wrong}")
    return _measure(prior, w_dim, mapping) | {
        path.removeprefix("statistics/"): array for path, array in given.items()
    }


def _measure(prior: priors.Prior, w_dim: int, mapping: Params) -> dict[str, np.ndarray]:
    needed = {"mapping": mapping, "statistics": {"w_mean": np.zeros(w_dim, np.float32)}}
    measured = jax.jit(lambda p: priors.latent_statistics(prior, p, jax.random.key(0)))(needed)
    return {name: np.asarray(value) for name, value in measured.items()}


def _describe(
    found: Found, config: Any, choice: Choice, has_discriminator: bool, notes: tuple[str, ...]
) -> dict[str, Any]:
    about = {
        "architecture": found.architecture,
        "net": dataclasses.asdict(config),
        "licence": found.licence,
        "format": found.format,
    }
    if choice.label is not None:
        about["label"] = choice.label
    if not has_discriminator:
        about["discriminator"] = False
    return about | ({"notes": list(notes)} if notes else {})


def widths(what: str, converted: Converted, pattern: str) -> tuple[int, ...]:
    """Widths at 4, 8, 16, ... px: the last size of each array whose path matches `pattern`, whose
    first group is the side.

    Raises:
        ValueError: a resolution is missing, or there are more than 2,048 px.
    """
    arrays = converted.arrays
    found = {
        int(m[1]): x.shape[-1] for path, x in arrays.items() if (m := re.fullmatch(pattern, path))
    }
    sides = [4 << i for i in range(len(found))]
    if not found or sorted(found) != sides or sides[-1] > 2048:
        have = f"blocks {sorted(found)}; left over: {few(converted.left_over)}"
        raise ValueError(f"expected a {what} with blocks 4, 8, 16, ... px, got {have}")
    return tuple(found[side] for side in sides)


def mapping_sizes(what: str, converted: Converted) -> dict[str, int]:
    """{"z_dim", "w_dim", "mapping_layers"} of a mapping network.

    Raises:
        ValueError: there is none.
    """
    first = converted.arrays.get("mapping/fc0/kernel")
    layers = sum(bool(re.fullmatch(r"mapping/fc\d+/kernel", path)) for path in converted.arrays)
    if first is None or first.ndim != 2:
        raise ValueError(
            f"expected a {what} with a mapping network, got mapping layers {layers}; left "
            f"over: {few(converted.left_over)}"
        )
    return {"z_dim": first.shape[0], "w_dim": first.shape[1], "mapping_layers": layers}


def last_width(converted: Converted, path: str, default: int) -> int:
    """The outputs of a dense layer, or `default` where there is none."""
    array = converted.arrays.get(path)
    return default if array is None else array.shape[-1]
