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
    names = {cell.name for cell in cells}
    searches: dict[str, list[Cell]] = {}
    for cell in cells:
        searches.setdefault(cell.search.name, []).append(cell)

    @functools.lru_cache(maxsize=1)  # the weights of one search are held at a time
    def compiled(name: str) -> Method | None:
        method = methods.method_of(bench, searches[name][0])
        methods.warm_up(bench, method)
        return method

    def count() -> int:
        return sum(row["cell"] in names for row in ledger.rows().values())

    total = len(bench.data.indices) * bench.options.solutions * len(cells)
    with (
        tqdm(total=total, initial=count(), unit="result", dynamic_ncols=True) as bar,
        contextlib.closing(claimed(bench, ledger, list(searches.values()))) as pieces,
    ):
        for mine, todo in pieces:
            if todo:
                search = mine[0].search
                bar.set_description(f"{search.title} {search.conditions}")
                ledger.add(do_unit(bench, mine, compiled(search.name), todo))
            bar.update(count() - bar.n)


def claimed(
    bench: Bench, ledger: Ledger, searches: Sequence[Sequence[Cell]]
) -> Generator[tuple[Sequence[Cell], list[int]]]:
    """(the cells of one search, photos that this process is to do now, which no other one does
    meanwhile), over and over until none is missing; no photos where others are at it."""
    waiting = [(cells, unit) for cells in searches for unit in units(bench)]
    # Of an earlier run: tried again.
    failed = {
        (row["cell"], row["photo"]) for row in ledger.rows().values() if row["status"] == "error"
    }

    def claim(name: str, index: int) -> str:
        return f"{name}-{bench.data.stamp(index)}-{index}"

    while waiting:
        rows, idle = ledger.rows(), True
        waiting = [
            (cells, unit) for cells, unit in waiting if missing(bench, rows, cells, unit, failed)
        ]
        for cells, unit in waiting:
            name = cells[0].search.name
            with contextlib.ExitStack() as stack:
                mine = [i for i in unit if stack.enter_context(ledger.claim(claim(name, i)))]
                todo = missing(bench, ledger.rows(), cells, mine, failed)
                yield cells, todo
            idle = idle and not todo
            failed -= {(cell.name, bench.data.photos.names[i]) for cell in cells for i in todo}
        if waiting and idle:
            time.sleep(WAIT)


def missing(
    bench: Bench,
    rows: Mapping[tuple[str, ...], Mapping],
    cells: Sequence[Cell],
    indices: Sequence[int],
    failed: Collection[tuple[str, str]],
) -> list[int]:
    """The photos of `indices` that lack a row or a picture in one of the cells, have changed since,
    or are to be tried again."""

    def is_done(cell: Cell, index: int, solution: int) -> bool:
        name = names[index]
        row = rows.get((cell.name, name, str(solution)))
        if row is None or (cell.name, name) in failed:
            return False
        if row.get("stamp") != bench.data.stamp(index):
            return False
        return row.get("status") == "error" or (bench.folder / str(row.get("output"))).is_file()

    solutions, names = range(bench.options.solutions), bench.data.photos.names
    return [i for i in indices if not all(is_done(cell, i, s) for cell in cells for s in solutions)]
