# %% [markdown]
# # All the other solutions
#
# A restored photo is one guess. What else could the small photo have shown? e-GLASS (Montanaro et
# al., ICASSP 2023) takes one solution and finds the directions of the latent space that change the
# picture but not the measurement, then walks along them as far as the measurement allows. Where the
# solutions differ, the photo says nothing; where they agree, it does.

# %% tags=["install"]

# %% [markdown]
# ## 1. A photo and a first solution
#
# Half a minute on 2 CPU cores. The photo is one that the prior itself drew, made 8 times smaller;
# give `PHOTO` for your own (square, of an eighth of the prior's side).

# %%
import ipywidgets
import numpy as np
from IPython.display import display
from PIL import Image

from jaxsr import explore, images, metrics, plots
from jaxsr.methods import auto, setups
from jaxsr.search import restore_tuned

PHOTO = ""  # @param {type:"string"}
prior, params = jaxsr.load_prior(PRIOR)
side = prior.info.resolution
operator = jaxsr.operators.downsample(FACTOR, image_shape=(side, side, 3))
drawn = np.clip(prior.decode(params, prior.sample(jax.random.key(5), params)), 0, 1)
y = images.read(PHOTO) if PHOTO else np.asarray(jaxsr.degradations.quantise(operator(drawn)))

first = auto.soonest(prior, params, operator)
setup = setups.Setup(first.method, first.preset, smoke=SMOKE)
solve, params = setups.make_solve(prior, params, operator, setup)
result, tuned = restore_tuned(solve, params, y)
print(f"residual of the first solution: {result.residual:.2g}, by {first.method}: {first.why}")


def show(picture, scale=1):
    """A picture in [0, 1], its pixels enlarged."""
    return Image.fromarray(images.to_uint8(picture)).resize(
        [scale * s for s in picture.shape[1::-1]], Image.Resampling.NEAREST
    )


# %% [markdown]
# ## 2. Directions that the measurement does not see
#
# Two metrics of the latent space at the solution: how fast the measurement changes, and how fast
# the picture does. Half a minute.

# %%
small = (
    {"num_solutions": 2, "most_directions": 2, "steps": 3, "bisections": 2, "chunk": 4}
    if SMOKE
    else {"num_solutions": 10}
)
small |= {"perceptual": "discriminator"} if SMOKE else {}
space = "w" if "w_plus" in result.latent else "z"
told = explore.problem(prior, operator, explore.Config(space=space, **small))
tuned = tuned | metrics.load_embedding(told.network)
start = explore.start(prior, told.config.space, tuned, result.latent)
found = explore.explore(told, tuned, start, y, force=SMOKE)
print(f"{len(found.solutions)} solutions of {found.tried} walks")
print(f"the picture's change is measured by {found.perceptual}")

# %% [markdown]
# ## 3. Look at them

# %%
cells = [found.start_image, *(solution.image for solution in found.solutions)]
captions = ["the first", *(f"residual {solution.residual:.2g}" for solution in found.solutions)]
rows = [[y, cell] for cell in cells]
show(plots.grid(rows, columns=["photo", "a solution"], captions=captions, cell=128))

# %% [markdown]
# Where they differ: the standard deviation of every pixel over all solutions, white where it is
# largest.

# %%
deviation = np.std(np.clip(cells, 0, 1), 0).mean(-1)
print(f"largest standard deviation: {deviation.max():.3f}")
show(np.repeat((deviation / max(deviation.max(), 1e-12))[..., None], 3, 2), 4)

# %% [markdown]
# ## 4. Slide along a direction
#
# From the first solution to the end of each walk; everything on the way explains the photo too. The
# slider needs a running kernel.

# %%
walks = [explore.frames(told, tuned, start, solution.path) for solution in found.solutions]
if walks:
    direction = ipywidgets.IntSlider(0, 0, len(walks) - 1, description="direction")
    place = ipywidgets.FloatSlider(1.0, min=0.0, max=1.0, step=0.05, description="how far")
    out = ipywidgets.Output()

    def update(_=None):
        frames = walks[direction.value]
        out.clear_output(wait=True)
        with out:
            display(show(np.clip(frames[round(place.value * (len(frames) - 1))], 0, 1), 4))

    for slider in (direction, place):
        slider.observe(update, "value")
    update()
    display(ipywidgets.VBox([direction, place, out]))
