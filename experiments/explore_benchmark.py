"""What e-GLASS finds, at what cost: its ways at equal perceptual change, ten solutions against
restarts of PULSE, and cost by latent size.

    # 20 photos: an hour or two on 2 CPU cores
    python experiments/explore_benchmark.py --data=photos.tar --out=explore_benchmark
    python experiments/explore_benchmark.py --tables=ways --conditions=inpainting --data=photos
    python experiments/explore_benchmark.py --smoke  # a random toy prior, one photo

1. Ways. Around each photo's first solution (--method), --directions directions of each way are
   walked both ways until the picture is --distances of the typical distance of two random images
   away, feasible or not; there the residual and the measurement's change are taken (the paper's
   Figures 2 and 3).
2. Restarts. Seconds to ten feasible, distinct solutions (the paper's Table 1): first solution, both
   metrics and walks of e-GLASS, each compiled before; PULSE restarted one by one, and as many at
   once as `jaxsr.restore` takes. A restart that is infeasible or too near another does not count;
   nor does e-GLASS's first solution.
3. Cost. Seconds and memory of both metrics' eigenvectors by latent size, each in a process of its
   own (exploration/cost.py).
4. Figures. figure_CONDITION_PHOTO.png for each photo: PULSE, raw v^K and Algorithm 1's d, a row
   each, as in the paper's Figures 2 and 3; the walks end where the picture has changed equally.

OUT gets rows.jsonl, a row as it is measured; the same command again measures only what is missing.
table.md has the tables.

On pbc64, how many times less than along raw v^K the measurement changes, at 0.1, 0.25 and 0.5 of
the perceptual distance of two random pictures (medians of 20 photos, with --tables=ways --steps=100
--directions=2):

| `--way` | 8x | 4x | centre missing |
|---|---|---|---|
| `algorithm1` | 1.6, 1.5, 1.1 | 1.4, 1.3, 1.3 | 2.3, 1.9, 1.8 |
| `closed_form` | 1.8, 1.5, 1.3 | 1.4, 1.3, 1.4 | 2.3, 2.0, 2.1 |
| `generalized` | 2.7, 2.2, 1.7 | 2.0, 1.7, 1.4 | 5.2, 3.6, 2.5 |
| `curved` | 5.5, 6.3, 8.2 | 4.4, 8.0, 12.6 | 13.2, 12.4, 12.6 |

Ten solutions at 8x take PULSE, restarted with other seeds, 10.6 s one by one and 6.2 s two at once;
e-GLASS from LAREN's solution takes 1.5 s in all, of which both metrics are 1.0 and the walks 0.5
(`--tables=restarts --method=laren --space=w --conditions=x8`, medians of 20 photos, 2 CPU cores,
lint beside it). IAGAN's first solution alone takes 4.9 s. The paper's ratios are 9.5 and 6.1. Both
metrics take 1 s for 128 latent numbers, 4 s for 512 and, matrix-free, 3 s for 4,096 and 253 s for
the 9,216 of a 1024 px network (`--tables=cost`).
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from exploration import cost, tables
from exploration.conditions import (
    NAMED,
    Around,
    Condition,
    around,
    condition_of,
    operator_of,
    references,
)
from exploration.figures import figure_rows
from exploration.options import SPACES, TABLES, WITH_PRIOR, Settings, check
from exploration.restarts import restart_rows
from exploration.ways import ways_rows
from restoration.fitting import mask_digest
from tqdm import tqdm

from jaxsr import flags, loading, weights
from jaxsr.priors import Prior
from jaxsr.records import files
from jaxsr.records.ledger import Ledger
from jaxsr.types import Params

KEY = ("table", "condition", "photo", "name")
FIXED = (
    "data",
    "method",
    "steps",
    "space",
    "distances",
    "directions",
    "num_solutions",
    "eps",
    "seed",
    "smoke",
)
PER_PHOTO: dict[str, Callable[[Settings, Condition, Around], Iterator[dict]]] = {
    "ways": ways_rows,
    "restarts": restart_rows,
    "figures": figure_rows,
}


def measure(settings: Settings, ledger: Ledger, prior: Prior, params: Params) -> None:
    """Adds the rows of tables 1, 2 and 4 that are missing."""
    wanted = [name for name in PER_PHOTO if name in settings.tables]
    photos = list(references(settings, prior, params)) if wanted else []
    total = len(settings.conditions) * len(photos)
    with tqdm(total=total, unit="photo", dynamic_ncols=True) as bar:
        for name in settings.conditions:
            condition = condition_of(settings, name, prior, params)
            for rows in _measured(settings, ledger, condition, photos, wanted, bar):
                ledger.add({"condition": name, **row} for row in rows)


def _measured(
    settings: Settings,
    ledger: Ledger,
    condition: Condition,
    photos: Sequence[tuple[str, np.ndarray]],
    wanted: Sequence[str],
    bar: tqdm,
) -> Iterator[list[dict]]:
    """The missing rows of a condition, a photo and a table at a time. Seconds are those of a second
    run: the first, on the same photo, compiles."""
    done = {key[:3] for key in ledger.rows()}
    is_compiled = "restarts" not in wanted
    for photo, reference in photos:
        bar.set_description(f"{condition.name} {photo}")
        find = functools.partial(around, settings, condition, photo, reference)
        found = functools.cache(find)  # once for all tables
        for table in (name for name in wanted if (name, condition.name, photo) not in done):
            if not is_compiled:
                rows_of(settings, condition, table, find)
            rows = rows_of(settings, condition, table, found)
            is_compiled = is_compiled or rows[0]["status"] == "ok"
            yield [{"table": table, "photo": photo, **row} for row in rows]
        bar.update()


def rows_of(
    settings: Settings, condition: Condition, table: str, found: Callable[[], Around]
) -> list[dict]:
    """One photo's rows of a table, or one that says why there are none."""
    try:
        return [{"status": "ok", **row} for row in PER_PHOTO[table](settings, condition, found())]
    except ValueError as error:
        return [{"name": "", "status": "error", "error": str(error)}]


def fixed(settings: Settings, prior: Prior, params: Params) -> dict:
    """What all rows of a folder have in common."""
    return {
        **{name: getattr(settings, name) for name in FIXED},
        "prior": prior.info.name,
        "prior_sha256": weights.digest(params),
        **({"mask": mask_digest(settings.mask)} if settings.mask else {}),
        # Of which every second is.
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }


def main(settings: Settings) -> int:
    settings = check(settings)
    flags.cache_compilations()
    prior, params = loading.load_prior(str(settings.prior))
    for name in settings.conditions:
        operator_of(name, prior.info.resolution, settings.mask)
    facts = fixed(settings, prior, params)
    ledger = Ledger(settings.out, facts, key=KEY, about={"jax": jax.__version__})
    if "cost" in settings.tables:
        cost.measure(ledger, smoke=settings.smoke)
    measure(settings, ledger, prior, params)
    text = tables.markdown(
        list(ledger.rows().values()),
        f"{facts['device']}, prior {prior.info.name}, {settings.method}, {settings.space}",
    )
    files.write_text(Path(settings.out) / "table.md", text)
    print(text)
    return 0


if __name__ == "__main__":
    names = {"conditions": NAMED, "tables": TABLES, "methods": WITH_PRIOR, "spaces": SPACES}
    read_settings = flags.define(Settings(), tables=names)
    flags.one_device_a_core()
    flags.run(lambda: main(read_settings()))
