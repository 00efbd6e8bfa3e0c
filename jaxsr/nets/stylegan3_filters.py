"""StyleGAN3's filtered leaky ReLU (Karras et al., arXiv:2106.12423, section 3.2 and appendix C.3),
and the low-pass filters that it takes.

A nonlinearity makes frequencies that a map's grid cannot hold. So the map is brought to a finer
grid, activated there, and filtered on its way back. The finer map is kept as its phases, one small
map for each position in a cell: then both ways are sums of shifted maps, no zero is multiplied, and
nothing is interleaved in between.

Either way is linear, and its transpose is another such sum. They are one primitive: XLA's own
gradient of slices adds maps filled up with zeros.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

# Of each phase that comes out: (phase that goes in, rows down, columns right, weight) of its terms.
Term = tuple[int, int, int, float]
Table = tuple[tuple[Term, ...], ...]
# Numbers of the finer map that are made at once: 256 MB.
MOST = 1 << 26


def kaiser_lowpass(taps: int, cutoff: float, width: float, rate: float) -> np.ndarray:
    """A sinc under a Kaiser window [taps], which adds up to 1 (appendix C.3); an even number of
    taps.

    Args:
        taps: its length.
        cutoff: f_c, in periods a picture's width, as `rate`.
        width: of the transition band.
        rate: samples a picture's width.
    """
    at = np.arange(taps) - (taps - 1) / 2
    lowpass = np.sinc(2 * cutoff / rate * at) * _kaiser_window(taps, width / (rate / 2))
    return lowpass / lowpass.sum()


def jinc_lowpass(taps: int, cutoff: float, width: float, rate: float) -> np.ndarray:
    """The low-pass filter [taps, taps] that is the same in all directions but for its window, which
    adds up to 1 (appendix C.3); arguments as of `kaiser_lowpass`."""
    from scipy.special import j1  # not with jaxsr: few need it

    at = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(at[:, None], at)
    window = _kaiser_window(taps, width / (rate / 2))
    lowpass = j1(2 * np.pi * cutoff * radius) / radius * np.outer(window, window)
    return lowpass / lowpass.sum()


def _kaiser_window(taps: int, width: float) -> np.ndarray:
    """Kaiser's window whose transition band is `width` times half the rate, by his formulas for
    attenuation and beta."""
    attenuation = 2.285 * (taps - 1) * np.pi * width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        above = max(attenuation - 21, 0.0)
        beta = 0.5842 * above**0.4 + 0.07886 * above
    return np.kaiser(taps, beta)


class Resampling(NamedTuple):
    """How a map is brought to the finer grid and back.

    Attributes:
        up: factor to the finer grid.
        down: factor back, a divisor of `up`.
        up_filter: [T].
        down_filter: rows of [1, T], or of [T, T] for one that is not separable.
        before: zeros in front of the finer map; below 0, samples that are left out.
        side: of the result.
    """

    up: int
    down: int
    up_filter: tuple[float, ...]
    down_filter: tuple[tuple[float, ...], ...]
    before: int
    side: int


def resampling(
    sides: tuple[int, int], up: int, down: int, up_filter: np.ndarray, down_filter: np.ndarray
) -> Resampling:
    """The `Resampling` of a map of one side to another that keeps the picture's middle in the
    middle (appendix C.3)."""
    given, made = sides
    missing = (made - 1) * down + 1 - given * up + len(up_filter) + len(down_filter) - 2
    rows = tuple(tuple(map(float, row)) for row in np.atleast_2d(down_filter))
    return Resampling(up, down, tuple(map(float, up_filter)), rows, (missing + up) // 2, made)


def filtered_lrelu(
    x: jax.Array, how: Resampling, *, gain: float, slope: float, clamp: float | None
) -> jax.Array:
    """Leaky ReLU, times `gain` and cut off at -clamp and clamp, on a finer grid; [h, h, c] ->
    [side, side, c].

    Few channels at a time, and once more for a gradient instead of being kept: the finer map is
    what needs most memory.
    """
    channels, finer = x.shape[-1], how.up * _finer_side(how)
    groups = math.ceil(finer**2 * channels / MOST)
    each = math.ceil(channels / groups)
    one = jax.checkpoint(functools.partial(_filtered, how=how, gain=gain, slope=slope, clamp=clamp))
    if groups == 1:
        return one(x)
    groups = math.ceil(channels / each)
    padded = jnp.pad(x, ((0, 0), (0, 0), (0, groups * each - channels)))
    y = lax.map(one, jnp.moveaxis(padded.reshape(*x.shape[:2], groups, each), 2, 0))
    return jnp.moveaxis(y, 0, 2).reshape(how.side, how.side, -1)[..., :channels]


def _filtered(
    x: jax.Array, how: Resampling, gain: float, slope: float, clamp: float | None
) -> jax.Array:
    w, c = x.shape[1:]
    finer, each = _finer_side(how), how.up // how.down
    rows = shifted_sums(x[None, None], _up(how, 0), (finer, w))
    z = shifted_sums(rows.reshape(how.up, 1, finer, w, c), _up(how, 1), (finer, finer))
    z = jnp.where(z > 0, gain * z, gain * slope * z)
    z = z if clamp is None else jnp.clip(z, -clamp, clamp)
    # From `up` phases an axis to `down`: the way back makes one sample of each cell of these.
    z = z.reshape(each, how.down, each, how.down, finer, finer, c).transpose(1, 3, 4, 0, 5, 2, 6)
    z = z.reshape(how.down, how.down, finer * each, finer * each, c)
    return _down(z, how).reshape(how.side, how.side, c)


def _finer_side(how: Resampling) -> int:
    """Side of each phase of the finer map: as far as the result reaches."""
    last = (how.side - 1) * how.down + len(how.down_filter[0]) - 1
    return last // how.up + 1


def _up(how: Resampling, axis: int) -> Table:
    """From one phase to `up` along an axis."""
    rows = []
    for phase in range(how.up):
        taps = range((how.before - phase) % how.up, len(how.up_filter), how.up)
        at = [((phase + tap - how.before) // how.up, how.up * how.up_filter[tap]) for tap in taps]
        rows.append(tuple(_along(axis, 0, *term) for term in at))
    return tuple(rows)


def _along(axis: int, phase: int, offset: int, weight: float) -> Term:
    return (phase, 0, offset, weight) if axis else (phase, offset, 0, weight)


def _down(z: jax.Array, how: Resampling) -> jax.Array:
    """Phases [down, down, h, w, c] of the finer map -> the result; columns first."""
    d, _, h, w, c = z.shape
    if len(how.down_filter) != 1:
        whole = z.reshape(1, d * d, h, w, c)
        return shifted_sums(whole, _down_both(how), (how.side, how.side))
    for axis in (1, 0):
        terms = (
            _along(axis, tap % d, tap // d, weight) for tap, weight in enumerate(how.down_filter[0])
        )
        z = shifted_sums(z, (tuple(terms),), (how.side if axis == 0 else h, how.side))
        z = z.reshape(1, d, h, how.side, c) if axis else z
    return z


def _down_both(how: Resampling) -> Table:
    terms = (
        (i % how.down * how.down + j % how.down, i // how.down, j // how.down, float(weight))
        for (i, j), weight in np.ndenumerate(np.asarray(how.down_filter))
    )
    return (tuple(terms),)


def shifted_sums(x: jax.Array, table: Table, sides: tuple[int, int]) -> jax.Array:
    """Weighted sums of shifted maps [n, p, h, w, c] -> [n, len(table), *sides, c]: a term (phase,
    down, right, weight) adds weight * x[:, phase, i + down, j + right] at i, j; what is outside of
    a map is 0. Linear, so differentiable any number of times, in both modes."""
    return _sums_p.bind(x, table=table, sides=sides)


def _plain(x: jax.Array, *, table: Table, sides: tuple[int, int]) -> jax.Array:
    corner, pads = [], [(0, 0, 0), (0, 0, 0)]
    for axis, side in zip((1, 2), sides, strict=True):
        offsets = [int(term[axis]) for row in table for term in row]
        corner.append(min(offsets))
        pads.append((-min(offsets), max(offsets) + side - x.shape[axis + 1], 0))
    padded = lax.pad(x, jnp.zeros((), x.dtype), [*pads, (0, 0, 0)])

    def shifted(phase: int, down: int, right: int, weight: float) -> jax.Array:
        top, left = down - corner[0], right - corner[1]
        part = padded[:, phase, top : top + sides[0], left : left + sides[1]]
        return part * np.asarray(weight, x.dtype)

    return jnp.stack(
        [functools.reduce(jnp.add, [shifted(*term) for term in row]) for row in table], 1
    )


def _transposed(
    cotangent: jax.Array, x: ad.UndefinedPrimal, *, table: Table, sides: tuple[int, int]
) -> list[jax.Array]:
    given = x.aval.shape
    rows: list[list[Term]] = [[] for _ in range(given[1])]
    for made, row in enumerate(table):
        for phase, down, right, weight in row:
            rows[phase].append((made, -down, -right, weight))
    return [shifted_sums(cotangent, tuple(map(tuple, rows)), (given[2], given[3]))]


def _batched(args: tuple, axes: tuple, *, table: Table, sides: tuple[int, int]) -> tuple:
    x = jnp.moveaxis(args[0], axes[0], 0)
    y = shifted_sums(x.reshape(-1, *x.shape[2:]), table, sides)
    return y.reshape(*x.shape[:2], *y.shape[1:]), 0


_sums_p = Primitive("jaxsr_shifted_sums")
_sums_p.def_impl(jax.jit(_plain, static_argnames=("table", "sides")))
_sums_p.def_abstract_eval(
    lambda x, *, table, sides: ShapedArray((x.shape[0], len(table), *sides, x.shape[4]), x.dtype)
)
mlir.register_lowering(_sums_p, mlir.lower_fun(_plain, multiple_results=False))
batching.primitive_batchers[_sums_p] = _batched
ad.deflinear2(_sums_p, _transposed)
