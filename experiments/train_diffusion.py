"""Trains a diffusion model on your own photos: a folder, a .tar, or a TFDS data set. DDRM and DDNM
restore any photo with it, whatever it lacks, without further training.

    python experiments/train_diffusion.py --data=PHOTOS --out=runs/diffusion
    python experiments/super_resolve.py --method=ddrm --model=runs/diffusion/model --input=photos
    python experiments/train_diffusion.py --smoke  # a few steps on generated pictures

OUT gets checkpoints/, model/ (half precision), samples.png and curve.csv, with distances of samples
from photos in the bundled feature network. A killed run continues with the same command and ends
with the same model. --symmetry=dihedral is for photos that have no up and no left.

The model serves every prior of its size, whatever photos lack; with --domain as the prior's
config.json has it, a bundled one is found without --model. For the bundled prior:

    python experiments/train_diffusion.py --data=PHOTOS --resolution=64 --symmetry=dihedral \\
        --domain="single white blood cells, stained, light microscope"

The default is a small network that sees 2 x 2 pixels as one (--patch), for two CPU cores and an
hour. DDPM's for 256 px: --resolution=256 --width=128 --widths=128,128,256,256,512,512 --blocks=2
--attention=16 --groups=32 --patch=1.
"""

import dataclasses

import numpy as np
from absl import flags as absl_flags

from jaxsr import data, diffusion, flags, images
from jaxsr.nets import unet
from jaxsr.training import diffusion as training
from jaxsr.training import diffusion_loop

DATA = absl_flags.DEFINE_string(
    "data", None, 'Photos: a folder (searched deeply), a .tar, or "tfds:NAME@SPLIT".'
)
OUT = absl_flags.DEFINE_string(
    "out", "runs/diffusion", "Folder for checkpoints, samples.png, curve.csv and the model."
)
NAME = absl_flags.DEFINE_string("name", "mine", "Name of the model.")
DOMAIN = absl_flags.DEFINE_string(
    "domain", "", "What the photos show; a prior of that domain and size finds a bundled model."
)
LICENCE = absl_flags.DEFINE_string("licence", "", "Licence of the photos, for the model's card.")
CREDIT = absl_flags.DEFINE_string(
    "credit", "", "Whom to credit for the photos, for the model's card."
)
SMOKE = absl_flags.DEFINE_bool(
    "smoke", False, "A few steps on generated pictures, to see that everything runs."
)
SMALL = unet.Config(64, 32, (32, 64, 64), blocks=1, attention=(8,), groups=8, patch=2)
READING = flags.define(images.Reading())
NET = flags.define(SMALL, without=("outputs",))
CONFIG = flags.define(training.Config())
RUN = flags.define(diffusion_loop.Run())


def main() -> None:
    flags.cache_compilations()
    config, run, schedule = CONFIG(), RUN(), diffusion.Schedule()
    if SMOKE.value:
        # Of the side of train_gan.py's.
        net = unet.Config(8, 8, (8, 8), blocks=1, attention=(4,), groups=4, patch=2)
        config = dataclasses.replace(config, batch=4)
        run = dataclasses.replace(
            run, total_images=16, tick_images=8, judged_samples=8, sample_steps=2
        )
        photos = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8)
    elif DATA.value is None:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME"
        )
    else:
        net = NET()
        photos = data.prepare(DATA.value, net.resolution, f"{OUT.value}/cache", READING())
    print(f"{len(photos):,} photos at {net.resolution} px")
    about = {
        "name": NAME.value,
        "domain": DOMAIN.value,
        "licence": LICENCE.value,
        "credit": CREDIT.value,
    }
    model = diffusion.Model(net, schedule)
    folder = diffusion_loop.fit(model, config, run, photos, OUT.value, about=about)
    side = net.resolution
    print(f"model: {folder}, for priors of {side} px: --method=ddrm or ddnm, --model={folder}")


if __name__ == "__main__":
    flags.one_device_a_core(alike=False)
    flags.run(main)
