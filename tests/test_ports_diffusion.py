"""ports/diffusion: official files of diffusion models become the same arrays in our layout."""

import jax
import numpy as np
import ports_diffusion as official
import ports_files as files
import ports_modules
import pytest

from jaxsr import diffusion, weights
from jaxsr.nets import unet
from ports import formats, torch_files
from ports.convert import convert
from ports.priors import Choice

DDPM = unet.Config(32, 8, (8, 16), blocks=1, attention=(16,))
TWO = unet.Config(32, 8, (8, 16), blocks=2, attention=(16,))
ADM = {"family": "adm", "head_width": 64, "outputs": 6}
SEVERAL = unet.Config(32, 64, (64, 128), blocks=2, attention=(32, 16), **ADM)
ONE = unet.Config(32, 64, (64, 64), blocks=1, attention=(16,), **ADM)
NEW = unet.Config(64, 64, (64, 128, 192, 256), blocks=1, attention=(32, 16, 8), **ADM)
HEADS = unet.Config(
    128,
    32,
    (32, 32, 64, 96, 128),
    blocks=1,
    attention=(32, 16, 8),
    family="adm",
    heads=4,
    outputs=6,
)


def wrapped(arrays):
    return {
        "params": official.state_dict({"conv_in.weight": np.zeros(3, np.float32)}),
        "params_ema": official.state_dict(arrays, "module."),
    }


# name -> config, official arrays by name, what is written, how, schedule
ROWS = {
    "pesser": (DDPM, official.ddpm, official.state_dict, files.zipped, "linear"),
    "pesser, two blocks": (TWO, official.ddpm, official.state_dict, files.legacy, "linear"),
    "wrapped": (DDPM, official.ddpm, wrapped, files.zipped, "linear"),
    "diffusers": (TWO, official.diffusers, official.state_dict, files.zipped, "linear"),
    "diffusers, safetensors": (
        TWO,
        official.diffusers,
        official.state_dict,
        lambda state: ports_modules.safetensors({n: x.array for n, x in state.items()}, "F32"),
        "linear",
    ),
    "diffusers, old": (
        DDPM,
        lambda config, params: official.diffusers(config, params, official.OLD),
        official.state_dict,
        files.zipped,
        "linear",
    ),
    "ADM": (SEVERAL, official.adm, official.state_dict, files.zipped, "linear"),
    "ADM, one level attends": (ONE, official.adm, official.state_dict, files.zipped, "linear"),
    "ADM, four heads": (HEADS, official.adm, official.state_dict, files.zipped, "linear"),
    "ADM, new order": (
        NEW,
        lambda config, params: official.adm(config, params, split_first=True),
        official.state_dict,
        files.zipped,
        "cosine",
    ),
}


def write(tmp_path, arrays, wrap=official.state_dict, how=files.zipped):
    return files.write(tmp_path, [how(wrap(arrays))])[0]


@pytest.mark.parametrize("name", ROWS)
def test_every_array_finds_its_place(name, tmp_path):
    """Two levels, blocks or heads are exchanged, or the folder is none that DDRM takes."""
    config, arrays, wrap, how, schedule = ROWS[name]
    params = official.random(config)
    path = write(tmp_path, arrays(config, params), wrap, how)
    found, record = convert(path)
    jax.tree.map(np.testing.assert_array_equal, found, params)
    weights.save(tmp_path / "model", found, record)
    model = diffusion.read(tmp_path / "model")
    assert model == diffusion.Model(config, diffusion.Schedule(schedule))
    assert record["licence"] and record["source_format"].startswith(("DDPM", "ADM"))


def test_one_port_alone_takes_a_file(tmp_path):
    """The order of PORTS would decide."""
    for arrays in (official.ddpm, official.diffusers):
        path = write(tmp_path, arrays(DDPM, official.random(DDPM)))
        content, _ = torch_files.read(path)
        takers = [name for name, port in formats.PORTS.items() if port.find([content]) is not None]
        assert takers == ["diffusion"]


def test_one_class_of_a_network_of_classes(tmp_path):
    """The class's embedding is left out, or joins another layer."""
    params = official.random(ONE)
    arrays = official.adm(ONE, params, classes=7)
    path = write(tmp_path, arrays)
    found, record = convert(path, choice=Choice(label=3))
    bias = params["time"]["dense1"]["bias"] + arrays["label_emb.weight"][3]
    np.testing.assert_allclose(found["time"]["dense1"]["bias"], bias)
    assert record["label"] == 3
    for choice, words in (
        (Choice(), "expected --label=N from 0 to 6 for a network of classes, got None"),
        (Choice(label=7), "from 0 to 6 for a network of classes, got 7"),
        (Choice(label=1, truncation=0.5), "expected no --truncation for a diffusion model"),
    ):
        with pytest.raises(ValueError, match=words):
            convert(path, choice=choice)


def without(part):
    return lambda arrays: {name: array for name, array in arrays.items() if part not in name}


def with_inputs(name, inputs):
    return lambda arrays: arrays | {name: np.zeros((8, inputs, 3, 3), np.float32)}


# what is wrong -> official arrays, what is done to them, words
REFUSED = {
    "classifier": (official.adm, without("output_blocks"), "got a classifier of noisy images"),
    "upsampler": (official.adm, with_inputs("input_blocks.0.0.weight", 6), "got an upsampler"),
    "latent": (official.diffusers, with_inputs("conv_in.weight", 4), "got one of latents"),
    "text": (
        official.diffusers,
        lambda arrays: arrays | {"mid_block.attentions.0.transformer_blocks.0.x": np.zeros(2)},
        "got one that is told what to draw by text",
    ),
    "improved-diffusion": (
        official.adm,
        lambda arrays: arrays | {"input_blocks.2.0.op.weight": np.zeros(2)},
        "got improved-diffusion's",
    ),
    "damaged": (official.ddpm, without("mid.block_2"), "missing: middle/block1"),
    "no attention": (official.ddpm, without("attn"), "attention, which tells its resolution"),
    "a label for none": (official.ddpm, dict, "expected no --label for a network without classes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_networks_are_named_and_refused(name, tmp_path):
    """A file of the same family is converted to a network that draws rubbish."""
    arrays, change, words = REFUSED[name]
    config = ONE if arrays is official.adm else DDPM
    path = write(tmp_path, change(arrays(config, official.random(config))))
    choice = Choice(label=1) if name == "a label for none" else Choice()
    with pytest.raises(ValueError, match=words) as caught:
        convert(path, choice=choice)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
