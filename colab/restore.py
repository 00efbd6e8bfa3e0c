# %% [markdown]
# # Restore your own photo
#
# A low-resolution photo does not say what it showed, but a generative network that has learned one
# kind of photo can say what it could have been. jaxsr searches such a network for a picture that,
# made small again, is your photo.
#
# Three things to know before you believe a result:
# - **What is new in it is a guess**: plausible, never measured. Do not diagnose, identify or prove
#   anything by it.
# - The network knows one kind of photo only. The bundled one draws white blood cells, so it makes a
#   blood cell of everything. Bring your own with [the checkpoint notebook](checkpoint.ipynb) or
#   [the training notebook](train.ipynb).
# - A photo has many answers; [the exploration notebook](explore.ipynb) shows others.

# %% tags=["install"]

# %% [markdown]
# ## 1. The photo
#
# On Colab the next cell asks for a file. Leave it to use one of the prior's own examples. Seconds.

# %%
import numpy as np
from PIL import Image

from jaxsr import images, metrics, plots

MY_PRIOR = ""  # @param {type:"string"}
PHOTO = ""  # @param {type:"string"}

source = MY_PRIOR or PRIOR  # a folder, or the prior that comes with jaxsr
prior, params = jaxsr.load_prior(source)
if COLAB and not PHOTO:
    from google.colab import files

    PHOTO = next(iter(files.upload()), "")
examples = sorted((jaxsr.loading.prior_folder(source) / "examples").glob("*.png"))
if not PHOTO and not examples:
    raise ValueError("this prior has no examples: give PHOTO")


def show(picture, scale=1):
    """A picture in [0, 1], its pixels enlarged."""
    return Image.fromarray(images.to_uint8(picture)).resize(
        [scale * side for side in picture.shape[1::-1]], Image.Resampling.NEAREST
    )


photo, done = images.square(images.read(PHOTO or examples[0]), mode="crop")
print(f"{PHOTO or examples[0].name}: {photo.shape[1]} x {photo.shape[0]} px. {done}")
show(photo, max(1, 256 // len(photo)))

# %% [markdown]
# ## 2. How small is it?
#
# The prior's pictures are two, four, eight, ... times as large as the small photo. A photo of at
# least the prior's size is made small first, and the result compared with it; one in between is
# reduced to the next size that fits.

# %%
side = prior.info.resolution
reference = images.resize_area(photo, side) if len(photo) >= side else None
if reference is None:
    y = images.resize_area(
        photo,
        max(size for size in range(1, side // 2 + 1) if side % size == 0 and size <= len(photo)),
    )
    factor = side // len(y)
else:
    factor = FACTOR
operator = jaxsr.operators.downsample(factor, image_shape=(side, side, 3))
if reference is not None:
    y = np.asarray(jaxsr.degradations.quantise(operator(reference)))
print(f"{len(y)} -> {side} px, {factor} x, on {jax.devices()[0].device_kind}")

# %% [markdown]
# ## 3. The method
#
# `auto` takes a trained network where one comes with jaxsr for the prior and the enlargement, else
# the search that restores best. `laren` is such a network: it restores in one pass, and has one
# answer; the one that comes with jaxsr enlarges 8 x with the bundled prior. `pulse` searches the
# latent space on a sphere, `rls` keeps the latent likely, `rls_plus` also refines the network for
# this photo, `rlse` is guided by the network's own discriminator. On 2 CPU cores a search takes
# about a minute, most of it compiling; a second photo takes seconds. Each answer is then moved to
# explain the photo, as far as the photo's noise lets it be trusted.

# %%
from jaxsr.methods.auto import choose

METHOD = "auto"  # @param ["auto", "pulse", "rls", "rls_plus", "rlse", "laren"]
SOLUTIONS = 1  # @param {type:"integer"}

preset = "paper"
if METHOD == "auto":
    METHOD, preset, why = choose(prior, params, operator, solutions=SOLUTIONS)
    print(f"{METHOD}: {why}")
if "flow" not in params and METHOD in ("rls", "rls_plus"):
    METHOD = "pulse"
    print(
        "this prior has no flow (experiments/train_flow.py), which RLS and RLS+ need: PULSE instead"
    )
if jaxsr.methods.METHODS[METHOD].kind == "learned":
    try:
        params |= jaxsr.learned.load(METHOD, prior, params, operator)
    except ValueError as error:
        METHOD = "pulse"
        print(f"{error}: PULSE instead")
method = jaxsr.methods.METHODS[METHOD]
few = dict.fromkeys(jaxsr.settings.iterates_of(method.Config), 2) if SMOKE else {}
config = method.Config(preset=preset, **few)
solve = method.make(prior, operator, config)
params = params | jaxsr.methods.networks(jaxsr.settings.resolve(config, operator))
if method.kind == "learned":
    SOLUTIONS = 1
file = PHOTO or examples[0]
compression = images.compression_noise(file, len(y)) if reference is None else 0.0
ys, noise = np.stack([y] * SOLUTIONS), images.noise_of(y, compression)
results = jaxsr.restore(solve, params, ys, seed=range(SOLUTIONS))
results = jaxsr.methods.project(solve, results, ys, [noise] * SOLUTIONS)
for residual, feasible in zip(results.residual, results.feasible, strict=True):
    told = "explains" if feasible else "does NOT explain"
    print(f"made small again it differs by {residual:.2g} (mean square): {told} the photo")

# %% [markdown]
# ## 4. Compare

# %%
bicubic = jax.image.resize(y, (side, side, 3), "bicubic")
cells = {
    "photo": y,
    "bicubic": np.clip(bicubic, 0, 1),
    **{f"{METHOD}, answer {i + 1}": x for i, x in enumerate(results.image)},
}
if reference is not None:
    made = {name: x for name, x in cells.items() if len(x) == side}
    print(
        {
            name: f"{float(metrics.psnr(np.clip(x, 0, 1), reference)):.2f} dB"
            for name, x in made.items()
        }
    )
    cells["the photo before"] = reference
picture = plots.grid(
    [list(cells.values())],
    columns=list(cells),
    captions=["a detail that the photo lacks is a guess"],
    cell=192,
)
show(picture)

# %% [markdown]
# ## 5. Download

# %%
for i, restored in enumerate(results.image):
    images.write(f"restored_{i + 1}.png", restored)
images.write("comparison.png", picture)
if COLAB:
    from google.colab import files

    for name in ("comparison.png", *(f"restored_{i + 1}.png" for i in range(SOLUTIONS))):
        files.download(name)
print(sorted(str(path) for path in Path().glob("restored_*.png")))
