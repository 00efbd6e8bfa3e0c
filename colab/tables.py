# %% [markdown]
# # The papers' tables
#
# Every table of RLS, RLSE and LAREN is one command, on your prior and your photos, with 95 %
# intervals and paired differences, the printed numbers beside it. They were measured on other data
# and weights: compare orders, not numbers.

# %% tags=["install"]

# %% [markdown]
# ## 1. Photos
#
# A folder or a `.tar`. Without one, pictures that the bundled prior draws stand in: easier than
# real photos, since the prior can draw each of them.

# %%
import numpy as np
from IPython.display import Markdown, display
from PIL import Image

from jaxsr import images

PHOTOS = ""  # @param {type:"string"}
NUM_PHOTOS = 4  # @param {type:"integer"}
# A wrong name is answered with the list of all.
SUITE = "rls_table5"  # @param {type:"string"}

# Of this notebook alone: the experiment, a process of its own, gets the accelerator.
jax.config.update("jax_platforms", "cpu")
if not PHOTOS:
    prior, params = jaxsr.load_prior(PRIOR)
    PHOTOS = f"stand_in_{NUM_PHOTOS}"
    Path(PHOTOS).mkdir(exist_ok=True)
    for i, key in enumerate(jax.random.split(jax.random.key(0), NUM_PHOTOS)):
        images.write(
            Path(PHOTOS) / f"{i:04d}.png",
            np.clip(prior.decode(params, prior.sample(key, params)), 0, 1),
        )
OUT = Path("tables") / f"{SUITE}_{Path(PHOTOS).stem}_{NUM_PHOTOS}"

# %% [markdown]
# ## 2. The table
#
# RLS Table 5 on 4 pictures takes about two minutes on 2 CPU cores, most of it compiling; a table to
# quote has 200 photos. Run the cell again after a break: what is done is kept.

# %%
what = (
    ["--methods=bicubic,pulse", f"--factors={FACTOR}", "--smoke"]
    if SMOKE
    else [f"--suite={SUITE}", f"--num_photos={NUM_PHOTOS}"]
)
script(
    "experiments/evaluate.py",
    f"--data={PHOTOS}",
    f"--prior={PRIOR}",
    f"--out={OUT}",
    *what,
    quiet=True,
)
Markdown((OUT / "table.md").read_text())

# %% [markdown]
# ## 3. The pictures behind it

# %%
for path in sorted(OUT.glob("*.png")):
    display(Image.open(path))
