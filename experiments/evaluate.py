"""Restores many photos with several methods and judges them: the tables of the papers.

    # a table of a paper on your prior and photos
    python experiments/evaluate.py --suite=rls_table1 --data=photos.tar --out=table1
    python experiments/evaluate.py --methods=bicubic,pulse,rls_plus --factors=8,4 --data=photos
    python experiments/evaluate.py --methods=pulse,rlse --operators=inpainting,grey --data=photos
    python experiments/evaluate.py --methods=auto,bicubic --data=photos  # what restores best
    # faces of 128 px with a prior of 1024 px; the first 500, not evenly spaced ones
    python experiments/evaluate.py --suite=rlse_table1 --data=celeba_test --pick=first
    # photos that are low-resolution already: NIQE, and whether results explain them
    python experiments/evaluate.py --methods=pulse,rls --reference_free --data=small_photos
    python experiments/evaluate.py --suite=rls_figure3  # needs no photos
    python experiments/evaluate.py --smoke  # the bundled prior's samples, a few steps

OUT gets rows.jsonl (a row a result, added as it is done), images/, and at the end results.csv,
table.md (means with 95 % bootstrap intervals, differences from the baseline over the same photos,
the paper's numbers "as printed, other data"), grid_*.png, index.html (sortable, with the pictures)
and plots (with matplotlib). The same command again does only what is missing, whatever stopped it;
several processes may share one OUT, and photos may come or change between. A photo that fails keeps
its row, with the reason. --help names the suites; a learned restorer that is not trained for the
prior says so in its row. The exit status is 0 when every photo has its result, 3 when some have
none, 2 when nothing could start.

Photos are centre squares brought to the prior's resolution (or --judge_at) by area average,
degraded, and compared in 8-bit RGB, all of it. Distances of features are those of the bundled
network; LPIPS, NIQE (from 192 px a side on), FID, KID and identity (of aligned crops, with
--landmarks) appear when their published weights are at hand (the report says where they go).
rls_table1 on the bundled prior, 200 photos at two factors, took an hour on 2 CPU cores that had
other work too.
"""

from pathlib import Path
from typing import get_args

from evaluation import partitions, suites
from evaluation.bench import open_bench
from evaluation.cells import KEY
from evaluation.methods import chosen, lacking, method_of
from evaluation.options import Settings, check
from evaluation.plan import check_figure, plan
from evaluation.publish import describe, publish, publish_nothing
from evaluation.work import work

from jaxsr import flags, loading
from jaxsr.degradations import ROBUSTNESS
from jaxsr.methods import METHODS
from jaxsr.operators import OPERATORS
from jaxsr.priors import Prior
from jaxsr.records.ledger import Ledger
from jaxsr.resample import Kernel
from jaxsr.types import Params


def main() -> int:
    flags.cache_compilations()
    return run(read_settings())


def run(settings: Settings) -> int:
    """The whole evaluation; the exit status. Raises ValueError before any long work."""
    check(settings)
    prior, params = loading.load_prior(
        settings.prior or loading.default_source(), dtype=flags.compute_in(settings.precision)
    )
    if settings.suite in suites.FIGURES:
        check_figure(settings)
        suites.FIGURES[settings.suite].draw(prior, params, out_folder(settings), seed=settings.seed)
        return 0
    return evaluate(settings, prior, params)


def out_folder(settings: Settings) -> Path:
    name = "smoke" if settings.smoke else settings.suite or "comparison"
    return Path(settings.out or f"evaluations/{name}")


def evaluate(settings: Settings, prior: Prior, params: Params) -> int:
    """Every cell that can be run, over all photos, and the report; the exit status."""
    suite, cells = plan(settings, prior.info.resolution)
    folder = out_folder(settings)
    cells = chosen(prior, params, cells, settings.kernel, suite.solutions)
    reasons = lacking(prior, params, cells, settings.kernel, settings.models)
    built = [cell for cell in cells if cell.name not in reasons]
    if not built:
        if settings.methods:
            raise ValueError(next(iter(reasons.values())))
        print(publish_nothing(suite, cells, reasons, folder))
        return 0
    bench = open_bench(settings, suite, cells, prior, params, folder)
    for cell in built:
        # A prior without a flow, say, shows before hours of other cells.
        method_of(bench, cell)
    fixed, about = describe(bench, suite, built, settings.precision)
    ledger = Ledger(folder, fixed, key=KEY, about=about)
    work(bench, ledger, built)
    rows = ledger.rows()
    with ledger.exclusive():
        print(publish(bench, suite, cells, reasons, rows))
    print(f"{folder}/index.html shows all of it")
    names, done = {cell.name for cell in built}, set(bench.data.names)
    mine = [row for row in rows.values() if row["cell"] in names and row["photo"] in done]
    return flags.SOME_FAILED if any(row["status"] == "error" for row in mine) else 0


if __name__ == "__main__":
    read_settings = flags.define(
        Settings(),
        tables={
            "degradations": ROBUSTNESS,
            "kernels": get_args(Kernel),
            "methods": METHODS,
            "operators": OPERATORS,
            "partitions": partitions.summaries(),
            "suites": suites.summaries(),
        },
    )
    flags.one_device_a_core()
    flags.run(main)
