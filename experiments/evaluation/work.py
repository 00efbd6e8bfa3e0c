"""The work of an evaluation, shared by any number of processes that claim it piece by piece."""

import contextlib
import functools
import time
from collections.abc import Collection, Generator, Mapping, Sequence

from tqdm import tqdm

from evaluation import methods
from evaluation.bench import Bench
from evaluation.cells import Cell
from evaluation.methods import Method
from evaluation.units import do_unit, units
from jaxsr.records.ledger import Ledger

WAIT = 1.0  # seconds between looks at what another process does


def work(bench: Bench, ledger: Ledger, cells: Sequence[Cell]) -> None:
    """Does what has no row yet; returns when every photo has one, be it another process's."""
    by_name = {cell.name: cell for cell in cells}

    @functools.lru_cache(maxsize=1)  # the weights of one cell are held at a time
    def compiled(name: str) -> Method | None:
        method = methods.method_of(bench, by_name[name])
        methods.warm_up(bench, method)
        return method

    def count() -> int:
        return sum(row["cell"] in by_name for row in ledger.rows().values())

    total = len(bench.data.indices) * bench.options.solutions * len(cells)
    with (
        tqdm(total=total, initial=count(), unit="result", dynamic_ncols=True) as bar,
        contextlib.closing(claimed(bench, ledger, cells)) as pieces,
    ):
        for cell, todo in pieces:
            if todo:
                bar.set_description(f"{cell.title} {cell.conditions}")
                ledger.add(do_unit(bench, cell, compiled(cell.name), todo))
            bar.update(count() - bar.n)


def claimed(
    bench: Bench, ledger: Ledger, cells: Sequence[Cell]
) -> Generator[tuple[Cell, list[int]]]:
    """(cell, photos that this process is to do now, which no other one does meanwhile), over and
    over until none is missing; no photos where others are at it."""
    waiting = [(cell, unit) for cell in cells for unit in units(bench)]
    # Of an earlier run: tried again.
    failed = {
        (row["cell"], row["photo"]) for row in ledger.rows().values() if row["status"] == "error"
    }
    while waiting:
        rows, idle = ledger.rows(), True
        waiting = [
            (cell, unit) for cell, unit in waiting if missing(bench, rows, cell, unit, failed)
        ]
        for cell, unit in waiting:
            with contextlib.ExitStack() as stack:
                mine = [i for i in unit if stack.enter_context(ledger.claim(f"{cell.name}-{i}"))]
                todo = missing(bench, ledger.rows(), cell, mine, failed)
                yield cell, todo
            idle = idle and not todo
            failed -= {(cell.name, bench.data.photos.names[i]) for i in todo}
        if waiting and idle:
            time.sleep(WAIT)


def missing(
    bench: Bench,
    rows: Mapping[tuple[str, ...], Mapping],
    cell: Cell,
    indices: Sequence[int],
    failed: Collection[tuple[str, str]],
) -> list[int]:
    """The photos of `indices` that lack a row or a picture, or are to be tried again."""

    def is_done(name: str, solution: int) -> bool:
        row = rows.get((cell.name, name, str(solution)))
        if row is None or (cell.name, name) in failed:
            return False
        return row.get("status") == "error" or (bench.folder / str(row.get("output"))).is_file()

    solutions, names = range(bench.options.solutions), bench.data.photos.names
    return [i for i in indices if not all(is_done(names[i], s) for s in solutions)]
