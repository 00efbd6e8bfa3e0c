"""Photos of any size through a published network that has no use for a prior: it enlarges them as
they are, nothing is cropped, searched or moved."""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxsr import degradations, flags, images, learned, operators, resample, weights
from jaxsr.learned import KINDS
from jaxsr.methods import METHODS
from jaxsr.records import report
from jaxsr.records.files import only_here
from restoration import photos, scores
from restoration.jobs import Source
from restoration.options import Settings, check, out_folder

COLUMNS = ("file", "output", "method", "factor", "seconds", *scores.SCORES)
COLUMNS += ("top_octave", "top_octave_reference", "fit", "remark", "status", "error", "digest")
# Flags that only a prior's results have a use for, at what they are left out.
UNREAD = {"operator": Settings.operator, "consistency": "auto", "noise": None, "mask": None}
UNREAD |= {"num_solutions": 1, "trajectory": False, "fit": "crop"}


def serves(settings: Settings) -> bool:
    """Whether what is asked for needs no prior: none is given, and the model is a published one
    that enlarges photos of any size."""
    row = METHODS.get(settings.method)
    if settings.prior is not None or not settings.model or not row or row.kind != "learned":
        return False
    record = weights.read_config(settings.model)
    kind = KINDS[learned.kind_of(settings.method)]
    published = "factor" in record and "prior" not in record
    return published and kind.whole is not None


class Network(NamedTuple):
    """What restores: its name, its factor, its digest, and (photo [h, w, 3]) -> [H, W, 3]."""

    method: str
    factor: int
    digest: str
    restored: Callable[[np.ndarray], jax.Array]


def load(settings: Settings) -> Network:
    """The network of the flags. Raises ValueError where it does not fit them."""
    folder, name = str(settings.model), learned.kind_of(settings.method)
    net, (params, record) = learned.read_net(folder), weights.load(folder)
    if learned.architecture_of(net) != name:
        raise ValueError(
            f"{folder}: expected a model with architecture {name!r}, got "
            f"{learned.architecture_of(net)!r}"
        )
    factor = record["factor"] or settings.factor
    if factor is None:
        raise ValueError(f"--factor is missing: {settings.method} enlarges by any")
    if settings.factor not in (None, factor):
        raise ValueError(f"--factor={settings.factor}: the network of {folder} enlarges {factor}x")
    enlarge: Any = KINDS[name].whole
    # Compiled once for each size of photo.
    clipped = jax.jit(lambda params, image: jnp.clip(enlarge(net, params, image, factor), 0, 1))
    digest = weights.digest(params)
    return Network(settings.method, factor, digest, functools.partial(clipped, params))


def execute(settings: Settings, sources: Sequence[Source]) -> int:
    """Restores what the folder lacks; writes the table. Returns how many have no result."""
    check(settings)
    for name, default in UNREAD.items():
        if getattr(settings, name) != default:
            raise ValueError(
                f"--{name}={getattr(settings, name)} is for results of a prior: leave it out, or "
                "give --prior"
            )
    flags.compute_in(settings.precision)
    flags.cache_compilations()
    network = load(settings)
    with only_here(out_folder(settings)):
        run = _start(settings, sources, network)
        print(f"{network.method} enlarges {network.factor}x, without a prior")
        for source in tqdm(sources, unit="photo", leave=False, disable=not settings.progress):
            _restore(run, source, network, settings)
        run.put_in_order()
    rows = [run.rows[source.outputs[0]] for source in sources]
    lost = [row for row in rows if row["status"] == "error"]
    print(f"{len(rows) - len(lost)} results in {run.folder}")
    if lost:
        print(f"{len(lost)} not restored; the first: {lost[0]['error']}")
    return len(lost)


def _start(settings: Settings, sources: Sequence[Source], network: Network) -> report.Run:
    folder = out_folder(settings)
    for source in sources:
        if (folder / source.outputs[0]).resolve() == Path(source.file.name).resolve():
            raise ValueError(
                f"the run would replace the photo {source.file.name}: choose another --out"
            )
    fixed = {"method": network.method, "model_sha256": network.digest, "factor": network.factor}
    fixed |= {name: getattr(settings, name) for name in ("kernel", "precision", "white", "depth")}
    order = [source.outputs[0] for source in sources]
    record = {"settings": fixed, "values": {}, "photos": {}}
    return report.open_run(folder, record, COLUMNS, order, overwrite=settings.overwrite)


def _restore(run: report.Run, source: Source, network: Network, settings: Settings) -> None:
    """Adds the row of a photo, and its picture, unless they are there."""
    row: dict[str, Any] = {
        "file": source.file.name,
        "output": source.outputs[0],
        "method": network.method,
    }
    row["factor"] = network.factor
    try:
        y, reference, fit, row["remark"] = read(source, network.factor, settings)
    except (ValueError, OSError) as error:
        run.add([row | {"status": "error", "error": str(error)}])
        return
    digest, begun = photos.digest(y, reference), time.perf_counter()
    if run.is_done(source.outputs[0], digest):
        return
    made = np.asarray(network.restored(y))
    row |= {"seconds": time.perf_counter() - begun, "fit": fit, "digest": digest, "status": "ok"}
    depth = cast(images.Depth, settings.depth)
    images.write(run.folder / source.outputs[0], made, depth=depth)
    written = images.to_uint8(made) / np.float32(255)
    run.add([row | scores.score(written, reference)])


def read(
    source: Source, factor: int, settings: Settings
) -> tuple[np.ndarray, np.ndarray | None, str, str]:
    """A photo [h, w, 3], or a sharp one made small and the sharp one; what was cropped, and what
    was told when it was read."""
    if source.file.problem:
        raise ValueError(source.file.problem)
    picture = images.load(source.file.name, settings)
    if not source.file.is_reference:
        return picture.image(), None, "", picture.remark
    picture, fit = picture.fit(multiple=factor, mode="crop")
    image, kernel = picture.image(), settings.kernel
    shrink = operators.downsample(
        factor, image_shape=image.shape, kernel=cast(resample.Kernel, kernel)
    )
    y = np.asarray(degradations.recorded(shrink(jnp.asarray(image))))
    return y, image, fit, picture.remark
