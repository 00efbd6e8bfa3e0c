"""StyleGAN2s that other projects trained: rosinality's network under their own names."""

import jax
import numpy as np
import ports_files as files
import ports_stylegan2 as writers
import ports_wrappers as wrapped
import pytest

from jaxsr.nets import ARCHITECTURES
from ports import convert, stylegan2, torch_files

# Names of rosinality's in the words of the other two; what is longest counts.
BASICSR = {
    "style.": "style_mlp.",
    "input.input": "constant_input.weight",
    "conv1.conv.": "style_conv1.modulated_conv.",
    "conv1.noise.weight": "style_conv1.weight",
    "conv1.activate.bias": "style_conv1.activate.bias",
    "noises.noise_": "noises.noise",
} | {
    f"{kind}.{i}.{inner}": f"{theirs}.{i}.{outer}"
    for kind, theirs in (("convs", "style_convs"), ("to_rgbs", "to_rgbs"), ("to_rgb1", ""))
    for i in range(8)
    for inner, outer in (
        ("conv.", "modulated_conv."),
        ("noise.weight", "weight"),
        ("activate.bias", "activate.bias"),
    )
}
BASICSR["to_rgb1.conv."] = "to_rgb1.modulated_conv."


def basicsr(name):
    """BasicSR's name of an array of rosinality's generator."""
    known = [start for start in BASICSR if name.startswith(start)]
    longest = max(known, key=len, default="")
    return BASICSR.get(longest, "") + name.removeprefix(longest)


def mmagic(name):
    """MMagic's."""
    layer, _, leaf = name.rpartition(".")
    if name.startswith("style."):
        inner = "linear.weight_orig" if leaf == "weight" else leaf
        return f"style_mapping.{layer.removeprefix('style.')}.{inner}"
    if layer.endswith(".modulation"):
        inner = "linear.weight_orig" if leaf == "weight" else leaf
        return f"{layer.removesuffix('modulation')}style_modulation.{inner}"
    if layer.endswith(".conv"):
        return f"{layer}.weight_orig"
    if layer.endswith(".noise"):
        return f"{layer.removesuffix('noise')}noise_injector.weight"
    found = {"input.input": "constant_input.input"}
    return found.get(name) or name.replace("noises.noise_", "injected_noise_")


def judge_of_basicsr(name):
    return name.replace("convs.", "conv_body.", 1)


def judge_of_mmagic(name):
    """Convolutions lie in a module of their own, dense layers too."""
    if name.startswith("final_linear") and name.endswith("weight"):
        return name.replace("weight", "linear.weight_orig")
    return name.replace("weight", "conv.weight_orig")


PROJECTS = {
    "BasicSR": (basicsr, judge_of_basicsr, "params_ema"),
    "MMagic": (mmagic, judge_of_mmagic, "generator_ema"),
}


def written(project):
    """The content of a checkpoint of the project, with a generator that is no average beside."""
    of_generator, of_judge, averaged = PROJECTS[project]
    ours, other = (writers.rosinality(params) for params in (wrapped.SMALL, wrapped.OTHER))
    # BasicSR keeps its filters as no arrays.
    skipped = ".kernel" if project == "BasicSR" else "nothing"
    g, other = (
        {of_generator(name): x for name, x in each["g_ema"].items() if not name.endswith(skipped)}
        for each in (ours, other)
    )
    d = {of_judge(name): x for name, x in ours["d"].items() if not name.endswith(skipped)}
    if project == "MMagic":
        state = {
            f"{prefix}.{name}": x
            for prefix, each in (("generator", other), (averaged, g), ("discriminator", d))
            for name, x in each.items()
        }
        return {"state_dict": state, "meta": {"epoch": 1}}
    return {"params": other, averaged: g, "d": d}


@pytest.mark.parametrize("project", PROJECTS)
def test_other_projects_networks_are_rosinalitys(project, tmp_path):
    """A generator that somebody trained with BasicSR or MMagic is "no known network", or its
    untrained copy is taken, or a layer lands in another's place."""
    (tmp_path / "theirs.pth").write_bytes(files.zipped(written(project)))
    (tmp_path / "rosinality.pt").write_bytes(files.zipped(writers.rosinality(wrapped.SMALL)))
    params, config = convert.convert(tmp_path / "theirs.pth")
    expected, known = convert.convert(tmp_path / "rosinality.pt")
    # Neither file has an average of w, which is measured.
    for each in (params, expected):
        each.pop("statistics")
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    assert config["net"] == known["net"] and project in config["source_format"]
    assert config["architecture"] in ARCHITECTURES and "discriminator" in params


LOST = [
    ("BasicSR", "params_ema", "", "style_conv1.weight", "synthesis/b4/conv1/noise_strength"),
    ("BasicSR", "params_ema", "", "to_rgbs.0.bias", "synthesis/b8/torgb/bias"),
    ("MMagic", "state_dict", "generator_ema.", "style_mapping.1.bias", "mapping/fc0/bias"),
]


@pytest.mark.parametrize(("project", "key", "prefix", "name", "path"), LOST)
def test_a_lost_array_is_named(project, key, prefix, name, path, tmp_path):
    """Half a network converted."""
    content = written(project)
    del content[key][prefix + name]
    (tmp_path / "cut.pth").write_bytes(files.zipped(content))
    with pytest.raises(ValueError, match=f"{project} StyleGAN2 .*missing: {path}"):
        convert.convert(tmp_path / "cut.pth")


MARKS = [
    ("BasicSR", "params_ema", "", "constant_input.weight"),
    ("MMagic", "state_dict", "generator_ema.", "conv1.conv.weight_orig"),
]


@pytest.mark.parametrize(("project", "key", "prefix", "name"), MARKS)
def test_a_lost_array_that_tells_the_layout_is_named_too(project, key, prefix, name, tmp_path):
    """ "Expected a checkpoint of stylegan2, ..." of a StyleGAN2 that lacks one array."""
    content = written(project)
    content = {key: {n: x for n, x in content[key].items() if n.startswith(prefix)}}
    del content[key][prefix + name]
    (tmp_path / "cut.pth").write_bytes(files.zipped(content))
    with pytest.raises(ValueError, match=f"expected a {project} StyleGAN2 with {name}"):
        convert.convert(tmp_path / "cut.pth")


def test_rosinalitys_lost_array_is_named(tmp_path):
    """As above, of the layout that most checkpoints have."""
    for name in ("input.input", "conv1.conv.weight"):
        content = {"g_ema": dict(writers.rosinality(wrapped.SMALL)["g_ema"])}
        del content["g_ema"][name]
        (tmp_path / "cut.pt").write_bytes(files.zipped(content))
        with pytest.raises(ValueError, match=f"expected a rosinality StyleGAN2 with {name}"):
            convert.convert(tmp_path / "cut.pt")


@pytest.mark.parametrize("around", [{}, {"conv_body_first.0.weight": 0}])
def test_a_gfpgans_own_generator_is_no_prior(around, tmp_path):
    """GFPGAN's generator has BasicSR's names: the network around it would be lost."""
    decoder = written("BasicSR")["params_ema"]
    state = {f"stylegan_decoder.{name}": x for name, x in decoder.items()}
    state |= {name: next(iter(decoder.values())) for name in around}
    (tmp_path / "some.pth").write_bytes(files.zipped({"params_ema": state}))
    found = stylegan2.find([torch_files.read(tmp_path / "some.pth")[0]])
    assert (found is None) == bool(around)
