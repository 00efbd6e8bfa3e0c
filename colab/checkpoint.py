# %% [markdown]
# # Bring your own StyleGAN2 checkpoint
#
# Any official checkpoint becomes a prior: StyleGAN2-ADA-PyTorch, StyleGAN2 in TensorFlow or
# rosinality's port, StyleGAN1, PGGAN, BigGAN. The file is read, never executed: the reader knows
# the few names that these formats need and refuses every other.
#
# Look at the checkpoint's licence: NVIDIA's are for non-commercial use.

# %% tags=["install"]

# %% [markdown]
# ## 1. Convert
#
# Seconds to a minute, by size. `CHECKPOINT` is a file, such as one that `python ports/fetch.py
# stylegan2-ffhq-config-f` fetched; a network in two files, or one class of a conditional one, are
# for `python ports/convert.py` itself. Without one the bundled prior is written as a
# StyleGAN2-ADA-PyTorch file first.

# %%
CHECKPOINT = ""  # @param {type:"string"}
import numpy as np

if not CHECKPOINT:
    sys.path.append(str(ROOT / "tests"))
    import ports_stylegan2

    _, bundled = jaxsr.load_prior(PRIOR)
    blocks = sorted(bundled["synthesis"], key=lambda name: int(name[1:]))
    ordered = jax.tree.map(np.asarray, bundled) | {
        "synthesis": {name: jax.tree.map(np.asarray, bundled["synthesis"][name]) for name in blocks}
    }
    CHECKPOINT = "as_if_official.pkl"
    Path(CHECKPOINT).write_bytes(ports_stylegan2.ada(ordered))
script("ports/convert.py", f"--source={CHECKPOINT}", "--out=my_prior")

# %% [markdown]
# ## 2. What it draws
#
# Half a minute, most of it compiling.

# %%
from PIL import Image

from jaxsr import images, plots

prior, params = jaxsr.load_prior("my_prior")
latents = jax.vmap(lambda key: prior.sample(key, params))(jax.random.split(jax.random.key(0), 16))
drawn = np.clip(jax.lax.map(lambda z: prior.decode(params, z), latents), 0, 1)
print(prior.info)
Image.fromarray(images.to_uint8(plots.mosaic(drawn, 8)))

# %% [markdown]
# ## 3. Restore with it
#
# One of these pictures, made 8 times smaller, is searched for. A minute on 2 CPU cores at 64 px; at
# 1,024 px use a GPU.

# %%
side = prior.info.resolution
operator = jaxsr.operators.downsample(FACTOR, image_shape=(side, side, 3))
y = np.asarray(jaxsr.degradations.quantise(operator(drawn[3])))
name = "pulse" if prior.map else "iagan"  # PGGAN and BigGAN have no w space
method = jaxsr.methods.METHODS[name]
few = dict.fromkeys(jaxsr.settings.iterates_of(method.Config), 2) if SMOKE else {}
solve = method.make(prior, operator, method.Config(**few))
result = jaxsr.restore(solve, params, y[None])
cells = {
    "small": y,
    "bicubic": np.clip(jax.image.resize(y, drawn[3].shape, "bicubic"), 0, 1),
    name: result.image[0],
    "before": drawn[3],
}
picture = plots.grid(
    [list(cells.values())],
    columns=list(cells),
    captions=[f"residual {result.residual[0]:.2g}"],
    cell=192,
)
Image.fromarray(images.to_uint8(picture))

# %% [markdown]
# `my_prior` is a folder: give it as `--prior=my_prior` to every experiment. RLS and RLS+ need a
# flow besides: `python experiments/train_flow.py --prior=my_prior`.
