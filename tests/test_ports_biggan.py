"""BigGAN's files: spectral normalisation, the choice of a class, and what is refused."""

import json

import commands
import jax
import numpy as np
import ports_biggan as writers
import ports_files as files
import pytest

from jaxsr import load_prior, loading, weights
from ports import formats, spectral
from ports.convert import convert
from ports.priors import Choice

SPECTRAL_SHAPES = [(1, 5), (3, 4), (4, 3), (6, 1, 1, 1), (6, 2, 1, 1), (8, 4, 3, 3)]


@pytest.mark.parametrize("shape", SPECTRAL_SHAPES)
@pytest.mark.parametrize("kept", ["u0", "u and v"])
def test_converged_vectors_make_the_largest_singular_value_one(shape, kept):
    """Breaks when a kernel is flattened along another axis, or divided by another value than the
    largest."""
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, values, right = np.linalg.svd(kernel.reshape(len(kernel), -1))
    u0 = {"a.weight": kernel, "a.u0": left[None, :, 0], "a.sv0": values[:1], "a.bias": kernel[0]}
    both = {
        "a.weight_orig": kernel,
        "a.weight_u": left[:, 0],
        "a.weight_v": right[0],
        "a.bias": kernel[0],
    }
    result = spectral.normalised(
        {name: spectral.NDArray(array) for name, array in (u0 if kept == "u0" else both).items()}
    )
    assert sorted(result) == ["a.bias", "a.weight"]
    normalised = spectral.as_array(result["a.weight"])
    assert np.linalg.svd(normalised.reshape(len(kernel), -1))[1][0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(normalised, kernel / values[0], atol=1e-6)


@pytest.mark.parametrize("name", ["32 px, cross replica", "deep 8 px"])
def test_torchs_two_formats_hold_the_same(name, tmp_path):
    once, again = (
        convert(*files.write(tmp_path, writers.packed(writers.states(name), [form])))[0]
        for form in (files.zipped, files.legacy)
    )
    jax.tree.map(np.testing.assert_array_equal, once, again)


def test_command_takes_label_and_truncation(tmp_path):
    """Generator and discriminator in two files, a class of many: as a user types it."""
    contents = writers.packed(writers.states("32 px, cross replica"))
    sources = [f"--source={path}" for path in files.write(tmp_path, contents)]
    out = tmp_path / "out"
    done = commands.call("convert.py", *sources, f"--out={out}", "--label=0", "--truncation=0.5")
    assert done.status == 0, done.stderr
    config = json.loads((out / "config.json").read_text())
    assert (config["architecture"], config["name"], config["source"]) == (
        "biggan",
        "out",
        "0.bin, 1.bin",
    )
    assert config["source_format"] == "BigGAN-PyTorch, torch zip, torch legacy"
    assert (config["net"]["label"], config["net"]["truncation"]) == (0, 0.5)


def changed(name, change, part=0):
    """The files' contents with one network's state dict changed."""
    contents = [dict(state) for state in writers.states(name)]
    change(contents[part])
    return contents


G32, G64, DEEP8 = "32 px, cross replica", "64 px, mybn", "deep 8 px"
UNKNOWN = f"expected a checkpoint of {', '.join(formats.PORTS)}; got "
REFUSED = {
    "other classes below": (
        lambda: [
            writers.states(G32)[0],
            writers.discriminator(writers.SHALLOW[G32]._replace(classes=9)),
        ],
        r"\[9, 8\] instead of \[7",
    ),
    "a smaller image's discriminator": (
        lambda: [writers.states("128 px")[0], writers.states(G64)[1]],
        "a discriminator of 6 blocks .* got 5$",
    ),
    "a larger image's discriminator": (
        lambda: [writers.states(G32)[0], writers.states(G64)[1]],
        "a discriminator of 4 blocks .* 32 px need, got 5$",
    ),
    "a thin discriminator": (
        lambda: changed(G64, writers.thin, 1),
        r"discriminator/block1/conv2/bias \[5\] instead of \[8\]",
    ),
    "discriminator alone": (
        lambda: writers.states(G32)[1:],
        UNKNOWN + "a dict with .* names: blocks",
    ),
    "two discriminators": (lambda: [*writers.states(G32), writers.states(G32)[1]], UNKNOWN),
    "two generators": (lambda: [writers.states(G32)[0]] * 2, UNKNOWN),
    "two deep generators": (lambda: [writers.states(DEEP8)[0]] * 2, UNKNOWN),
    "a deep generator with a discriminator": (
        lambda: [writers.states(DEEP8)[0], writers.states(G32)[1]],
        UNKNOWN,
    ),
    "a generator with something else": (
        lambda: [writers.states(G32)[0], {"a": np.zeros(3, "f4")}],
        UNKNOWN,
    ),
    "two attentions": (
        lambda: changed(G32, writers.second_attention),
        "BigGAN with one self-attention, got 2$",
    ),
    "two attentions below": (
        lambda: changed(G32, writers.second_attention, 1),
        "BigGAN with one self-attention, got 2$",
    ),
    "no shared embedding": (lambda: changed(G32, writers.one_embedding_a_layer), UNKNOWN),
    "no embedding in a deep file": (lambda: changed(DEEP8, writers.without("embeddings")), UNKNOWN),
    "a missing block": (
        lambda: changed(G32, writers.without("blocks.1"))[:1],
        r"left over: .*generator/block2/",
    ),
    "no first block": (
        lambda: changed(G32, writers.without("blocks.0")),
        "a BigGAN with a shared embedding and numbered blocks",
    ),
    "no last block": (
        lambda: changed(G64, writers.without("blocks.3"))[:1],
        r"generator/bn/gain \[16\] instead of \[6\]",
    ),
    "a missing block below": (
        lambda: changed(G64, writers.without("blocks.2"), 1),
        "a discriminator of 5 blocks .* 64 px need, got 4$",
    ),
    "a missing deep block": (
        lambda: changed(DEEP8, writers.without("generator.layers.2")),
        r"generator/bn/gain \[8\] instead of \[16\]",
    ),
    "no statistics": (
        lambda: changed(G32, writers.without("blocks.1.0.bn2.bn.running_var")),
        "missing: generator/block1/bn2/var",
    ),
    "no statistics in a deep file": (
        lambda: changed(DEEP8, writers.without("generator.bn.running")),
        "missing: generator/bn/mean",
    ),
    "sums of statistics": (
        lambda: changed(G64, writers.standing_sums),
        "wrong shape or value: G.blocks.0.0.bn1.bn.accumulation_counter",
    ),
    "u0 of another kernel": (
        lambda: changed(G32, writers.cut("linear.u0")),
        r"vectors of linear that fit its kernel \[128, 4\], got",
    ),
    "u of another kernel": (
        lambda: changed(DEEP8, writers.cut("generator.gen_z.weight_u")),
        "vectors of generator.gen_z that fit",
    ),
    "v of another kernel": (
        lambda: changed(DEEP8, writers.cut("generator.gen_z.weight_v")),
        "vectors of generator.gen_z that fit",
    ),
    "an empty kernel": (
        lambda: changed(G32, writers.empty("linear")),
        r"vectors of linear that fit its kernel \[0, 4\], got \[0\]",
    ),
    "a kernel of zeros": (
        lambda: changed(G32, writers.zero("linear.weight")),
        "expected a positive singular value of linear, got 0",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_does_not_fit_is_refused_in_one_line(case, tmp_path):
    contents, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as error:
        convert(*files.write(tmp_path, writers.packed(contents())))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The folder of weights that a file became."""
    folder = tmp_path_factory.mktemp("biggan")
    contents = writers.packed(writers.states("deep 8 px"))
    params, config = convert(*files.write(folder, contents))
    weights.save(folder / "prior", params, config)
    return folder / "prior"


@pytest.mark.parametrize(
    ("setting", "value"), [("label", -1), ("label", 9), ("truncation", 0.0), ("truncation", 1.5)]
)
def test_choices_outside_the_network_are_refused(setting, value, tmp_path, converted):
    words = rf"{setting} must be .*, got {value}$"
    with pytest.raises(ValueError, match=words):
        load_prior(converted, **{setting: value})
    paths = files.write(tmp_path, writers.packed(writers.states("deep 8 px")))
    with pytest.raises(ValueError, match=words):
        convert(*paths, choice=Choice(**{setting: value}))


WITHOUT_CLASSES = {
    "PGGAN": {
        "layer0.conv.weight": np.ones((1, 1, 4, 4), "f4"),
        "layer0.wscale.bias": np.ones(1, "f4"),
    },
    "StyleGAN1": {
        "blocks.4x4.const": np.ones((1, 1, 4, 4), "f4"),
        "dense0.weight": np.ones((1, 1), "f4"),
    },
}


@pytest.mark.parametrize(("setting", "value"), [("label", 0), ("truncation", 0.5)])
def test_networks_without_classes_take_no_choice(setting, value, tmp_path):
    for content in WITHOUT_CLASSES.values():
        with pytest.raises(
            ValueError,
            match=rf"expected no --{setting} for a network without classes, got {value}$",
        ):
            convert(
                *files.write(tmp_path, writers.packed([content])), choice=Choice(**{setting: value})
            )
    with pytest.raises(
        ValueError, match=f"expected no {setting} for a stylegan2 prior, got .*{value}"
    ):
        load_prior(loading.default_source(), **{setting: value})
