"""Files of networks that jaxsr does not compute are named; what was converted says what it is
for."""

import commands
import numpy as np
import ports_faces as faces
import ports_files as files
import ports_stylegan2 as stylegan2
import ports_upscalers as upscalers
import pytest

from ports.convert import convert

# Names as each project's state dicts have them, a few of each.
STRANGERS = {
    "SwinIR": (
        "conv_first.weight",
        "patch_embed.norm.weight",
        "layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
        "layers.0.residual_group.blocks.0.mlp.fc1.weight",
        "conv_after_body.weight",
    ),
    "HAT": (
        "relative_position_index_SA",
        "conv_first.weight",
        "layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
        "layers.0.residual_group.blocks.0.conv_block.cab.0.weight",
        "conv_after_body.weight",
    ),
    "EDSR": (
        "sub_mean.weight",
        "head.0.weight",
        "body.0.body.0.weight",
        "body.0.body.2.weight",
        "tail.0.0.weight",
        "tail.1.weight",
    ),
    "RCAN": (
        "head.0.weight",
        "body.0.body.0.body.0.weight",
        "body.0.body.0.body.3.conv_du.0.weight",
        "tail.1.weight",
    ),
    r"EDSR \(of BasicSR\)": (
        "conv_first.weight",
        "body.0.conv1.weight",
        "body.0.conv2.weight",
        "conv_after_body.weight",
        "conv_last.weight",
    ),
}


@pytest.mark.parametrize("wrapper", ["", "params", "params_ema"])
@pytest.mark.parametrize("name", STRANGERS)
def test_a_network_of_another_project_is_named(name, wrapper, tmp_path):
    """Who has the wrong file reads a list of dozens of arrays that are missing and left over."""
    state = upscalers.tensors({each: np.ones((2, 2), np.float32) for each in STRANGERS[name]})
    (tmp_path / "file.pth").write_bytes(files.zipped({wrapper: state} if wrapper else state))
    with pytest.raises(ValueError, match=f"got one of {name}$") as caught:
        convert(tmp_path / "file.pth")
    assert "\n" not in str(caught.value)


def _face():
    state = faces.gpen()
    return files.zipped({name: files.Tensor(array) for name, array in state.items()})


TOLD = {
    "a factor": (
        lambda: upscalers.FORMATS["BasicSR, averaged"]().content,
        "; enlarges 4x; licence: ",
    ),
    "any factor": (lambda: upscalers.FORMATS["VDSR, a whole module"]().content, "by any --factor"),
    "a side": (_face, f"; restores at {faces.SIDE} px; licence: "),
    "a prior's": (lambda: stylegan2.FORMATS["ada"]().contents[0], " px; licence: "),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_was_converted_says_what_it_is_for(name, tmp_path):
    """Its factor or size shows only in the error of the command that it does not fit."""
    content, words = TOLD[name]
    (tmp_path / "file").write_bytes(content())
    out = tmp_path / "out"
    done = commands.call("convert.py", f"--source={tmp_path / 'file'}", f"--out={out}")
    assert done.status == 0, done.stderr
    assert words in done.stdout.splitlines()[0]
