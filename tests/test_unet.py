"""nets/unet: sizes of the published networks, and the function in slow NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_unet
from diffusers import CONFIGS, fresh

from jaxsr.nets import unet

ADM = {"family": "adm", "head_width": 64, "outputs": 6}
COUNTS = {
    "DDPM, CelebA-HQ 256": (unet.Config(256), 113_673_219),
    "ADM, ImageNet 256": (
        unet.Config(256, 256, (256, 256, 512, 512, 1024, 1024), attention=(32, 16, 8), **ADM),
        552_814_086,
    ),
    "ADM, FFHQ 256": (unet.Config(256, blocks=1, **ADM), 93_563_910),
    "small": (
        unet.Config(64, 32, (32, 64, 64), blocks=1, attention=(8,), groups=8, patch=2),
        1_119_148,
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_as_many_parameters_as_the_published_network(name):
    """A layer is missing, or of another width: no official file would fit."""
    config, count = COUNTS[name]
    tree = jax.eval_shape(lambda: unet.init(jax.random.key(0), config))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) == count


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("step", [0, 137])
def test_prediction_is_the_papers(name, step):
    """A wave, a padding, the order of a block's layers or of its maps is another one."""
    config, rng = CONFIGS[name], np.random.default_rng(1)
    image = rng.normal(size=(8, 8, 3)).astype(np.float32)
    params = fresh(config)
    found = jax.jit(unet.predicted, static_argnums=0)(config, params, image, np.int32(step))
    exact = jax.tree.map(np.float64, params)
    np.testing.assert_allclose(
        found, reference_unet.predicted(config, exact, np.float64(image), step), atol=2e-5
    )


def test_many_images_in_one_pass():
    """Photos under vmap take statistics of each other, or the step of another."""
    config, rng = CONFIGS["adm"], np.random.default_rng(1)
    images, steps = rng.normal(size=(3, 8, 8, 3)).astype(np.float32), np.array([0, 5, 90])
    predict = jax.jit(lambda image, step: unet.predicted(config, fresh(config), image, step))
    alone = [predict(image, step) for image, step in zip(images, steps, strict=True)]
    np.testing.assert_allclose(jax.vmap(predict)(images, steps), np.stack(alone), atol=1e-5)


def test_begins_at_no_prediction():
    """What residuals add begins at 0 in both papers: a fresh network says 0 whatever it sees, and
    its loss begins at 1."""
    config = CONFIGS["ddpm"]

    @jax.jit
    def both(key):
        params = unet.init(key, config)
        image = jax.random.normal(key, (8, 8, 3))
        return params, unet.predicted(config, params, image, jnp.int32(3))

    params, prediction = both(jax.random.key(0))
    assert not np.any(prediction)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    assert np.any(params["down"][0]["blocks"][0]["conv1"]["kernel"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"resolution": 20}, "resolution must be a multiple of 32"),
        ({"attention": (10,)}, "attention must be among the levels' sides"),
        (
            {"widths": (100, 128), "attention": ()},
            "expected channels that 32 groups divide, got 100",
        ),
        ({"heads": 3}, "expected channels that are heads of one width, got 512 of 3 heads"),
        ({"head_width": 48}, "heads of one width, got 512 of 48"),
        ({"family": "sd"}, "family must be one of ddpm, adm, got 'sd'"),
        ({"outputs": 4}, "outputs must be 3 or 6, got 4"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"width": 5}, "an even width of at least 4"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changed, words):
    """A network of impossible sizes ends deep inside a reshape."""
    with pytest.raises(ValueError, match=words) as caught:
        unet.Config(**{"resolution": 256, **changed})
    assert "\n" not in str(caught.value)
