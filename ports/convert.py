"""Official checkpoints -> weights folders of jaxsr. The format is recognised by the file's content;
nothing in a file is executed.

# then --prior=ffhq, or jaxsr.load_prior("ffhq")
python ports/convert.py --source=stylegan2-ffhq-config-f.pkl --out=ffhq
python ports/convert.py --source=synthesis.pt --source=mapping.pt --out=pulse
python ports/convert.py --source=G_ema.pth --source=D.pth --label=207 --out=retriever
python ports/convert.py --source=vgg16-397923af.pth --out="$JAXSR_WEIGHTS/vgg16"
# then --method=rrdb --model=esrgan
python ports/convert.py --source=RealESRGAN_x4plus.pth --out=esrgan

Seconds to half a minute. ports/__init__.py tells how each format was compared with its original.
"""

import dataclasses
import datetime
import hashlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from jaxsr import flags, weights
from jaxsr.types import Params
from ports import formats, niqe, priors, safetensors_files, torch_files, vdsr


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to convert.

    source: the checkpoint file; repeated where a network is kept in several. Of {formats}.
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
        ValueError: no checkpoint of a known format, a damaged or malicious one, or arrays that do
            not fit (one line, with the file's name).
        OSError: it cannot be read.
    """
    _check_files(sources)
    contents = [read(source) for source in sources]
    named = ", ".join(map(str, sources))
    try:
        taken = formats.find([content for content, _ in contents])
        params, about = taken.port.convert(taken.found, choice)
    except ValueError as error:
        raise ValueError(f"{named}: {error}") from error
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    origin = {
        "source": ", ".join(Path(source).name for source in sources),
        "source_sha256": ", ".join(sha256(source) for source in sources),
        "source_format": ", ".join(
            dict.fromkeys([about.pop("format"), *(form for _, form in contents)])
        ),
        "converted": date,
    }
    notes = [*taken.notes, *about.pop("notes", [])]
    return params, about | origin | ({"notes": notes} if notes else {})


def read(source: str | Path) -> tuple[Any, str]:
    """What a file holds, as inert data, and how it is written.

    Raises:
        ValueError: no checkpoint, or a damaged or malicious one.
        OSError: it cannot be read.
    """
    for reader in (vdsr, niqe, safetensors_files):
        content = reader.read(source)
        if content is not None:
            return content
    return torch_files.read(source)


def _check_files(sources: tuple[str | Path, ...]) -> None:
    for source in map(Path, sources):
        if source.exists() and not source.is_file():
            raise ValueError(
                f"{source}: expected a file, got "
                f"{'a folder' if source.is_dir() else 'something else'}"
            )
    if len({Path(source).resolve() for source in sources}) < len(sources):
        raise ValueError(f"expected different files, got one twice: {', '.join(map(str, sources))}")


def main() -> None:
    """Writes the folder --out; nothing is left of it when something is wrong."""
    settings: Settings = SETTINGS()
    for name in ("source", "out"):
        if not getattr(settings, name):
            raise ValueError(
                f"--{name} is missing or empty: python ports/convert.py --source=FILE --out=DIR"
            )
    flags.require(settings, {"label": 0}, ("source", "out"))
    assert settings.out is not None
    weights.check_target(settings.out)
    params, config = convert(
        *settings.source, choice=priors.Choice(settings.label, settings.truncation)
    )
    name = Path(settings.out).resolve().name
    weights.save(
        settings.out, params, {"architecture": config.pop("architecture"), "name": name} | config
    )
    print(f"{settings.out}: {config['source_format']}; licence: {config['licence']}")
    for note in config.get("notes", []):
        print(f"{settings.out}: {note}")


if __name__ == "__main__":
    SETTINGS = flags.define(
        Settings(), tables={"formats": [port.reads for port in formats.PORTS.values()]}
    )
    flags.run(main)
