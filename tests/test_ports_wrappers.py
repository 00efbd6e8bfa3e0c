"""However people wrap a network when they save it, the same network comes out; an average of
weights is preferred, and what was taken or left out is told."""

import re

import jax
import numpy as np
import ports_biggan
import ports_files as files
import ports_modules
import ports_stylegan2 as writers
import ports_wrappers as wrapped
import pytest
import safetensors.numpy

from ports import convert, formats, priors, tables


@pytest.fixture(autouse=True)
def _few_statistics(monkeypatch):
    """100,000 draws of z are not what these tests are about."""
    names = ("w_mean", "w_std", "white_mean", "white_std")
    monkeypatch.setattr(
        priors, "_measure", lambda prior, w_dim, _: {name: np.ones(w_dim, "f4") for name in names}
    )


def written(folder, content, how=files.zipped):
    return files.write(folder, [how(content)])[0]


def converted(folder, content, how=files.zipped):
    return convert.convert(written(folder, content, how))


def generator_is(params, expected):
    """Whether the generator is the expected one, array by array."""
    names = ("mapping", "synthesis")
    same = jax.tree.map(
        lambda a, b: bool(np.abs(a - b).max() < 3e-7),
        {name: params[name] for name in names},
        {name: expected[name] for name in names},
    )
    return all(jax.tree.leaves(same))


@pytest.mark.parametrize("layout", wrapped.LAYOUTS)
@pytest.mark.parametrize("wrapper", wrapped.WRAPPERS)
def test_wrappers_and_prefixes_change_nothing(layout, wrapper, tmp_path):
    """A way of saving that people use ends in a list of left-over names, or in other arrays."""
    state = wrapped.LAYOUTS[layout](wrapped.SMALL)
    plain = _arrays(convert.read(written(tmp_path, state))[0])
    for prefix in wrapped.PREFIXES:
        content = wrapped.WRAPPERS[wrapper](wrapped.prefixed(state, prefix))
        arrays = _arrays(convert.read(written(tmp_path, content))[0])
        assert arrays.keys() == plain.keys(), prefix
        for path, array in arrays.items():
            np.testing.assert_array_equal(array, plain[path])


def _arrays(content):
    found = formats.find([content]).found
    result = tables.convert(found.rows, found.sources)
    assert not result.left_over and not result.refused
    return result.arrays


def test_words_of_torch_inside_of_names_change_nothing(tmp_path):
    """A generator of which torch compiled a part is an unknown checkpoint."""
    state = wrapped.of_ada(wrapped.SMALL)
    plain = _arrays(convert.read(written(tmp_path, state))[0])
    for word in ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"):
        inner = {name.replace("synthesis.", f"synthesis.{word}."): x for name, x in state.items()}
        assert inner.keys() != state.keys()
        arrays = _arrays(convert.read(written(tmp_path, {"model": inner}))[0])
        jax.tree.map(np.testing.assert_array_equal, arrays, plain)


def test_files_of_two_networks_are_unwrapped_too(tmp_path):
    """A generator and a discriminator saved from a DataParallel are two unknown checkpoints."""
    plain = [ports_biggan.tensors(x) for x in ports_biggan.states("32 px, cross replica")]
    around = [{"state_dict": wrapped.prefixed(state, "module.")} for state in plain]
    first, second = (
        formats.find([convert.read(path)[0] for path in files.write(tmp_path, packed)])
        for packed in ([files.zipped(x) for x in plain], [files.zipped(x) for x in around])
    )
    assert second.port == first.port
    assert second.found.sources.keys() == first.found.sources.keys()


STATE, OTHER = wrapped.of_rosinality(wrapped.SMALL), wrapped.of_rosinality(wrapped.OTHER)
AVERAGED = {
    "rosinality": {"g": OTHER, "g_ema": STATE},
    "BasicSR": {"params": OTHER, "params_ema": STATE},
    "state dict beside": {"state_dict": OTHER, "ema_state_dict": STATE},
    "timm": {"state_dict": OTHER, "state_dict_ema": STATE},
    "names, as mmagic": wrapped.prefixed(OTHER, "generator.")
    | wrapped.prefixed(STATE, "generator_ema."),
    "Lightning": wrapped.lightning(
        wrapped.prefixed(OTHER, "G.") | wrapped.prefixed(STATE, "G_ema.")
    ),
    "a callback of Lightning": wrapped.lightning(wrapped.prefixed(OTHER, "G."))
    | {"callbacks": {"EMACallback": {"ema_state_dict": wrapped.prefixed(STATE, "G.")}}},
    "ema_pytorch": wrapped.prefixed(OTHER, "online_model.") | wrapped.prefixed(STATE, "ema_model."),
    "torch's AveragedModel": {
        "model": OTHER,
        "swa": wrapped.prefixed(STATE, "module.") | {"n_averaged": wrapped.tensor()},
    },
    "deeper than the other": {"netG": OTHER, "averages": {"netG_ema": {"module": STATE}}},
    "of old": {"generator": OTHER, "g_running": STATE},
}


@pytest.mark.parametrize("name", AVERAGED)
def test_averaged_weights_are_preferred(name, tmp_path):
    """The weights of the last step are taken, whose pictures are worse, and nobody is told."""
    params, config = converted(tmp_path, AVERAGED[name])
    assert generator_is(params, wrapped.SMALL)
    assert not any("no moving average" in note for note in config.get("notes", []))


@pytest.mark.parametrize("wrapper", ["g", "state_dict", "Lightning", "nested"])
def test_an_average_that_is_not_there_is_missed(wrapper, tmp_path):
    """The weights of the last step pass for the average."""
    _, config = converted(tmp_path, wrapped.WRAPPERS[wrapper](STATE))
    assert "no moving average (EMA)" in config["notes"][0]


@pytest.mark.parametrize(
    ("rows", "layers"), [(1, None), (4, None), (4, 4)], ids=["one", "equal rows", "other rows"]
)
def test_an_encoder_gives_its_decoder_and_its_average_of_w(rows, layers, tmp_path):
    """Files of pSp, e4e and ReStyle: their encoder becomes an obstacle, or the mean of w, from
    which truncation and searches start, another."""
    average = np.random.default_rng(1).normal(size=(layers or 1, 4)).astype("f4")
    average = np.broadcast_to(average, (rows, 4)) if layers is None else average
    encoder = {f"encoder.body.{i}.weight": wrapped.tensor(2, 2) for i in range(9)}
    content = {
        "state_dict": encoder | wrapped.prefixed(STATE, "decoder."),
        "latent_avg": files.Tensor(np.ascontiguousarray(average)),
        "opts": {"output_size": 8, "exp_dir": "runs"},
    }
    params, config = converted(tmp_path, content)
    assert generator_is(params, wrapped.SMALL)
    np.testing.assert_allclose(params["statistics"]["w_mean"], average.mean(0), atol=1e-6)
    notes = " ".join(config["notes"])
    assert "encoder" in notes and "latent_avg" in notes and "state_dict.decoder" in notes


def test_noise_maps_are_drawn_where_a_file_has_none(tmp_path):
    """Files of old versions and of pSp end as missing arrays; or every conversion draws others."""
    state = {name: x for name, x in STATE.items() if not name.startswith("noises.")}
    (params, config), (again, _) = converted(tmp_path, state), converted(tmp_path, state)
    assert "no noise maps" in config["notes"][0]
    shapes = [m.shape for m in wrapped.SMALL["noise"]]
    assert [m.shape for m in params["noise"]] == shapes
    jax.tree.map(np.testing.assert_array_equal, params["noise"], again["noise"])
    assert 0.5 < np.std(np.concatenate([np.ravel(m) for m in params["noise"]])) < 1.5


def with_discriminator(change):
    content = writers.rosinality(wrapped.SMALL)
    change(content["d"])
    return content


UNFIT = {
    "missing": (lambda d: d.pop("final_conv.1.bias"), "missing: discriminator/conv/bias"),
    "left over": (lambda d: d.update({"extra.weight": wrapped.tensor(2)}), "d.extra.weight"),
    "wrong shape": (
        lambda d: d.update({"final_conv.1.bias": wrapped.tensor(3)}),
        r"discriminator/conv/bias \[3\] instead of \[4\]",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_discriminator_that_does_not_fit_is_left_out(name, tmp_path):
    """A prior that restores without one is refused for it, or nobody is told that it is gone."""
    change, message = UNFIT[name]
    params, config = converted(tmp_path, with_discriminator(change))
    assert generator_is(params, wrapped.SMALL)
    assert "discriminator" not in params and config["discriminator"] is False
    assert re.search(message, " ".join(config["notes"]))


def test_a_discriminator_under_any_name_is_read(tmp_path):
    """It is lost, though the file has it."""
    judge = writers.rosinality(wrapped.SMALL)["d"]
    content = wrapped.prefixed(STATE, "gan.G.") | wrapped.prefixed(judge, "gan.D.")
    params, config = converted(tmp_path, wrapped.lightning(content))
    for a, b in zip(
        jax.tree.leaves(params["discriminator"]),
        jax.tree.leaves(wrapped.SMALL["discriminator"]),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=3e-7)
    assert "left out" not in " ".join(config["notes"])


@pytest.mark.parametrize("how", ["F32", "F16", "BF16"])
def test_safetensors_are_read(how, tmp_path):
    """The format that most weights come in today is refused, or its half precision misread."""
    arrays = {name: x.array for name, x in wrapped.prefixed(STATE, "g_ema.").items()}
    cast = {"F32": "float32", "F16": "float16", "BF16": jax.numpy.bfloat16}[how]
    path = tmp_path / "weights.safetensors"
    made = {name: np.ascontiguousarray(x).astype(cast) for name, x in arrays.items()}
    path.write_bytes(ports_modules.safetensors(made, how))
    params, config = convert.convert(path)
    assert config["source_format"] == "rosinality StyleGAN2, safetensors"
    expected = wrapped.SMALL["mapping"]["fc0"]["kernel"]
    digits = {"F32": 1e-7, "F16": 1e-3, "BF16": 1e-2}[how]
    np.testing.assert_allclose(params["mapping"]["fc0"]["kernel"], expected, rtol=digits)
    if how == "F32":
        assert ports_modules.safetensors(made, how) == safetensors.numpy.save(made)


def test_whole_modules_are_read(tmp_path):
    """`torch.save(model)` instead of its state dict, in a DataParallel or not, ends as a name that
    no format needs."""
    for how in (files.zipped, files.legacy):
        for parallel in (False, True):
            content = {"generator": ports_modules.rosinality(wrapped.SMALL, parallel), "epoch": 1}
            params, _ = converted(tmp_path, content, how)
            assert generator_is(params, wrapped.SMALL)
    state = ports_modules.rosinality(wrapped.SMALL, parallel=True)
    params, config = converted(tmp_path, state)
    assert generator_is(params, wrapped.SMALL) and "notes" not in config


@pytest.mark.parametrize("beside", ports_modules.BESIDE)
def test_what_lies_beside_the_weights_is_passed_over(beside, tmp_path):
    """A path, a date or a setting of some package beside the weights makes the file unreadable."""
    content = {"g_ema": STATE, beside: ports_modules.BESIDE[beside]()}
    for how in (files.zipped, files.pickled):
        params, _ = converted(tmp_path, content, how)
        assert generator_is(params, wrapped.SMALL)


def test_a_pickle_without_its_average_gives_the_generator_as_trained(tmp_path):
    """NVIDIA's pickles whose G_ema was removed to make them small are unknown checkpoints."""
    generator = writers.ada_generator(wrapped.SMALL)
    for content in ({"G": generator, "D": None, "G_ema": None}, {"G": generator}):
        params, config = converted(tmp_path, content, files.pickled)
        assert generator_is(params, wrapped.SMALL)
        assert "no moving average (EMA) of the weights: those in G were taken" in config["notes"][0]


def test_tensorflows_networks_need_only_a_generator(tmp_path):
    """A pickle that somebody made small is unknown, or G passes for the average of it."""
    g, d, averaged = writers.tensorflow_networks(wrapped.SMALL)
    averaged.__dict__["name"] = "G"
    for content in ((averaged,), (averaged, d), averaged):
        params, config = converted(tmp_path, content, files.pickled)
        assert generator_is(params, wrapped.SMALL)
        assert "no averaged generator (Gs)" in config["notes"][0]
    averaged.__dict__["name"] = "Gs"
    params, config = converted(tmp_path, (g, averaged), files.pickled)
    assert generator_is(params, wrapped.SMALL) and "notes" not in config


def test_other_generators_are_told(tmp_path):
    """Of two generators one is taken by chance, and nobody hears of the other."""
    params, config = converted(tmp_path, {"netG_A": STATE, "netG_B": OTHER})
    assert generator_is(params, wrapped.SMALL)
    assert "other generators in the file were left out: netG_B" in config["notes"]


def test_pictures_that_are_not_square_are_one_line(tmp_path):
    """Six shapes are listed in place of the reason."""
    state = STATE | {"input.input": wrapped.tensor(1, 4, 4, 6)}
    with pytest.raises(ValueError, match="4 x 6: not square") as caught:
        converted(tmp_path, {"g_ema": state})
    assert "\n" not in str(caught.value)


def test_other_networks_are_unwrapped_too(tmp_path):
    """A restorer saved by Lightning, or compiled, is an unknown checkpoint."""
    for prefix in ("module.", "_orig_mod.", "model.", "net_g.module."):
        state = ports_modules.upscaler()
        content = wrapped.lightning(wrapped.prefixed(state, prefix))
        params, config = converted(tmp_path, content)
        plain, _ = converted(tmp_path, state)
        assert config["architecture"] == "srvgg"
        jax.tree.map(np.testing.assert_array_equal, params, plain)
