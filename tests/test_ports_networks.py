"""The metric networks' official names and layouts -> the parameters that
`jaxsr.metrics.networks.load` accepts."""

import io

import jax
import numpy as np
import ports_files as files
import pytest
from scipy.io import savemat

from jaxsr import metrics, weights
from jaxsr.metrics import networks
from jaxsr.nets import alexnet, inception, iresnet, squeezenet, vgg16
from ports import convert, metric_networks, priors
from ports.constructors import NDArray

NETS = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "squeezenet": squeezenet,
    "inception_fid": inception,
    "ir101": iresnet,
}
HEADS = {
    "lpips_alex": (64, 192, 384, 256, 256),
    "lpips_vgg": (64, 128, 256, 512, 512),
    "lpips_squeeze": (64, 128, 256, 384, 384, 512, 512),
}
NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
CONVS = {
    "alexnet": {f"conv{i}": n for i, n in enumerate((0, 3, 6, 8, 10), 1)},
    "vgg16": dict(
        zip(
            [f"conv{i}_{j}" for i, n in enumerate((2, 2, 3, 3, 3), 1) for j in range(1, n + 1)],
            (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
            strict=True,
        )
    ),
    "squeezenet": {"conv1": 0}
    | {f"fire{i}": n for i, n in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 2)},
}


def official(name, path):
    """Torch's name of our array `path`, a tuple of keys."""
    *layers, leaf = path
    if name in CONVS:
        inner = [{"expand1": "expand1x1", "expand3": "expand3x3"}.get(x, x) for x in layers[1:]]
        return ".".join(
            [
                "features",
                str(CONVS[name][layers[0]]),
                *inner,
                "weight" if leaf == "kernel" else leaf,
            ]
        )
    if name == "inception_fid":
        inner = [layers[0].capitalize(), *layers[1:]]
        return ".".join([*inner, *(("conv", "weight") if leaf == "kernel" else ("bn", NORM[leaf]))])
    return _ir101(layers, leaf)


def _ir101(layers, leaf):
    if layers[0] == "input":
        return {"kernel": "input_layer.0.weight", "slope": "input_layer.2.weight"}.get(
            leaf
        ) or f"input_layer.1.{NORM[leaf]}"
    if layers[0] == "output":
        if layers[1:]:
            return f"output_layer.0.{NORM[leaf]}"
        return {"kernel": "output_layer.3.weight", "bias": "output_layer.3.bias"}.get(
            leaf
        ) or f"output_layer.4.{NORM[leaf]}"
    _, stage, unit, part = layers
    block = f"body.{sum((3, 13, 30, 3)[:stage]) + unit}"
    first, norm = {
        "norm1": ("", "res_layer.0"),
        "conv1": ("res_layer.1", ""),
        "conv2": ("res_layer.3", "res_layer.4"),
    }.get(part, ("shortcut_layer.0", "shortcut_layer.1"))
    return (
        f"{block}.{first}.weight"
        if leaf == "kernel"
        else f"{block}.{'res_layer.2.weight' if leaf == 'slope' else f'{norm}.{NORM[leaf]}'}"
    )


def keys(path):
    return tuple(getattr(key, "key", getattr(key, "idx", None)) for key in path)


def torch_shape(shape):
    # IR-101's dense layer over a map.
    if len(shape) == 4 and shape[:2] == (7, 7) and shape[2] == 512:
        return shape[3], 7 * 7 * shape[2]
    return (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape


@pytest.mark.parametrize("name", NETS)
def test_every_array_finds_its_place(name):
    """Each array holds one number of its own, so that nothing is mistaken for another."""
    shapes = jax.tree_util.tree_leaves_with_path(jax.eval_shape(NETS[name].init, jax.random.key(0)))
    sources = {
        official(name, keys(path)): NDArray(np.broadcast_to(np.float32(i), torch_shape(leaf.shape)))
        for i, (path, leaf) in enumerate(shapes)
    }
    extra = (
        {
            "fc.weight" if name == "inception_fid" else "classifier.1.weight": NDArray(
                np.ones((2, 2))
            )
        }
        if name != "ir101"
        else {}
    )
    network = metric_networks.NETWORKS[name]
    params, config = metric_networks.convert(
        metric_networks.Found(name, network, sources | extra), priors.Choice()
    )
    assert config["architecture"] == name and config["licence"]
    got = jax.tree_util.tree_leaves_with_path(params)
    assert [path for path, _ in got] == [path for path, _ in shapes]
    for i, ((_, leaf), (_, array)) in enumerate(zip(shapes, got, strict=True)):
        assert array.shape == leaf.shape and (array == i).all()


@pytest.mark.parametrize("name", ["alexnet", "squeezenet", *HEADS])
def test_files_give_folders_that_the_metrics_load(name, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    if name in HEADS:
        expected = [rng.normal(size=width).astype(np.float32) for width in HEADS[name]]
        state = {
            f"lin{i}.model.1.weight": files.Tensor(head[None, :, None, None])
            for i, head in enumerate(expected)
        }
    else:
        shapes = jax.eval_shape(NETS[name].init, jax.random.key(0))
        expected = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
        leaves = jax.tree_util.tree_leaves_with_path(expected)
        state = {
            official(name, keys(path)): x.transpose(3, 2, 0, 1) if x.ndim == 4 else x
            for path, x in leaves
        }
        state = {key: files.Parameter(np.ascontiguousarray(x)) for key, x in state.items()} | {
            "classifier.6.bias": files.Tensor(np.zeros(9, "f4"))
        }
    source = tmp_path / networks.SOURCES[name].file
    source.write_bytes((files.legacy if name in HEADS else files.zipped)(state))
    params, config = convert.convert(source)
    weights.save(tmp_path / name, params, config)
    monkeypatch.setitem(
        networks.SOURCES, name, networks.SOURCES[name]._replace(sha256=config["source_sha256"])
    )
    loaded = networks.load(name, tmp_path / name)
    jax.tree.map(np.testing.assert_array_equal, loaded, expected)


def test_other_networks_are_refused_with_lists(tmp_path):
    state = {
        f"lin{i}.model.1.weight": files.Tensor(np.zeros((1, width, 1, 1), "f4"))
        for i, width in enumerate(HEADS["lpips_alex"])
    }
    state["lin9.bias"] = state.pop("lin0.model.1.weight")
    (tmp_path / "alex.pth").write_bytes(files.zipped(state))
    with pytest.raises(
        ValueError,
        match=(
            r"expected the arrays of LPIPS 0.1 heads for AlexNet, got others: missing: 0; left "
            r"over: lin9\.bias"
        ),
    ):
        convert.convert(tmp_path / "alex.pth")


NIQE = {
    "mu_prisparam": np.arange(36.0)[None],
    "cov_prisparam": np.eye(36) * 2,
}


@pytest.mark.parametrize("compressed", [False, True])
def test_niqe_of_the_matlab_release_is_read_in_double_precision(tmp_path, compressed):
    """Half a percent of a score would be lost with the covariance in single precision; the window
    is MATLAB's fspecial."""
    savemat(tmp_path / "modelparameters.mat", NIQE, do_compression=compressed)
    params, config = convert.convert(tmp_path / "modelparameters.mat")
    weights.save(tmp_path / "niqe", params, config)
    model = metrics.read_niqe_model(networks.find("niqe", tmp_path / "niqe"))
    assert (
        model.covariance.dtype == np.float64 and config["source_format"] == "NIQE model, MATLAB 5"
    )
    np.testing.assert_array_equal(model.mean, NIQE["mu_prisparam"][0])
    np.testing.assert_array_equal(model.covariance, NIQE["cov_prisparam"])
    gaussian = np.exp(
        -np.add.outer(np.arange(-3, 4) ** 2, np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2)
    )
    np.testing.assert_allclose(model.window, gaussian / gaussian.sum(), rtol=1e-12)


def test_niqe_of_basicsr_is_taken_as_it_is(tmp_path):
    arrays = {
        "mu_pris_param": np.ones((1, 36)),
        "cov_pris_param": np.eye(36),
        "gaussian_window": np.full((7, 7), 1 / 49),
    }
    np.savez(tmp_path / "niqe.npz", **arrays)
    params, config = convert.convert(tmp_path / "niqe.npz")
    assert config["architecture"] == "niqe" and config["source_format"] == "NIQE model, npz"
    jax.tree.map(np.testing.assert_array_equal, params, arrays)


def _mat(**arrays):
    file = io.BytesIO()
    savemat(file, arrays, do_compression=True)
    return file.getvalue()


def _npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


BAD_NIQE = {
    "truncated mat": (lambda: _mat(**NIQE)[:-40], "MATLAB 5 file, got"),
    "header alone": (
        lambda: b"MATLAB 5.0 MAT-file".ljust(116) + b"\0" * 12,
        "expected a readable MATLAB 5 file",
    ),
    "other arrays": (lambda: _mat(x=np.ones(3)), "expected NIQE's model"),
    "a cell": (
        lambda: _mat(mu_prisparam=np.array([{"a": 1}], object), cov_prisparam=np.eye(36)),
        "expected NIQE's model",
    ),
    "texts": (
        lambda: _mat(mu_prisparam="x" * 36, cov_prisparam=np.eye(36)),
        "expected NIQE's model",
    ),
    "not finite": (
        lambda: _mat(mu_prisparam=np.full((1, 36), np.nan), cov_prisparam=np.eye(36)),
        "expected finite numbers",
    ),
    "a bomb": (
        lambda: _npz(mu_pris_param=np.zeros((1000, 1000))),
        "expected arrays of at most 65536 bytes",
    ),
    "pickled npz": (
        lambda: _npz(mu_pris_param=np.array([{}], object)),
        r"expected a readable \.npz",
    ),
}


@pytest.mark.parametrize("name", BAD_NIQE)
def test_a_bad_niqe_file_is_one_line(name, tmp_path):
    content, message = BAD_NIQE[name]
    (tmp_path / "file").write_bytes(content())
    with pytest.raises(ValueError, match=message) as caught:
        convert.convert(tmp_path / "file")
    assert "\n" not in str(caught.value)
