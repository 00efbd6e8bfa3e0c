"""Many photos at once: batches through a method's phases, compiled once, in bounded memory, with
progress."""

import functools
import math
import operator
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tqdm import tqdm

from jaxsr.search import solve as solver
from jaxsr.search._checks import checked, checked_told
from jaxsr.search.solve import THETA, Phase, Solve, State, Trace, chunk_length
from jaxsr.types import Params, Result

Told = Mapping[str, Any]
FRAME = 4  # steps between two images of a trajectory, at most


class Photos(NamedTuple):
    """Rows of a batch: what the method takes for y (see `Solve.inputs`), and entries of params that
    differ from photo to photo, by their names; with a leading axis n."""

    y: Any
    told: dict


def restore(
    solve: Solve,
    params: Params,
    ys: np.ndarray,
    *,
    seed: int | Sequence[int] = 0,
    told: Told | None = None,
    batch_size: int = 8,
    rows: int | None = None,
    progress: bool = True,
) -> Result:
    """Restores n measurements with any method: `restore_batches`, collected in the order of `ys`.

    Args and errors: see `restore_batches`.

    Returns:
        Result of numpy arrays with a leading axis n in every field.
    """
    batches = restore_batches(
        solve,
        params,
        ys,
        seed=seed,
        told=told,
        batch_size=batch_size,
        rows=rows,
        progress=progress,
    )
    results = [result for _, result in batches]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *results)


def restore_batches(
    solve: Solve,
    params: Params,
    ys: np.ndarray,
    *,
    seed: int | Sequence[int] = 0,
    told: Told | None = None,
    batch_size: int = 8,
    rows: int | None = None,
    progress: bool = True,
) -> Iterator[tuple[np.ndarray, Result]]:
    """Restores n measurements batch by batch, so that each can be written as soon as it is done.

    The result of a photo depends on its pixels, its seed and the method, not on its neighbours or
    the order. Every batch has the same number of rows (`rows_at_once`), the last is filled up with
    copies: one program serves all, and a photo alone runs through the very same arithmetic as a
    photo among others, in the time of a full batch. The rows are shared out over the devices.
    Another number of rows on a device is another program with other roundings, which a search of
    hundreds of steps can carry on to visible differences.

    Args:
        solve: a method from `jaxsr.methods`; its compiled programs are kept, a second call with the
            same `solve` compiles nothing.
        params: the prior's parameters.
        ys: [n, *solve.operator.measurement_shape], finite, of images in [0, 1]. What a mask hides
            may hold anything.
        seed: another seed gives other random starts; a number for all, or one for each measurement
            (several solutions of one photo).
        told: what differs from photo to photo, name -> [n, ...]: entries of params, such as
            "photo_eps", its largest feasible residual; and where the method is `conditioned`,
            "operator": the parameters of each photo's operator, name -> [n, ...]; one that is
            missing is the family's start. They are traced: one program serves all.
        batch_size: photos at once, at most; bounds the memory.
        rows: photos at once, whatever the device, to measure what that costs. Default:
            `rows_at_once(batch_size)`.
        progress: a bar on stderr.

    Yields:
        (indices into `ys`, Result of numpy arrays with that leading axis).

    Raises:
        ValueError: no bound method, a wrong shape, type or number, a seed that is no whole number
            of 32 bits, a batch_size below 1, parameters that the family does not have, no
            measurement, one of values far from those of images in [0, 1], or a measurement that is
            not finite (its index is named).
    """
    ys, seeds = checked(solve, params, ys, seed, batch_size)
    rest = {name: values for name, values in (told or {}).items() if name != THETA}
    inputs = solve.inputs(ys, (told or {}).get(THETA))
    photos = Photos(inputs, checked_told(rest, params, len(ys)))
    keys = photo_keys(ys, seeds)
    return _batches(solve, params, photos, keys, rows or rows_at_once(batch_size), progress)


def restore_tuned(
    solve: Solve,
    params: Params,
    y: np.ndarray,
    *,
    theta: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Result, Params]:
    """Restores one measurement, as `restore` does; returns the Result and the params with the
    weights that the method tuned for it.

    Raises:
        ValueError: as `restore_batches`.
    """
    inputs, keys = _one(solve, params, y, theta, seed)
    mesh = mesh_of(1)
    with _bar(solve, 1, progress) as bar:
        found = _solve_batch(solve, programs(solve, mesh), params, keys, Photos(inputs, {}), bar)
    result, best = jax.tree.map(lambda leaf: leaf[0], found)
    return jax.tree.map(np.asarray, result), params | solve.tuned(best)


def trajectory(
    solve: Solve,
    params: Params,
    y: np.ndarray,
    *,
    theta: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> np.ndarray:
    """What the search of one measurement holds for best as it goes, images [n, H, W, 3]: where each
    phase begins and every few steps after.

    The steps are those of `restore`, in other programs: roundings differ, and with them, slightly,
    the last image.

    Raises:
        ValueError: as `restore_batches`.
    """
    inputs, keys = _one(solve, params, y, theta, seed)
    photos = Photos(inputs, {})
    compiled, frames = programs(solve, mesh_of(1), FRAME), []
    finish = jax.jit(
        jax.vmap(
            lambda params, y, state: solve.finish(params, y, state.best, state.context)[0],
            (None, 0, 0),
        )
    )
    with _bar(solve, 1, progress) as bar:
        for number, state, trace in _chunks(solve, compiled, params, keys, photos):
            bar.update(0 if trace is None else compiled.phases[number][2])
            if trace is not None and np.isnan(trace["loss"]).all():
                continue  # the best is what it was
            for begin, _, _ in compiled.phases[number + 1 :]:
                state = begin(keys, params, photos, (state.best, state.context))
            frames.append(np.asarray(finish(params, inputs, state)[0]))
    return np.stack(frames)


def _one(
    solve: Solve, params: Params, y: np.ndarray, theta: Mapping[str, Any] | None, seed: int
) -> tuple[Any, jax.Array]:
    """One measurement as a batch of one, and its key."""
    ys, seeds = checked(solve, params, np.asarray(y)[None], seed, 1)
    thetas = theta and {name: np.asarray(value)[None] for name, value in theta.items()}
    inputs = jax.tree.map(jnp.asarray, solve.inputs(ys, thetas))
    return inputs, jax.random.wrap_key_data(jnp.asarray(photo_keys(ys, seeds)))


def rows_at_once(batch_size: int) -> int:
    """Photos in one batch: `batch_size` on an accelerator, one a device on a CPU, where a batch
    takes as long as its photos one by one (RLS at 32 px on 2 cores: 70 s for 8 at once, 67 s one by
    one) and a photo alone would pay for the whole of it."""
    return (
        batch_size if jax.default_backend() != "cpu" else min(batch_size, jax.local_device_count())
    )


def photo_keys(ys: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The bits of one key a photo, [n, 2]: its seed's key folded with a digest (CRC-32) of the
    photo's own float32 bytes."""
    digests = np.array(
        [zlib.crc32(np.ascontiguousarray(y, np.float32).tobytes()) for y in ys], np.uint32
    )
    return np.asarray(jax.random.key_data(_fold(np.asarray(seeds, np.uint32), digests)))


@jax.jit
@jax.vmap
def _fold(seed: jax.Array, digest: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed), digest)


def _batches(
    solve: Solve, params: Params, photos: Photos, keys: np.ndarray, batch_size: int, progress: bool
) -> Iterator[tuple[np.ndarray, Result]]:
    mesh = mesh_of(batch_size)
    rows, whole = NamedSharding(mesh, PartitionSpec("batch")), NamedSharding(mesh, PartitionSpec())
    params = jax.device_put(params, whole)
    batches = np.split(np.arange(len(keys)), range(batch_size, len(keys), batch_size))
    with _bar(solve, len(batches), progress) as bar:
        for batch, indices in enumerate(batches):
            padded = np.pad(indices, (0, batch_size - len(indices)), mode="edge")
            bar.set_description(f"batch {batch + 1} of {len(batches)}")
            batch_keys = jax.random.wrap_key_data(jax.device_put(keys[padded], rows))
            result, _ = _solve_batch(
                solve,
                programs(solve, mesh),
                params,
                batch_keys,
                jax.device_put(jax.tree.map(operator.itemgetter(padded), photos), rows),
                bar,
            )
            yield (
                indices,
                jax.tree.map(lambda leaf, real=indices: np.asarray(leaf)[: len(real)], result),
            )


def _bar(solve: Solve, batches: int, progress: bool) -> tqdm:
    steps = batches * sum(phase.steps for phase in solve.phases)
    return tqdm(total=steps, unit="step", disable=not progress, dynamic_ncols=True)


def mesh_of(batch_size: int) -> Mesh:
    """As many devices as share the rows of a batch evenly."""
    return Mesh(
        np.array(jax.local_devices()[: math.gcd(batch_size, jax.local_device_count())]), ("batch",)
    )


class Programs(NamedTuple):
    """The jitted, vmapped pieces of a method: for each phase (begin, advance, steps of a chunk),
    and conclude."""

    phases: tuple[tuple[Callable, Callable, int], ...]
    conclude: Callable


@functools.lru_cache(maxsize=8)
def programs(solve: Solve, mesh: Mesh, longest: int = 25) -> Programs:
    """Pieces of params and `Photos`, whose chunks have at most `longest` steps. Compiles nothing
    yet; kept for the last few methods, because jit finds what it compiled by the identity of these
    functions.

    Each device of the mesh runs the program of its own rows, by `shard_map`: left to itself, XLA
    turns the refinement's convolutions, whose kernels differ from row to row, into one grouped
    convolution of all rows on every device.
    """

    def mapped(function: Callable, in_axes: tuple[int | None, ...]) -> Callable:
        specs = tuple(
            PartitionSpec() if axis is None else PartitionSpec("batch") for axis in in_axes
        )
        each = jax.vmap(_of_photo(function, in_axes.index(None)), in_axes)
        return jax.shard_map(
            each, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("batch"), check_vma=False
        )

    def pieces(phase: Phase) -> tuple[Callable, Callable, int]:
        length = chunk_length(phase.steps, limit=longest)

        def begin(keys, params, photos, previous):
            states = mapped(functools.partial(solver.begin, phase), (0, None, 0, 0))(
                keys, params, photos, previous
            )
            # Fresh buffers: an output that merely is an input would be that input's buffer, which
            # `advance` then gives away.
            return jax.lax.optimization_barrier(states)

        advance = mapped(functools.partial(solver.advance, phase, length=length), (None, 0, 0))
        return jax.jit(begin), jax.jit(advance, donate_argnums=2), length

    return Programs(
        tuple(map(pieces, solve.phases)), jax.jit(mapped(solve.conclude, (None, 0, 0, 0)))
    )


def _of_photo(function: Callable, at: int) -> Callable:
    """A function of params and y, its arguments `at` and the next, as one of params and a photo;
    what is told of the photo become entries of params."""

    def of_photo(*args):
        params, photo = args[at], args[at + 1]
        params = {**params, **photo.told} if photo.told else params
        return function(*args[:at], params, photo.y, *args[at + 2 :])

    return of_photo


def _solve_batch(
    solve: Solve, compiled: Programs, params: Params, keys: jax.Array, photos: Photos, bar: tqdm
) -> tuple[Result, Any]:
    """One batch through all phases, in chunks that show on the bar; the results and the last
    phase's best variables."""
    state: Any = None
    traces = []
    for number, state, trace in _chunks(solve, compiled, params, keys, photos):
        if trace is not None:
            traces.append(trace)
            # Waits for the chunk.
            bar.set_postfix(loss=f"{np.mean(state.best_value):.3g}", refresh=False)
            bar.update(compiled.phases[number][2])
    result = compiled.conclude(params, photos, state, traces)
    bar.set_postfix(residual=f"{np.mean(result.residual):.3g}")
    return result, state.best


def _chunks(
    solve: Solve, compiled: Programs, params: Params, keys: jax.Array, photos: Photos
) -> Iterator[tuple[int, State, Trace | None]]:
    """(number of the phase, state, trace) where each phase begins, without a trace, and after each
    chunk; the next chunk takes over the memory of the state. Where all rows rest, nothing runs."""
    state: Any = None
    for number, (phase, (begin, advance, length)) in enumerate(
        zip(solve.phases, compiled.phases, strict=True)
    ):
        state = begin(keys, params, photos, None if state is None else (state.best, state.context))
        yield number, state, None
        trace = None
        for _ in range(phase.steps // length):
            if trace is not None and _all_rest(phase, state):
                # The same shapes: `conclude` is compiled once, however many steps were made.
                trace = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), trace)
            else:
                state, trace = advance(params, photos, state)
            yield number, state, trace


def _all_rest(phase: Phase, state: State) -> bool:
    return phase.enough is not None and bool(np.all(solver.rests(phase, state)))
