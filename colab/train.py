# %% [markdown]
# # Train a prior and LAREN on your own photos
#
# A prior learns what your kind of photo looks like; LAREN learns to restore such a photo in one
# pass. Both go on where they were when the cell is run again. On Colab the machine and its files go
# when the session ends: let `FOLDER` be one of a mounted Drive.
#
# How long? A good prior of 64 px needs a million images, an hour or two on a GPU. The defaults show
# the way on a CPU, and no more.

# %% tags=["install"]

# %% [markdown]
# ## 1. Photos
#
# `PHOTOS` is a folder (searched deeply) or a `.tar`: a thousand photos or more, of one kind.
# Without one, 256 pictures that the bundled prior draws stand in, so that the cells run. Half a
# minute.

# %%
import numpy as np
from PIL import Image

from jaxsr import data, images

PHOTOS = ""  # @param {type:"string"}
FOLDER = "runs"  # @param {type:"string"}
IMAGES = 2000  # @param {type:"integer"}
SIDE = 32  # @param {type:"integer"}

# Of this notebook alone: the trainings, processes of their own, get the accelerator.
jax.config.update("jax_platforms", "cpu")
if SMOKE:
    IMAGES, SIDE = 16, 8
if not PHOTOS:
    prior, params = jaxsr.load_prior(PRIOR)
    latents = jax.vmap(lambda key: prior.sample(key, params))(
        jax.random.split(jax.random.key(0), 16 if SMOKE else 256)
    )
    PHOTOS = "stand_in"
    Path(PHOTOS).mkdir(exist_ok=True)
    for i, picture in enumerate(
        np.asarray(jax.lax.map(lambda z: prior.decode(params, z), latents, batch_size=8))
    ):
        images.write(Path(PHOTOS) / f"{i:04d}.png", np.clip(picture, 0, 1))
RUNS = Path(FOLDER) / f"{Path(PHOTOS).stem}_{SIDE}px_{IMAGES}"
length = (f"--total_images={IMAGES}", f"--tick_images={min(IMAGES // 2, 20_000)}")

# %% [markdown]
# ## 2. A prior
#
# `samples.png` shows what it draws, anew after every tick. The defaults take two to three minutes
# on 2 CPU cores.

# %%
CHANNELS = ",".join(
    ["8", "8"] if SMOKE else ["64", "64", "48", "24", "16", "16"][: SIDE.bit_length() - 2]
)  # at 4, 8, ... pixels
sizes = (
    f"--resolution={SIDE}",
    "--z_dim=64",
    "--w_dim=64",
    "--mapping_layers=4",
    f"--channels={CHANNELS}",
    "--batch=8",
)
frechet = f"--frechet_samples={16 if SMOKE else 256}"
script(
    "experiments/train_gan.py",
    f"--data={PHOTOS}",
    *sizes,
    *length,
    frechet,
    f"--out={RUNS / 'prior'}",
)
Image.open(RUNS / "prior" / "samples.png")

# %% [markdown]
# ## 3. LAREN
#
# It learns to go from the small photo to the codes of the prior, which stays as it is. Eight photos
# are kept to judge it by: above as they are, then what LAREN sees of them, then what it makes. Two
# to three minutes on 2 CPU cores.

# %%
SMALLER = 2 if SMOKE else 4
PRIOR_FLAGS = (f"--prior={RUNS / 'prior' / 'prior'}", f"--factor={SMALLER}")
small = (
    "--blocks=1",
    "--width=16",
    "--growth=8",
    "--capped",
    "--learning_rate=1e-3",  # the default, 1e-4, is for days
)
script(
    "experiments/train_restorer.py",
    f"--data={PHOTOS}",
    "--val_photos=8",
    *PRIOR_FLAGS,
    *small,
    *length,
    f"--out={RUNS / 'laren'}",
)
Image.open(RUNS / "laren" / "samples.png")

# %% [markdown]
# ## 4. Restore
#
# The same eight photos, made small; `--method=pulse` would search instead. After trainings as short
# as these the results are blurs, and none is close enough to its photo to be called feasible.

# %%
(RUNS / "sharp").mkdir(exist_ok=True)
sharp = data.open_photos(PHOTOS)
for i, number in enumerate(np.linspace(0, len(sharp) - 1, 8).round()):  # those that were kept
    images.write(RUNS / "sharp" / f"{i}.png", sharp[int(number)])
model = ("--method=laren", f"--model={RUNS / 'laren' / 'model'}", "--noprogress", "--overwrite")
script(
    "experiments/super_resolve.py",
    f"--reference={RUNS / 'sharp'}",
    *PRIOR_FLAGS,
    *model,
    f"--out={RUNS / 'restored'}",
)
Image.open(RUNS / "restored" / "grid.png")
