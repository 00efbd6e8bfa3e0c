"""PORTS: what a checkpoint may be, told by its content. Rows exclude each other, so that their
order does not matter.

A new port is its file here with a `find`, its row below, and files of its formats in a row of
tests/architectures.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxsr.types import Params
from ports import (
    biggan,
    diffusion,
    gfpgan,
    gpen,
    metric_networks,
    niqe,
    pggan,
    priors,
    realesrgan_discriminator,
    restorers,
    rrdb,
    srvgg,
    stylegan1,
    stylegan2,
    stylegan3,
    vdsr,
    wrappers,
)

Config = dict[str, Any]


class Port(NamedTuple):
    """A row of PORTS.

    Attributes:
        reads: the formats, for people.
        find: (what `torch_files.read` returned of each file) -> what `convert` takes, or None for
            content of another kind. Raises ValueError for one of its formats that is damaged, or
            that ours cannot compute.
        convert: (found, the user's choice) -> parameters and config.json.
    """

    reads: str
    find: Callable[[list[Any]], Any]
    convert: Callable[[Any, priors.Choice], tuple[Params, Config]]


class Taken(NamedTuple):
    """What was made of a file or files.

    Attributes:
        port: that reads it.
        found: what its `convert` takes.
        notes: what is told of the way there.
    """

    port: Port
    found: Any
    notes: tuple[str, ...] = ()


PORTS: dict[str, Port] = {
    "stylegan2": Port(
        "StyleGAN2 (TensorFlow, ADA, ADA-PyTorch, in StyleGAN3's files, rosinality, decoders of "
        "pSp, e4e and ReStyle)",
        stylegan2.find,
        priors.prior,
    ),
    "stylegan3": Port("StyleGAN3 (T and R, NVIDIA's PyTorch)", stylegan3.find, priors.prior),
    "stylegan1": Port("StyleGAN1 (TensorFlow, PULSE's PyTorch)", stylegan1.find, priors.prior),
    "pggan": Port(
        "PGGAN (TensorFlow, genforce, ptrblck, pytorch_GAN_zoo)",
        pggan.find,
        priors.prior,
    ),
    "biggan": Port("BigGAN (BigGAN-PyTorch, pytorch-pretrained-BigGAN)", biggan.find, priors.prior),
    "rrdb": Port(
        "RRDBNet (ESRGAN, BasicSR, Real-ESRGAN, the names of 2018)", rrdb.find, restorers.convert
    ),
    "srvgg": Port("SRVGGNetCompact (Real-ESRGAN)", srvgg.find, restorers.convert),
    "discriminator": Port(
        "Real-ESRGAN's U-Net discriminator", realesrgan_discriminator.find, restorers.convert
    ),
    "gfpgan": Port("GFPGAN (version 1, clean 1.2 to 1.4)", gfpgan.find, restorers.convert),
    "gpen": Port("GPEN", gpen.find, restorers.convert),
    "vdsr": Port("VDSR (MatConvNet's .mat, pytorch-vdsr)", vdsr.find, restorers.convert),
    "diffusion": Port(
        "diffusion models (DDPM of pesser, SDEdit, diffusers; ADM of guided-diffusion)",
        diffusion.find,
        diffusion.converted,
    ),
    "metric network": Port(
        "metric networks (AlexNet, VGG-16, SqueezeNet, LPIPS heads, FID's Inception-V3, "
        "EfficientNet-Lite0, IR-101)",
        metric_networks.find,
        metric_networks.convert,
    ),
    "niqe": Port("NIQE (BasicSR's, the MATLAB release's)", niqe.find, niqe.convert),
}


def find(contents: list[Any]) -> Taken:
    """The port that reads what `torch_files.read` returned of a file or files, or what is left of
    it without wrappers and prefixes.

    Raises:
        ValueError: there is none, or it is a network of theirs that ours does not compute.
    """
    restorers.refuse_strangers(contents)
    lost = next(filter(None, map(wrappers.nameless_average, contents)), ())
    # Priors may need more of a file than one network: settings, a discriminator, a mean of w.
    for port in PORTS.values():
        if port.convert is priors.prior and (found := port.find(contents)) is not None:
            return Taken(port, found, lost)
    for candidate in wrappers.candidates(contents):
        for port in PORTS.values():
            if (found := port.find(candidate.contents)) is not None:
                # Nobody averages a network that measures.
                measures = port.convert is metric_networks.convert
                return Taken(port, found, () if measures else (*candidate.notes, *lost))
    raise ValueError(
        f"expected a checkpoint of {', '.join(PORTS)}; got {'; '.join(map(_what, contents))}"
        + "".join(f"; {note}" for note in lost)
    )


def _what(content: Any) -> str:
    if isinstance(content, dict):
        return (
            f"a dict with {len(content)} names: "
            f"{', '.join(str(name)[:40] for name in list(content)[:5])}"
        )
    return f"an object of type {type(content).__name__}"
