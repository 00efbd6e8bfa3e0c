"""Winograd's 3x3 convolution F(4x4, 3x3) (Lavin and Gray, arXiv:1509.09308): 2.25 products of
channels a pixel, where the direct one has 9.

For CPUs, whose direct convolution already runs at the matrix product's rate; accelerators'
libraries choose such algorithms by themselves. A tile of 6x6 samples, transformed, times the
transformed kernel, transformed back, is 4x4 samples of the result.

Its rounding is twice the direct one's (1.5e-6 of the result's standard deviation against 7.4e-7,
256 channels, float32, on a CPU): the transforms interpolate near 1 instead of at the usual 0, 1,
-1, 2, -2, which round at 3.2e-6. The points are each other's inverses, so turned taps have the same
transform in another order, and a gradient uses the forward pass's transform of the kernel, as large
as four kernels, once more.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Padding = tuple[tuple[int, int], tuple[int, int]]
ROOT = float(np.sqrt(2))
POINTS = (0.0, 1 / ROOT, -1 / ROOT, ROOT, -ROOT)  # and infinity
TURN = [5, 3, 4, 1, 2, 0]  # where each point's inverse stands
TILE, TAPS = 4, 3
SIDE = TILE + TAPS - 1
TILES = 2048  # transformed at a time, which bounds what is held; fewer were slower


def transforms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float64 (of samples [6, 6], of taps [6, 3], back [4, 6]) of Toom and Cook's interpolation at
    `POINTS` and infinity.

    back @ ((taps @ g) * (samples @ d)) correlates samples d [6] with taps g [3], and taps @ g[::-1]
    is (taps @ g)[TURN].
    """
    values = np.asarray(POINTS)
    others = [np.delete(values, i) for i in range(len(values))]
    scales = [
        np.prod(point - rest) / (point or 1) for point, rest in zip(values, others, strict=True)
    ]
    inner = [
        np.append(np.poly(rest)[::-1], 0) / scale
        for rest, scale in zip(others, scales, strict=True)
    ]
    samples = np.stack([*inner, np.poly(values)[::-1]])
    taps = np.array([[1, 0, 0], *([1 / point, 1, point] for point in POINTS[1:]), [0, 0, 1]])
    back = np.concatenate([np.vander(values, TILE, increasing=True).T, np.eye(TILE)[:, -1:]], 1)
    return samples, taps, back


SAMPLES_BY, TAPS_BY, BACK_BY = transforms()


def pays(x: jax.Array, shape: tuple[int, ...]) -> bool:
    """Whether this way is faster for x [n, h, w, c], or cotangents, and a kernel of `shape` [kh,
    kw, c, d], as measured on 2 cores: the convolution and its gradients, than the direct ones."""
    n, height, width = x.shape[:3]
    enough = n * height * width >= 1024 and min(shape[2:]) >= 32
    return enough and shape[:2] == (TAPS, TAPS) and x.dtype == jnp.float32


def convolved(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Correlation of [n, h, w, c] with [3, 3, c, d], zeros added as ((top, bottom), (left,
    right))."""
    return _tiled(x, _kernel(kernel), 1, padding)


def transposed(cotangent: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """The transpose of `convolved` in x: cotangents [n, ho, wo, d] -> [n, h, w, c]. The taps turn,
    the channels stay as they lie."""
    vertical, horizontal = ((TAPS - 1 - before, TAPS - 1 - after) for before, after in padding)
    return _tiled(cotangent, _kernel(kernel), 2, (vertical, horizontal))


def by_kernel(x: jax.Array, cotangent: jax.Array, padding: Padding) -> jax.Array:
    """The transpose of `convolved` in the kernel: x [n, h, w, c] and cotangents [n, ho, wo, d] ->
    [3, 3, c, d]: a quarter of the products that a sum over pixels takes, as the forward pass."""
    n, height, width = cotangent.shape[:3]
    down, across = -(-height // TILE), -(-width // TILE)
    fill = [(0, down * TILE - height), (0, across * TILE - width)]
    x = jnp.pad(
        x,
        (
            (0, 0),
            *(
                (before, after + more)
                for (before, after), (_, more) in zip(padding, fill, strict=True)
            ),
            (0, 0),
        ),
    )
    cotangent = jnp.pad(cotangent, ((0, 0), *fill, (0, 0)))
    samples, rows = _some(n, TILES // (down * across)), _some(down, TILES // across)
    bands = down // rows

    def block(total: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        start = i // bands * samples, i % bands * rows * TILE, 0, 0
        maps = lax.dynamic_slice(x, start, (samples, rows * TILE + TAPS - 1, *x.shape[2:]))
        outs = lax.dynamic_slice(cotangent, start, (samples, rows * TILE, *cotangent.shape[2:]))
        tiles = (
            _transformed(maps, SAMPLES_BY, rows, across),
            _transformed(outs, BACK_BY.T, rows, across),
        )
        return total + lax.dot_general(*tiles, (((1,), (1,)), ((0,), (0,)))), None

    total, blocks = (
        jnp.zeros((SIDE**2, x.shape[3], cotangent.shape[3]), x.dtype),
        n // samples * bands,
    )
    total = (
        block(total, jnp.zeros((), int))[0]
        if blocks == 1
        else lax.scan(block, total, jnp.arange(blocks))[0]
    )
    both = jnp.asarray(np.kron(TAPS_BY, TAPS_BY).T, x.dtype)
    return (both @ total.reshape(SIDE**2, -1)).reshape(TAPS, TAPS, *total.shape[1:])


def _tiled(x: jax.Array, kernel: jax.Array, axis: int, padding: Padding) -> jax.Array:
    """x [n, h, w, c] and a transformed kernel [36, c, d], or [36, d, c] and `axis` 2 -> [n, ho, wo,
    d], a part of them at a time."""
    height, width = (
        size + sum(ends) - TAPS + 1 for size, ends in zip(x.shape[1:3], padding, strict=True)
    )
    n, (down, across) = x.shape[0], (-(-height // TILE), -(-width // TILE))
    fill = down * TILE - height, across * TILE - width
    padded = jnp.pad(
        x,
        (
            (0, 0),
            *((before, after + more) for (before, after), more in zip(padding, fill, strict=True)),
            (0, 0),
        ),
    )
    samples, rows = _some(n, TILES // (down * across)), _some(down, TILES // across)
    bands = down // rows

    def block(i: jax.Array) -> jax.Array:
        start = i // bands * samples, i % bands * rows * TILE, 0, 0
        return _tiles(
            lax.dynamic_slice(padded, start, (samples, rows * TILE + TAPS - 1, *padded.shape[2:])),
            kernel,
            axis,
        )

    blocks = n // samples * bands
    y = block(jnp.zeros((), int)) if blocks == 1 else lax.map(block, jnp.arange(blocks))
    return y.reshape(n, down * TILE, across * TILE, -1)[:, :height, :width]


def _some(count: int, limit: int) -> int:
    """The largest divisor of `count` that is at most `limit`, at least 1."""
    return max([k for k in range(1, min(count, limit) + 1) if count % k == 0], default=1)


def _tiles(x: jax.Array, kernel: jax.Array, axis: int) -> jax.Array:
    """x [n, 4 r + 2, 4 s + 2, c] and the kernel, whose `axis` is c -> [n, 4 r, 4 s, d]. With axis 2
    its taps are turned."""
    order = TURN if axis == 2 else slice(None)
    n, (down, across) = x.shape[0], (x.shape[1] // TILE, x.shape[2] // TILE)
    tiles = _transformed(x, SAMPLES_BY[order], down, across)
    products = lax.dot_general(tiles, kernel, (((2,), (axis,)), ((0,), (0,))))
    products = products.reshape(SIDE, SIDE, n, down, across, -1)
    y = jnp.stack(
        [
            jnp.stack(_combined(BACK_BY[:, order], list(row)), 3)
            for row in _combined(BACK_BY[:, order], list(products))
        ],
        2,
    )
    return y.reshape(n, down * TILE, across * TILE, -1)


def _transformed(x: jax.Array, matrix: np.ndarray, down: int, across: int) -> jax.Array:
    """Windows of x [n, h, w, c] that begin every 4 samples, down x across of them, times the matrix
    [6, side] in both axes: [36, ., c]."""
    side = range(matrix.shape[1])
    rows = [lax.slice_in_dim(x, i, i + TILE * (down - 1) + 1, TILE, 1) for i in side]
    length = TILE * (across - 1) + 1
    tiles = [
        jnp.stack(_combined(matrix, [lax.slice_in_dim(row, j, j + length, TILE, 2) for j in side]))
        for row in _combined(matrix, rows)
    ]
    return jnp.stack(tiles).reshape(SIDE**2, -1, x.shape[3])


def _kernel(kernel: jax.Array) -> jax.Array:
    """[3, 3, c, d] -> [36, c, d], as one product: 5 ms for 512 channels, where sums of taps took
    XLA 12 ms inside a network."""
    both = jnp.asarray(np.kron(TAPS_BY, TAPS_BY), kernel.dtype)
    return (both @ kernel.reshape(TAPS**2, -1)).reshape(SIDE**2, *kernel.shape[2:])


def _combined(matrix: np.ndarray, parts: list[jax.Array]) -> list[jax.Array]:
    """A sum of the parts for each row of the matrix, without its zeros."""
    sums = [
        [float(weight) * part for weight, part in zip(row, parts, strict=True) if weight]
        for row in matrix
    ]
    return [functools.reduce(jnp.add, terms) for terms in sums]
