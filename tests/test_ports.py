"""Checkpoints that the tests write in every format convert to the parameters they were written
from; what does not fit is refused."""

import json

import commands
import jax
import numpy as np
import ports_files as files
import ports_stylegan2 as writers
import pytest
import reference_stylegan2 as reference

from jaxsr import load_prior
from ports import labels, priors
from ports.convert import convert

PARAMS = writers.PARAMS


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    """100,000 draws of z are not what most tests are about."""
    measured = {
        name: np.ones(8, np.float32) for name in ("w_mean", "w_std", "white_mean", "white_std")
    }
    monkeypatch.setattr(priors, "_measure", lambda *_: measured)


def write(folder, content):
    path = folder / "checkpoint.bin"
    path.write_bytes(content)
    return path


def same_arrays(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=3e-7), got, expected)


@pytest.mark.parametrize("name", writers.FORMATS)
def test_every_format_gives_the_parameters_it_was_written_from(name, tmp_path):
    written = writers.FORMATS[name]()
    params, config = convert(write(tmp_path, written.contents[0]))
    left_out = {"statistics"} | (set() if written.logits else {"discriminator"})
    same_arrays(
        {k: v for k, v in params.items() if k != "statistics"},
        {k: v for k, v in PARAMS.items() if k not in left_out},
    )
    np.testing.assert_array_equal(params["statistics"]["w_mean"], PARAMS["statistics"]["w_mean"])
    assert config["net"]["channels"] == writers.CONFIG.channels
    assert config["net"]["mapping_lr"] == 0.01
    assert config["net"]["mbstd_group"] == (4 if "rosinality" in name else 2)


@pytest.mark.parametrize("code, digits", [("f2", 3), ("f8", 7), ("bf16", 2)])
def test_other_precisions_become_float32(code, digits, tmp_path):
    def cast(tensor):
        array = tensor.array
        return files.Tensor(
            (array.view("u4") >> 16).astype("u2") if code == "bf16" else array.astype(code)
        )

    content = writers.rosinality(PARAMS)
    content["g_ema"] = {k: v if "kernel" in k else cast(v) for k, v in content["g_ema"].items()}
    params, _ = convert(write(tmp_path, files.zipped(content)))
    kernel = params["mapping"]["fc1"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel, PARAMS["mapping"]["fc1"]["kernel"], rtol=10.0**-digits)


def changed(change):
    content = writers.rosinality(PARAMS)
    change(content)
    return files.zipped(content)


def rename(content):
    content["g_ema"]["to_rgb1.surprise"] = content["g_ema"].pop("to_rgb1.bias")


REFUSED = {
    "missing and left over": (
        lambda: changed(rename),
        r"missing: synthesis/b4/torgb/bias; left over: g_ema\.to_rgb1\.surprise",
    ),
    "wrong shape": (
        lambda: changed(
            lambda c: c["g_ema"].update({"style.2.bias": files.Tensor(np.zeros(7, "f4"))})
        ),
        r"of the wrong shape or value: mapping/fc1/bias \[7\] instead of \[8\]",
    ),
    "wrong axes": (
        lambda: changed(
            lambda c: c["g_ema"].update({"style.2.weight": files.Tensor(np.zeros(7, "f4"))})
        ),
        r"of the wrong shape or value: g_ema\.style\.2\.weight \[7\]",
    ),
    "other filter": (
        lambda: changed(
            lambda c: c["g_ema"].update(
                {"convs.0.conv.blur.kernel": files.Tensor(np.ones((4, 4), "f4"))}
            )
        ),
        r"of the wrong shape or value: g_ema\.convs\.0\.conv\.blur\.kernel",
    ),
    "not finite": (
        lambda: changed(
            lambda c: c["g_ema"].update({"style.2.bias": files.Tensor(np.full(8, np.nan, "f4"))})
        ),
        "expected finite numbers in g_ema.style.2.bias",
    ),
    "no mapping": (
        lambda: changed(lambda c: [c["g_ema"].pop(k) for k in list(c["g_ema"]) if "style" in k]),
        "mapping layers 0",
    ),
    "other architecture": (
        lambda: writers.tensorflow(PARAMS, {"nonlinearity": "relu"}),
        "expected a StyleGAN2 with nonlinearity lrelu",
    ),
    "conditional TensorFlow": (
        lambda: writers.tensorflow(PARAMS, {"label_size": 10}),
        "expected a StyleGAN2 with label_size 0",
    ),
    "something else": (
        lambda: files.pickled({"weights": 1}),
        "niqe; got a dict with 1 names: weights",
    ),
    "a number": (lambda: files.pickled(7), "got an object of type int"),
    "compressed": (lambda: files.zipped({"a": files.Tensor(np.zeros(9, "f4"))}, 8), "uncompressed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_lists(name, tmp_path):
    write_file, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        convert(write(tmp_path, write_file()))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_class_of_a_conditional_network_is_folded_in(tmp_path):
    """The folded network is the conditional one: z and the normalised embedding side by side; the
    discriminator's outputs projected."""
    rng = np.random.default_rng(2)
    z_dim, classes, lr = 8, 3, 0.01
    arrays = {
        "mapping/fc0/kernel": rng.normal(size=(16, 8)),
        "mapping/fc0/bias": rng.normal(size=8),
        "label/embed/kernel": rng.normal(size=(classes, 8)),
        "label/embed/bias": rng.normal(size=8),
        "discriminator/out/kernel": rng.normal(size=(5, 6)),
        "discriminator/out/bias": rng.normal(size=6),
        "label/discriminator/embed/kernel": rng.normal(size=(classes, 6)),
        "label/discriminator/embed/bias": rng.normal(size=6),
        "label/discriminator/fc0/kernel": rng.normal(size=(6, 6)) / lr,
        "label/discriminator/fc0/bias": rng.normal(size=6) / lr,
    }
    folded = labels.fold(arrays, 2, lr)

    def embedded(prefix):
        x = (
            np.eye(classes)[2] @ arrays[f"{prefix}/kernel"] / np.sqrt(classes)
            + arrays[f"{prefix}/bias"]
        )
        return x / np.sqrt(np.mean(x**2) + 1e-8)

    z, features = rng.normal(size=z_dim), rng.normal(size=5)
    layer = {"kernel": arrays["mapping/fc0/kernel"], "bias": arrays["mapping/fc0/bias"]}
    one = {"kernel": folded["mapping/fc0/kernel"], "bias": folded["mapping/fc0/bias"]}
    both = np.concatenate([z, embedded("label/embed")])
    np.testing.assert_allclose(
        reference.dense(one, z, lr), reference.dense(layer, both, lr), rtol=1e-5
    )
    fc = {k: arrays[f"label/discriminator/fc0/{k}"] for k in ("kernel", "bias")}
    direction = reference.lrelu(reference.dense(fc, embedded("label/discriminator/embed"), lr))
    out = {k: arrays[f"discriminator/out/{k}"] for k in ("kernel", "bias")}
    expected = reference.dense(out, features) @ direction / np.sqrt(6)
    got = reference.dense(
        {k: folded[f"discriminator/out/{k}"] for k in ("kernel", "bias")}, features
    )
    np.testing.assert_allclose(got, [expected], rtol=1e-5)
    assert not [path for path in folded if path.startswith("label/")]
    for wrong in (None, 3):
        with pytest.raises(ValueError, match="expected --label=0 to 2"):
            labels.fold(arrays, wrong, lr)
    with pytest.raises(ValueError, match="expected no --label"):
        convert(write(tmp_path, writers.FORMATS["ada"]().contents[0]), choice=priors.Choice(1))


def inner(module, *names):
    for name in names:
        module = module.meta["state"]["_modules"][name]
    return module


def test_a_conditional_file_needs_a_label(tmp_path):
    """StyleGAN2-ADA-PyTorch with classes: the label's embedding widens the first layer, the
    discriminator has a mapping of its own."""
    rng = np.random.default_rng(3)

    def linear(outputs, inputs):
        parameters = {
            "weight": rng.normal(size=(outputs, inputs)).astype("f4"),
            "bias": rng.normal(size=outputs).astype("f4"),
        }
        return files.Module("FullyConnectedLayer", parameters, facts={"bias_gain": 0.01})

    generator, discriminator = writers.ada_generator(PARAMS), writers.ada_discriminator(PARAMS)
    inner(generator, "mapping").meta["state"]["_modules"] |= {
        "embed": linear(8, 5),
        "fc0": linear(8, 16),
    }
    discriminator.meta["state"]["_modules"]["mapping"] = files.Module(
        "MappingNetwork", modules={"embed": linear(6, 5), "fc0": linear(6, 6)}
    )
    inner(discriminator, "b4").meta["state"]["_modules"]["out"] = linear(6, 8)
    path = write(tmp_path, files.pickled({"G_ema": generator, "D": discriminator}))
    with pytest.raises(
        ValueError, match="expected --label=0 to 4 for a class-conditional network, got none"
    ):
        convert(path)
    (one, config), (other, _) = (
        convert(path, choice=priors.Choice(1)),
        convert(path, choice=priors.Choice(4)),
    )
    assert config["label"] == 1 and config["net"]["z_dim"] == 8
    assert (one["mapping"]["fc0"]["bias"] != other["mapping"]["fc0"]["bias"]).all()
    assert one["discriminator"]["out"]["kernel"].shape == (8, 1)
    same_arrays(one["synthesis"], dict(sorted(PARAMS["synthesis"].items())))


def test_command_writes_a_prior_and_leaves_nothing_of_a_damaged_one(tmp_path):
    """As a user starts it, with the real statistics."""
    good, out = write(tmp_path, writers.FORMATS["ada"]().contents[0]), tmp_path / "out"
    done = commands.run("convert.py", f"--source={good}", f"--out={out}", cwd=tmp_path)
    assert done.status == 0, done.stderr
    config = json.loads((out / "config.json").read_text())
    assert config["architecture"] == "stylegan2" and config["name"] == "out"
    assert "PyTorch" in config["source_format"]
    _, params = load_prior(out)
    assert (np.asarray(params["statistics"]["white_std"]) > 0).all()
    good.write_bytes(good.read_bytes()[:-100])
    failed = commands.call("convert.py", f"--source={good}", f"--out={tmp_path / 'other'}")
    assert failed.status == 2 and failed.stderr.count("\n") == 1 and "truncated" in failed.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.bin", "out"]
