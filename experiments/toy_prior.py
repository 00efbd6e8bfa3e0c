"""A random prior for --smoke runs, and the sizes of networks bound to it."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from jaxsr import images, learned, priors, weights
from jaxsr.nets import stylegan2

# Of a learned restorer of the toy prior.
TOY_SIZES = learned.Sizes(blocks=1, width=4, growth=2, nodes=4, node_width=2, code_width=4, map_side=4)


def toy_prior(folder: Path) -> Path:
    """A random 8 px StyleGAN2 with its latent statistics and an example of 4 px, written to `folder`."""
    net = stylegan2.Config(resolution=8, z_dim=8, w_dim=8, mapping_layers=2, channels=(4, 4))
    params = stylegan2.init(jax.random.key(0), net)
    prior = stylegan2.stylegan2(net)
    params["statistics"] = priors.latent_statistics(prior, params, jax.random.key(1), num_samples=2_000)
    weights.save(folder, params, {"architecture": "stylegan2", "name": "toy", "net": dataclasses.asdict(net)})
    sample = np.asarray(prior.decode(params, prior.sample(jax.random.key(2), params)))
    (folder / "examples").mkdir(exist_ok=True)
    images.write(folder / "examples" / "sample_4px.png", images.resize_area(np.clip(sample, 0, 1), 4))
    return folder
