"""Official files of RRDBNet, SRVGGNetCompact and VDSR -> networks that compute what the slow ones
make of the same arrays; what does not fit is refused in a line."""

import io
import tracemalloc

import jax
import numpy as np
import ports_files as files
import ports_upscalers as writers
import pytest
from scipy.io import savemat

from jaxsr import weights
from jaxsr.nets import rrdb, srvgg, vdsr
from ports import priors, restorers
from ports.convert import convert
from ports.formats import PORTS

NETS = {"rrdb": rrdb, "srvgg": srvgg, "vdsr": vdsr}


@pytest.mark.parametrize("name", writers.FORMATS)
def test_a_converted_network_computes_what_the_file_says(name, tmp_path):
    """A kernel is transposed, a block takes another's place, the training's weights are taken in
    place of the averaged ones, or a folder does not hold what was converted."""
    written = writers.FORMATS[name]()
    (tmp_path / "file").write_bytes(written.content)
    params, about = convert(tmp_path / "file")
    weights.save(tmp_path / "model", params, about)
    params, about = weights.load(tmp_path / "model")
    assert (about["architecture"], about["factor"]) == (written.architecture, written.factor)
    assert about["licence"] and about["version"] == 1
    assert about["net"] == written.net | {"dtype": "float32"}
    net = NETS[written.architecture]
    config = net.Config(**about["net"])
    image = np.random.default_rng(1).random((8, 4, 3), np.float32)
    made = jax.jit(net.restored, static_argnums=0)(config, params, image)
    np.testing.assert_allclose(made, written.restored(image), rtol=1e-4, atol=1e-4)


def test_every_upscaler_of_the_table_is_written_here():
    """A port has no file in the tests."""
    ported = {name for name, port in PORTS.items() if port.convert is restorers.convert}
    assert {make().architecture for make in writers.FORMATS.values()} == ported & NETS.keys()


def _without(state, name):
    return {key: array for key, array in state.items() if key != name}


def _zip(state):
    return lambda: files.zipped(writers.tensors(state))


def _mat(**model):
    def content():
        file = io.BytesIO()
        savemat(file, {"model": model}, do_compression=True)
        return file.getvalue()

    return content


STATE, NUMBERED = writers.rrdb_state(), writers.names_of_2018(writers.rrdb_state())
ONE = np.ones((2, 2), np.float32)
CELLS = np.empty((1, 1), object)
CELLS[0, 0] = "text"
BAD = {
    "ESRGAN+": (
        _zip(NUMBERED | {"model.1.sub.0.RDB1.conv1x1.weight": ONE}),
        r"expected a network that jaxsr computes, got one of ESRGAN\+",
    ),
    "ESRGAN+ as BasicSR names it": (
        _zip(STATE | {"body.0.rdb1.conv1x1.weight": ONE}),
        r"got one of ESRGAN\+",
    ),
    "CodeFormer": (
        lambda: files.zipped(
            {"params_ema": writers.tensors({"position_emb": ONE, "quantize.embedding.weight": ONE})}
        ),
        "got one of CodeFormer",
    ),
    "RestoreFormer": (
        lambda: files.legacy(
            {
                "params": writers.tensors(
                    {"encoder.conv_in.weight": ONE, "quantize.embedding.weight": ONE}
                )
            }
        ),
        "got one of RestoreFormer$",
    ),
    "a block without its end": (
        _zip(_without(STATE, "body.1.rdb2.conv5.bias")),
        r"expected the arrays of RRDBNet PyTorch \(BasicSR's names\), got others: "
        r"missing: trunk/blocks/1/dense/1/conv4/bias; left over: none",
    ),
    "a layer more": (
        _zip(STATE | {"conv_extra.weight": ONE}),
        "missing: none; left over: conv_extra.weight",
    ),
    "no first layer": (_zip(_without(STATE, "conv_first.weight")), "or some missing"),
    "kernels that are flat": (_zip(STATE | {"conv_first.weight": ONE}), "of other shapes"),
    "grey images": (
        _zip(writers.rrdb_state(channels=1)),
        "expected a network of RGB images, got one of 1 channels",
    ),
    "SRVGG of a factor that is no square": (
        _zip(writers.srvgg_state() | {f"body.{2 * writers.LAYERS + 2}.bias": np.ones(9, "f4")[:7]}),
        "expected a network of RGB images, got one of 7 last channels",
    ),
    "SRVGG without slopes": (
        _zip(_without(writers.srvgg_state(), "body.3.weight")),
        "missing: middle/0/slope; left over: none",
    ),
    "VDSR without a layer": (
        lambda: writers.matconvnet(*(arrays[:1] for arrays in writers.vdsr_arrays())),
        "expected the arrays of VDSR MatConvNet, got some of other shapes, or some missing",
    ),
    "a struct of other fields": (_mat(weight=CELLS), r"expected a model with weight and bias, got"),
    "cells of texts": (_mat(weight=CELLS, bias=CELLS), "expected floating arrays in weight"),
    "a damaged .mat": (
        lambda: writers.matconvnet(*writers.vdsr_arrays())[:-300],
        "expected (an undamaged MATLAB|a readable MATLAB 5) file",
    ),
    "a whole module of another kind": (
        lambda: files.legacy({"model": files.whole("Sequential")}),
        "expected a checkpoint of",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_does_not_fit_is_refused_in_a_line(name, tmp_path):
    """A user gets an error of a library, or a network that restores to something else."""
    content, message = BAD[name]
    (tmp_path / "file").write_bytes(content())
    with pytest.raises(ValueError, match=message) as caught:
        convert(tmp_path / "file")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))


def test_a_matlab_file_that_expands_to_gigabytes_is_refused(tmp_path):
    """A file of some kilobytes takes all memory."""
    (tmp_path / "bomb.mat").write_bytes(_mat(weight=np.zeros(1 << 24), bias=1.0)())
    tracemalloc.start()
    with pytest.raises(ValueError, match="expected a MATLAB file of at most 67108864 bytes"):
        convert(tmp_path / "bomb.mat")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 28


def test_a_class_of_a_restorer_is_refused(tmp_path):
    """--label is passed over without a word."""
    (tmp_path / "file").write_bytes(writers.FORMATS["SRVGG"]().content)
    with pytest.raises(ValueError, match="expected no --label for a restorer"):
        convert(tmp_path / "file", choice=priors.Choice(label=3))
