"""What a calibration says of one photo: its interval, what the photo fixes, a bound, types."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import calibration, plots, weights
from jaxsr.calibration import Calibration, Interval, Shares, Spread
from jaxsr.calibration.type_sets import likeliest
from jaxsr.metrics import features
from jaxsr.operators import Operator

CELL = 256  # px of the map of widths


class TypeReader(NamedTuple):
    """The network that reads types: their names, its digest, and (pictures [K, h, w, 3]) -> logits
    [K, t]."""

    label: str
    types: tuple[str, ...]
    digest: str
    logits: Callable[[np.ndarray], np.ndarray]


def type_reader(source: str = features.DEFAULT) -> TypeReader:
    """Of a bundled feature network or the folder of one. Raises ValueError for neither."""
    net, params = features.load_features(source)
    label, types = net.config.heads[0]
    read = jax.jit(jax.vmap(lambda image: net.read(params, image)[label]))
    return TypeReader(
        label, tuple(types), weights.digest(params), lambda pictures: np.asarray(read(pictures))
    )


class Found(NamedTuple):
    """What was found of a photo.

    Attributes:
        spread: of its solutions.
        interval: at the level asked for.
        shares: what the photo fixes.
        psnr_bound: of the first solution that explains it, dB.
        types: that the truth may be of; () without a network.
    """

    spread: Spread
    interval: Interval
    shares: Shares
    psnr_bound: float
    types: tuple[str, ...]


def seen_by(operator: Operator) -> Callable[[np.ndarray], np.ndarray]:
    """(picture) -> A+ A picture, what the operator sees of it."""
    project = jax.jit(lambda image: operator.pinv(operator(image)))
    return lambda image: np.asarray(project(jnp.asarray(image, jnp.float32)), np.float64)


def find(
    calibrated: Calibration,
    level: float,
    solutions: np.ndarray,
    feasible: np.ndarray,
    *,
    seen: Callable[[np.ndarray], np.ndarray],
    reader: TypeReader | None,
) -> Found | None:
    """Of K solutions [K, h, w, 3] and their feasibilities; None where fewer than two explain the
    photo, which counts as missed."""
    spread = calibration.spread(solutions, feasible)
    if spread is None:
        return None
    kept = solutions[np.asarray(feasible, bool)]
    group, types = None, ()
    if reader is not None:
        logits = reader.logits(kept)
        group = reader.types[likeliest(logits)]
        limit = calibrated.type_limit(level)
        if limit is not None:
            types = tuple(calibration.type_set(logits, reader.types, limit))
    return Found(
        spread,
        calibration.interval(spread, calibrated.floor, calibrated.factor(level, group)),
        calibration.shares(kept, seen),
        calibration.psnr_bound(solutions, feasible, calibrated.excess(level)),
        types,
    )


def width_map(found: Interval) -> np.ndarray:
    """The widths as a picture with its scale: black where the truth is known, white where any
    colour is possible."""
    width = found.width
    scale = np.broadcast_to(np.linspace(1, 0, len(width))[:, None], width.shape)
    shown = [np.repeat(part[..., None], 3, 2) for part in (width, scale)]
    caption = (
        f"black 0, white 1 (of 0 to 1); mean {width.mean():.3f}, from {width.min():.3f} to "
        f"{width.max():.3f}"
    )
    return plots.grid(
        [shown],
        columns=["width of the interval", "scale: 1 above, 0 below"],
        captions=[caption],
        cell=CELL,
    )


def rounded_outwards(found: Interval) -> Interval:
    """The interval as 8-bit pictures hold it: no narrower than it is."""
    return Interval(
        np.floor(found.lower * 255) / np.float32(255), np.ceil(found.upper * 255) / np.float32(255)
    )
