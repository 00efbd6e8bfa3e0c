"""Makes a trained prior ready to ship: float16 arrays, example inputs that the prior itself drew, a
picture of samples.

    python experiments/bundle.py --prior=runs/pbc64/prior --data=val.tar --out=jaxsr/assets/pbc64

OUT gets config.json and params/ (what `jaxsr.load_prior` reads), examples/*.png (low-resolution
renderings of samples whose seeds no training used) and samples.png. The card is written by hand
beside them; with --data also spectrum.md, lines for it on what the noise inputs do. --smoke bundles
a toy prior.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags as absl_flags
from evaluation import spectra

from jaxsr import data, flags, images, loading, operators, plots, priors, weights
from jaxsr.loading import toy_prior
from jaxsr.records import files

PRIOR = absl_flags.DEFINE_string("prior", None, "The prior: a folder.")
DATA = absl_flags.DEFINE_string(
    "data",
    None,
    "Photos that the prior was not trained on, for spectrum.md. Default: none is written.",
)
OUT = absl_flags.DEFINE_string("out", "runs/bundle", "Folder for the bundled prior.")
EXAMPLES = absl_flags.DEFINE_integer("examples", 8, "How many example inputs.")
FACTOR = absl_flags.DEFINE_integer("factor", 8, "How much smaller the examples are.")
SEED = absl_flags.DEFINE_integer("seed", 2026, "Seed of the samples that become examples.")
SMOKE = absl_flags.DEFINE_bool("smoke", False, "A toy prior, to see that everything runs.")
MOST = 1000  # photos whose spectrum is compared


def main() -> int:
    out = Path(OUT.value)
    source = toy_prior(out.with_name(out.name + "_toy")) if SMOKE.value else PRIOR.value
    if source is None:
        raise ValueError("--prior is missing: expected the folder of a prior")
    prior, params = loading.load_prior(source)
    photos = read_photos(DATA.value, prior) if DATA.value else None
    half = jax.tree.map(lambda x: x.astype(jnp.float16), params)
    if not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(half)):
        raise ValueError(f"{source}: expected weights that fit float16, got some above 65,504")
    weights.save(out, half, weights.read_config(loading.prior_folder(source)))
    params = jax.tree.map(lambda x: x.astype(jnp.float32), half)
    keys = jax.random.split(jax.random.key(SEED.value), max(EXAMPLES.value, 64))
    drawn = np.asarray(
        jax.jit(jax.vmap(lambda key: prior.decode(params, prior.sample(key, params))))(keys)
    )
    operator = operators.downsample(
        FACTOR.value, image_shape=(prior.info.resolution, prior.info.resolution, 3)
    )
    (out / "examples").mkdir(exist_ok=True)
    for i in range(EXAMPLES.value):
        images.write(
            out / "examples" / f"example_{i}.png", np.asarray(operator(jnp.clip(drawn[i], 0, 1)))
        )
    images.write(out / "samples.png", plots.mosaic(drawn[:64], 8))
    (out / "spectrum.md").unlink(missing_ok=True)  # of the weights that were there before
    if photos is not None:
        found = spectra.noise_spectrum(prior, params, photos, len(photos), seed=SEED.value)
        files.write_text(out / "spectrum.md", spectra.markdown(found))
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    print(f"{out}: {size / 1e6:.1f} MB with {EXAMPLES.value} examples")
    return 0


def read_photos(source: str, prior: priors.Prior) -> np.ndarray:
    """Up to MOST photos of `source`, uint8 [n, r, r, 3], chosen by --seed. Raises ValueError where
    the prior cannot be compared."""
    with tempfile.TemporaryDirectory() as cache:  # what lies in OUT is shipped
        found = data.prepare(source, prior.info.resolution, cache)
        chosen = found[np.random.default_rng(SEED.value).permutation(len(found))[:MOST]]
    spectra.check_photos(prior, chosen, 2)
    return chosen


if __name__ == "__main__":
    flags.run(main)
