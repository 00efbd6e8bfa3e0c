"""How well a flow Gaussianises w (RLS, Figure 3): squared norms of w, of PULSE's transform and of
F(w), against chi-squared."""

import json
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np

from evaluation.document import document, plot, table
from jaxsr.priors import Prior
from jaxsr.records import files, report
from jaxsr.training import flow
from jaxsr.types import Params

PANELS = {"raw": "w itself", "pulse": "PULSE's transform of w", "flow": "the flow's F(w)"}
# The paper's number of w; those that the Gaussian it is compared with is fitted to.
SAMPLES, FITTED = 5_000, 20_000
TITLE = "RLS Figure 3: how well w is Gaussianised"
COLUMNS = ("space", "mean", "std", "ks_distance")


def run(prior: Prior, params: Params, out: Path, *, seed: int) -> None:
    """Figure 3 of a prior that has a flow, as the files of a suite: out/results.csv, table.md and
    index.html; besides gaussianisation.json and, with matplotlib, gaussianisation.png.

    Raises:
        ValueError: the prior has no flow, or the folder cannot be written.
    """
    report.check_writable(out)
    if "flow" not in params:
        raise ValueError(f"the prior {prior.info.name} has no flow: run experiments/train_flow.py")
    drawn = flow.samples(
        prior, params, jax.random.key(seed), flow.Config(num_train=FITTED, num_valid=SAMPLES)
    )
    norms = flow.squared_norms(params["statistics"], params["flow"], drawn.test)
    summary = flow.assess(params["flow"], drawn, norms)
    files.write_text(
        out / "gaussianisation.json",
        json.dumps({"prior": prior.info.name, "seed": seed, **summary}, indent=2) + "\n",
    )
    show(out, summary, norms, prior.info.w_dim)
    _publish(out, summary, f"prior {prior.info.name}, seed {seed}", prior.info.w_dim)


def _publish(out: Path, summary: dict, about: str, dim: int) -> None:
    found = summary["squared_norm"]
    rows = [{"space": title, **found[name]} for name, title in PANELS.items()]
    report.write_csv(out / "results.csv", rows, COLUMNS)
    head = (
        f"{about}: squared norms of {summary['test_samples']:,} new w, against chi-squared of "
        f"{dim} degrees (mean {dim}, std {np.sqrt(2 * dim):.4g}); ks_distance is Kolmogorov and "
        "Smirnov's, 0 for the same distribution."
    )
    files.write_text(out / "table.md", f"# {TITLE}\n\n{head}\n\n{report.markdown(rows, COLUMNS)}")
    cells = [[report.cell(row[name]) for name in COLUMNS] for row in rows]
    drawn = [plot("gaussianisation.png")] if (out / "gaussianisation.png").exists() else []
    page = document(TITLE, [f"<p>{head}</p>", table(COLUMNS, cells), *drawn])
    files.write_text(out / "index.html", page)


def show(out: Path, summary: dict, norms: dict[str, jax.Array], dim: int) -> None:
    """Prints what was found and draws out/gaussianisation.png."""
    print_summary(summary)
    if find_spec("matplotlib"):
        draw_figure(out / "gaussianisation.png", norms, dim)
    else:
        print("gaussianisation.png is left out: it needs matplotlib (pip install '.[plots]')")


def print_summary(summary: dict) -> None:
    nats, gaussian = summary["nats_per_dim"], summary["gaussian_nats_per_dim"]
    print(
        f"{summary['test_samples']:,} new samples, nats a dimension: flow {nats:.4f}, "
        f"full-covariance Gaussian {gaussian:.4f}"
    )
    print(f"squared norm:  {'mean':>10} {'std':>10}  distance from chi-squared")
    for name, row in summary["squared_norm"].items():
        print(f"  {name:<12} {row['mean']:>10.2f} {row['std']:>10.2f}  {row['ks_distance']:.3f}")


def draw_figure(path: Path, norms: dict[str, jax.Array], dim: int) -> None:
    """RLS, Figure 3: histograms of the squared norms, each against the chi-squared density of `dim`
    degrees of freedom; written as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(PANELS), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    spread = np.sqrt(2 * dim)
    for axes, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        values = np.asarray(norms[name])
        low, high = (
            min(np.quantile(values, 0.002), dim - 4 * spread),
            max(np.quantile(values, 0.998), dim + 4 * spread),
        )
        x = np.linspace(max(low, 1e-3), high, 600)
        axes.hist(
            values,
            bins=np.linspace(max(low, 0), high, 90),
            density=True,
            color="tab:blue",
            alpha=0.6,
            label=title,
        )
        axes.plot(
            x,
            np.asarray(jax.scipy.stats.chi2.pdf(x, dim)),
            color="black",
            linewidth=1,
            label=f"chi-squared, {dim} degrees",
        )
        axes.set(
            xlabel="squared norm",
            yticks=[],
            title=f"mean {values.mean():.1f}, std {values.std():.1f}",
        )
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110, format="png")
