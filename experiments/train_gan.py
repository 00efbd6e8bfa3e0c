"""Trains a StyleGAN2 prior on your own photos: a folder, a .tar, or a TFDS data set.

    python experiments/train_gan.py --data=PHOTOS --resolution=64 --out=runs/mine
    # what RLS needs; then every experiment takes --prior=runs/mine/prior
    python experiments/train_flow.py --prior=runs/mine/prior
    python experiments/train_gan.py --smoke  # a few steps on generated pictures

On 2 CPU cores a 64 px prior with --channels=128,128,96,64,32 sees 31 images a second, and needs
150,000 or more. A killed run continues with the same command. --symmetry=dihedral is for photos
that have no up and no left. --warm=PRIOR starts from another prior: of half the resolution, or of
fewer channels, whose pictures the wider network then draws from its first step on.

A young generator takes its texture from the noise inputs, the cheapest way to the right spectrum,
and then no search in w can draw it. `--noise_bound=0` holds them at zero so that w must; a later
run with `--warm` may let noise in again, in the finest layers alone (`--noise_layers=2`), but
within narrow bounds: with 0.01 it drove w's texture out within 12,000 images. A discriminator
overlooks what is weak, and the finest detail of a photo is: `--emphasis=4` amplifies it before the
discriminator sees it (with `--r1_gamma=0.1`, and in every later run with `--warm` too). Texture
that 32,000 images had not brought was there, all but the very finest, 16,000 images later.
"""

import dataclasses
from typing import cast

import numpy as np
from absl import flags as absl_flags

from jaxsr import data, flags, images, loading, weights
from jaxsr.nets import stylegan2
from jaxsr.training import gan, gan_loop
from jaxsr.types import Params

DATA = absl_flags.DEFINE_string(
    "data", None, 'Photos: a folder (searched deeply), a .tar, or "tfds:NAME@SPLIT".'
)
OUT = absl_flags.DEFINE_string(
    "out", "runs/gan", "Folder for checkpoints, samples.png, curve.csv and the prior."
)
WARM = absl_flags.DEFINE_string(
    "warm",
    None,
    "A prior (folder or bundled name) to start from: its blocks, widened where they have "
    "fewer channels.",
)
NAME = absl_flags.DEFINE_string("name", "mine", "Name of the prior.")
DOMAIN = absl_flags.DEFINE_string("domain", "", "What the photos show, for the prior's card.")
LICENCE = absl_flags.DEFINE_string("licence", "", "Licence of the photos, for the prior's card.")
CREDIT = absl_flags.DEFINE_string(
    "credit", "", "Whom to credit for the photos, for the prior's card."
)
PRECISION = absl_flags.DEFINE_enum(
    "precision",
    "float32",
    list(flags.PRECISIONS),
    "What convolutions compute in on an accelerator, the faster the coarser.",
)
SMOKE = absl_flags.DEFINE_bool(
    "smoke", False, "A few steps on generated pictures, to see that everything runs."
)
SMALL = stylegan2.Config(
    resolution=64, z_dim=128, w_dim=128, mapping_layers=4, channel_base=4096, channel_max=256
)
READING = flags.define(images.Reading())
NET = flags.define(SMALL, without=("dtype",))
CONFIG = flags.define(gan.Config())
RUN = flags.define(gan_loop.Run())


def main() -> None:
    flags.cache_compilations()
    net, config, run = NET(), CONFIG(), RUN()
    net = dataclasses.replace(
        net, dtype=flags.compute_in(cast(flags.Precision, PRECISION.value)) or "float32"
    )
    if SMOKE.value:
        net = dataclasses.replace(net, resolution=8, channels=(8, 8))
        config = dataclasses.replace(config, batch=4)
        run = dataclasses.replace(run, total_images=16, tick_images=8, frechet_samples=8)
        photos = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8)
    elif DATA.value is None:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME"
        )
    else:
        photos = data.prepare(DATA.value, net.resolution, f"{OUT.value}/cache", READING())
    warm, seen = _warm(WARM.value, net) if WARM.value else (None, 0)
    print(f"{len(photos):,} photos at {net.resolution} px")
    about = {
        "name": NAME.value,
        "domain": DOMAIN.value,
        "licence": LICENCE.value,
        "credit": CREDIT.value,
        "images": seen,
    }
    prior = gan_loop.fit(net, config, run, photos, OUT.value, about=about, warm=warm)
    print(f"prior: {prior}")


def _warm(source: str, net: stylegan2.Config) -> tuple[Params, int]:
    """The params to start from, and the images that they were trained on, as far as it is known."""
    config = weights.read_config(loading.prior_folder(source))
    if config.get("architecture") != "stylegan2":
        raise ValueError(
            f"--warm={source}: expected a stylegan2 prior to start from, got "
            f"{config.get('architecture')}"
        )
    images = config.get("images", 0)
    if not isinstance(images, int) or images < 0:
        raise ValueError(
            f'--warm={source}: expected a number of "images" in its config.json, got {images!r}'
        )
    emphasis = config["net"].get("emphasis", 0.0)
    if emphasis != net.emphasis:
        print(
            f"--warm={source}: its discriminator saw --emphasis={emphasis}, this one sees "
            f"{net.emphasis} and has to learn anew"
        )
    return loading.load_prior(source)[1], images


if __name__ == "__main__":
    flags.one_device_a_core(alike=False)
    flags.run(main)
