"""Trains the normalizing flow that RLS and RLS+ need on a prior's w, adds it to the prior, and
shows how well it Gaussianises w.

    # settings of the paper; --hidden=512 is faster
    python experiments/train_flow.py --prior=runs/mine/prior --out=runs/flow
    python experiments/train_flow.py --smoke  # a toy prior, in seconds

OUT gets checkpoints/, flow.json (log-likelihood of new samples in nats a dimension, beside that of
a normal distribution with full covariance; mean, spread and Kolmogorov-Smirnov distance of |F(w)|^2
from chi-squared) and gaussianisation.png (RLS, Figure 3; needs matplotlib). The flow goes into the
prior's own folder, or into --to. A killed run continues with the same command and ends with the
same flow. That of pbc64 took 4 minutes on 2 CPU cores with --hidden=512 --batch_size=500
--learning_rate=0.001 --num_train=300000 --max_epochs=4: samples cost little, and a flow overfits
few of them.
"""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import flags as absl_flags
from evaluation import gaussianisation
from tqdm import tqdm

from jaxsr import flags, loading, priors, weights
from jaxsr.loading import toy_prior
from jaxsr.records import files
from jaxsr.training import flow
from jaxsr.types import Params

PRIOR = absl_flags.DEFINE_string("prior", None, "The prior: a folder, or a bundled name.")
TO = absl_flags.DEFINE_string(
    "to",
    None,
    "Prior folder that gets the flow. Default: that of --prior, or OUT/prior for a bundled name.",
)
OUT = absl_flags.DEFINE_string(
    "out",
    None,
    "Folder for checkpoints, flow.json and gaussianisation.png. Default: runs/flow, "
    "runs/flow_smoke.",
)
SEED = absl_flags.DEFINE_integer("seed", 0, "Seed of the samples, the start and the order.")
SMOKE = absl_flags.DEFINE_bool(
    "smoke", False, "A toy prior and a few steps, to see that everything runs."
)
CONFIG = flags.define(flow.Config())


def main() -> None:
    flags.cache_compilations()
    config, out = CONFIG(), Path(OUT.value or ("runs/flow_smoke" if SMOKE.value else "runs/flow"))
    out.mkdir(parents=True, exist_ok=True)
    source = PRIOR.value
    if SMOKE.value:
        config = dataclasses.replace(
            config, hidden=16, num_blocks=2, num_train=400, num_valid=100, max_epochs=2
        )
        source = toy_prior(out / "prior")
    elif source is None:
        raise ValueError("--prior is missing: expected the folder of a prior, or a bundled name")
    prior, params = loading.load_prior(source)
    priors.require_w("a flow of w", prior)
    to = Path(TO.value or (source if str(source) not in loading.bundled() else out / "prior"))
    with files.only_here(out):
        make_flow(source, to, out, prior, params, config)


def make_flow(
    source: str | Path,
    to: Path,
    out: Path,
    prior: priors.Prior,
    params: Params,
    config: flow.Config,
) -> None:
    """Trains the flow, stores it in `to`, and writes what shows how good it is to `out`."""
    key = jax.random.key(SEED.value)
    print(
        f"{prior.info.name}: w of {prior.info.w_dim} dimensions, {config.num_train:,} samples "
        f"to train on, checkpoints in {out}/checkpoints"
    )
    trained = train(prior, params, key, config, out / "checkpoints")
    stored = add_flow(loading.prior_folder(source), to, params, trained)
    drawn = flow.samples(prior, params, key, config)
    norms = flow.squared_norms(params["statistics"], stored, drawn.test)
    summary = flow.assess(stored, drawn, norms)
    record = {
        "prior": prior.info.name,
        "seed": SEED.value,
        "config": dataclasses.asdict(config),
        **summary,
    }
    files.write_text(out / "flow.json", json.dumps(record, indent=2) + "\n")
    gaussianisation.show(out, summary, norms, prior.info.w_dim)
    print(f"the flow is in {to}; flow.json in {out}")


def train(
    prior: priors.Prior, params: Params, key: jax.Array, config: flow.Config, folder: Path
) -> Params:
    """`flow.fit` with a progress bar over epochs that shows nats a dimension; early stopping may
    end it before it is full."""
    with tqdm(total=config.max_epochs, unit="epoch", desc="flow") as bar:

        def show(epoch: int, metrics: dict[str, float]) -> None:
            bar.update(epoch - bar.n)
            bar.set_postfix({name: f"{value:.4f}" for name, value in metrics.items()})

        return flow.fit(prior, params, key, config, folder=folder, report=show)


def add_flow(source: Path, to: Path, params: Params, trained: Params) -> Params:
    """Writes the prior with the flow to `to` and returns the flow as it is stored.

    A prior whose arrays were stored in half precision stays so, flow included.
    """
    floats = [leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    half = all(bool((leaf == leaf.astype(jnp.float16)).all()) for leaf in floats)
    dtype = jnp.float16 if half else jnp.float32
    whole = jax.tree.map(
        lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x,
        {**params, "flow": trained},
    )
    weights.save(to, whole, weights.read_config(source))
    return jax.tree.map(lambda x: x.astype(jnp.float32), whole["flow"])


if __name__ == "__main__":
    flags.run(main)
