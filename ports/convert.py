"""Official checkpoints -> weights folders of jaxsr. The format is recognised by the file's content; nothing in a file is executed.

python ports/convert.py --source=stylegan2-ffhq-config-f.pkl --out=ffhq      # then --prior=ffhq, or jaxsr.load_prior("ffhq")
python ports/convert.py --source=synthesis.pt --source=mapping.pt --out=pulse
python ports/convert.py --source=G_ema.pth --source=D.pth --label=207 --out=retriever
python ports/convert.py --source=vgg16-397923af.pth --out="$JAXSR_WEIGHTS/vgg16"

Reads StyleGAN2 (TensorFlow, ADA, ADA-PyTorch, in StyleGAN3's files, rosinality), StyleGAN1 (TensorFlow, PULSE's PyTorch), PGGAN
(TensorFlow, three PyTorch ports), BigGAN (BigGAN-PyTorch, pytorch-pretrained-BigGAN) and the metric networks (AlexNet, VGG-16,
SqueezeNet, LPIPS heads, FID's Inception-V3, EfficientNet-Lite0, IR-101, NIQE). Seconds to half a minute.
"""

import dataclasses
import datetime
import hashlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from jaxsr import flags, weights
from jaxsr.metrics.niqe import SHAPES
from jaxsr.types import Params
from ports import biggan, metric_networks, niqe, pggan, priors, stylegan1, stylegan2, torch_files


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to convert.

    source: the checkpoint file; repeated where a network is kept in several.
    out: the folder to write; a folder of weights that is there is replaced.
    label: the class to take of a class-conditional network, from 0.
    truncation: how far a BigGAN's latent is truncated, above 0 and at most 1.
    """

    source: tuple[str, ...] = ()
    out: str | None = None
    label: int | None = None
    truncation: float | None = None


ANY = priors.Choice()


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(*sources: str | Path, choice: priors.Choice = ANY) -> tuple[Params, dict[str, Any]]:
    """Parameters and config.json of a checkpoint.

    Args:
        sources: its file, or its files where a network is kept in several.
        choice: the class, and the truncation, to take of a class-conditional network.

    Raises:
        ValueError: no checkpoint of a known format, a damaged or malicious one, or arrays that do not fit (one line, with the file's name).
        OSError: it cannot be read.
    """
    _check_files(sources)
    read = [niqe.read(source) or torch_files.read(source) for source in sources]
    named = ", ".join(map(str, sources))
    try:
        params, about = _convert([content for content, _ in read], choice)
    except ValueError as error:
        raise ValueError(f"{named}: {error}") from error
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    origin = {
        "source": ", ".join(Path(source).name for source in sources),
        "source_sha256": ", ".join(sha256(source) for source in sources),
        "source_format": ", ".join(dict.fromkeys([about.pop("format"), *(form for _, form in read)])),
        "converted": date,
    }
    return params, about | origin


def _check_files(sources: tuple[str | Path, ...]) -> None:
    for source in map(Path, sources):
        if source.exists() and not source.is_file():
            raise ValueError(f"{source}: expected a file, got {'a folder' if source.is_dir() else 'something else'}")
    if len({Path(source).resolve() for source in sources}) < len(sources):
        raise ValueError(f"expected different files, got one twice: {', '.join(map(str, sources))}")


def find(contents: list[Any]) -> priors.Found | metric_networks.Found:
    """The network in what `torch_files.read` returned of its file or files.

    Raises:
        ValueError: there is none that is known.
    """
    for architecture in (stylegan1, pggan, biggan, stylegan2):  # stylegan2 last: it takes any TensorFlow network
        found = architecture.find(contents)
        if found is not None:
            return found
    network = metric_networks.find(contents[0]) if len(contents) == 1 else None
    if network is None:
        got = "; ".join(_what(content) for content in contents)
        raise ValueError(f"expected a StyleGAN, PGGAN, BigGAN or metric network, got {got}")
    return network


def _convert(contents: list[Any], choice: priors.Choice) -> tuple[Params, dict[str, Any]]:
    if len(contents) == 1 and isinstance(contents[0], dict) and contents[0].keys() == SHAPES.keys():
        choice.none("a network without classes")
        return contents[0], {"architecture": "niqe", "licence": niqe.LICENCE, "format": "NIQE model"}
    found = find(contents)
    if isinstance(found, priors.Found):
        return priors.prior(found, choice)
    choice.none("a network without classes")
    params, about = metric_networks.params(found)
    return params, about | {"format": "torch state dict"}


def _what(content: Any) -> str:
    if isinstance(content, dict):
        return f"a dict with {len(content)} names: {', '.join(str(name)[:40] for name in list(content)[:5])}"
    return f"an object of type {type(content).__name__}"


def main() -> None:
    """Writes the folder --out; nothing is left of it when something is wrong."""
    settings: Settings = SETTINGS()
    for name in ("source", "out"):
        if not getattr(settings, name):
            raise ValueError(f"--{name} is missing or empty: python ports/convert.py --source=FILE --out=DIR")
    flags.require(settings, {"label": 0}, ("source", "out"))
    assert settings.out is not None
    weights.check_target(settings.out)
    params, config = convert(*settings.source, choice=priors.Choice(settings.label, settings.truncation))
    name = Path(settings.out).resolve().name
    weights.save(settings.out, params, {"architecture": config.pop("architecture"), "name": name} | config)
    print(f"{settings.out}: {config['source_format']}; licence: {config['licence']}")
    for note in config.get("notes", []):
        print(f"{settings.out}: {note}")


if __name__ == "__main__":
    SETTINGS = flags.define(Settings())
    flags.run(main)
