"""Official checkpoints -> weights folders of jaxsr. The format is recognised by the file's content; nothing in a file is executed.

python ports/convert.py --source=stylegan2-ffhq-config-f.pkl --out=ffhq      # then --prior=ffhq, or jaxsr.load_prior("ffhq")
python ports/convert.py --source=vgg16-397923af.pth --out="$JAXSR_WEIGHTS/vgg16"
python ports/convert.py --source=cifar10.pkl --out=cats --label=3            # one class of a class-conditional network

Reads StyleGAN2 and StyleGAN2-ADA TensorFlow pickles, StyleGAN2-ADA-PyTorch pickles (also StyleGAN3's with a StyleGAN2 inside), rosinality's
.pt, and the metric networks (AlexNet, VGG-16, SqueezeNet, LPIPS heads, FID's Inception-V3, IR-101). Seconds to half a minute.
"""

import dataclasses
import datetime
import hashlib
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "experiments")]

import flags  # noqa: E402

from jaxsr import weights  # noqa: E402
from jaxsr.types import Params  # noqa: E402
from ports import metric_networks, stylegan2, torch_files  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to convert.

    source: the checkpoint file.
    out: the folder to write; a folder of weights that is there is replaced.
    label: the class to take of a class-conditional network, from 0.
    """

    source: str | None = None
    out: str | None = None
    label: int | None = None


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(source: str | Path, label: int | None = None) -> tuple[Params, dict[str, Any]]:
    """Parameters and config.json of the checkpoint `source`.

    Args:
        source: the file.
        label: the class to take of a class-conditional network.

    Raises:
        ValueError: no checkpoint of a known format, a damaged or malicious one, or arrays that do not fit (one line, with the file's name).
        OSError: it cannot be read.
    """
    content, form = torch_files.read(source)
    try:
        params, about = _convert(content, label)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    digest = sha256(source)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    origin = {"source": Path(source).name, "source_sha256": digest, "source_format": f"{about.pop('format')}, {form}", "converted": date}
    return params, about | origin


def _convert(content: Any, label: int | None) -> tuple[Params, dict[str, Any]]:
    found = stylegan2.find(content)
    if found is not None:
        params, about = stylegan2.prior(found, label)
        return params, about | {"format": found.format}
    network = metric_networks.find(content)
    if network is None:
        raise ValueError(f"expected StyleGAN2 or a metric network, got {_what(content)}")
    if label is not None:
        raise ValueError(f"expected no --label for a network without classes, got {label}")
    params, about = metric_networks.params(network)
    return params, about | {"format": "torch state dict"}


def _what(content: Any) -> str:
    if isinstance(content, dict):
        return f"a dict with {len(content)} names: {', '.join(str(name)[:40] for name in list(content)[:5])}"
    return f"an object of type {type(content).__name__}"


def main() -> None:
    """Writes the folder --out; nothing is left of it when something is wrong."""
    settings: Settings = SETTINGS()
    for name in ("source", "out"):
        if getattr(settings, name) is None:
            raise ValueError(f"--{name} is missing: python ports/convert.py --source=FILE --out=DIR")
    flags.require(settings, {"label": 0}, ("source", "out"))
    assert settings.source is not None and settings.out is not None
    params, config = convert(settings.source, settings.label)
    name = Path(settings.out).resolve().name
    weights.save(settings.out, params, {"architecture": config.pop("architecture"), "name": name} | config)
    print(f"{settings.out}: {config['source_format']}; licence: {config['licence']}")


if __name__ == "__main__":
    SETTINGS = flags.define(Settings())
    flags.run(main)
