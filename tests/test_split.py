"""Generators that can be cut between two resolutions, and StyleGAN2's clamp."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from jaxsr.nets import pggan, stylegan1, stylegan2

SIZES = {"resolution": 16, "channels": (8, 6, 4), "z_dim": 5}
NETS = {
    "stylegan1": (
        stylegan1.stylegan1,
        stylegan1.init,
        stylegan1.Config(**SIZES, w_dim=5, mapping_layers=2),
    ),
    "stylegan2": (
        stylegan2.stylegan2,
        stylegan2.init,
        stylegan2.Config(**SIZES, w_dim=5, mapping_layers=2),
    ),
    "pggan": (pggan.pggan, pggan.init, pggan.Config(**SIZES)),
}


@functools.cache
def made(name):
    """A generator, its params, a z and its image."""
    make, init, config = NETS[name]
    prior, params = make(config), jax.jit(init, static_argnums=1)(jax.random.key(0), config)
    z = prior.sample(jax.random.key(1), params)
    return prior, params, z, jax.jit(prior.decode)(params, z)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("name", NETS)
def test_the_two_parts_of_a_cut_generator_are_the_generator(name, blocks):
    """Style inputs, noise or the RGB so far are lost at the cut."""
    prior, params, z, image = made(name)
    head, tail = prior.split(blocks)
    cut = jax.jit(head)(params, z)
    assert cut["x"].shape[:2] == (2 << blocks, 2 << blocks)
    np.testing.assert_allclose(jax.jit(tail)(params, cut), image, atol=2e-5)


def test_stylegan2_clamps_as_networks_of_half_precision():
    """An activation beyond the clamp passes, or the clamp changes what lies within."""
    free, params, z, image = made("stylegan2")
    images = jax.random.normal(jax.random.key(2), (2, 16, 16, 3))
    wide, narrow = (
        stylegan2.stylegan2(dataclasses.replace(NETS["stylegan2"][2], clamp=clamp))
        for clamp in (1e3, 0.5)
    )
    np.testing.assert_allclose(jax.jit(wide.decode)(params, z), image, atol=1e-6)
    clamped = jax.jit(narrow.decode)(params, z)
    assert np.abs(2 * clamped - 1).max() <= 0.5 * 3 + 1e-6 and not np.allclose(image, clamped)
    seen = [jax.jit(prior.discriminate)(params, images)[1][0] for prior in (narrow, free)]
    assert not np.allclose(*seen)
