"""StyleGAN2s of BasicSR and of MMagic (MMEditing, MMGeneration): rosinality's network under other
names, so that its table reads them.

| file | BasicSR | MMagic |
|---|---|---|
| recognised by | `style_conv1.activate.bias` | `constant_input.input` |
| mapping network | `style_mlp.1.weight` | `style_mapping.1.linear.weight_orig` |
| a layer's kernel | `style_convs.0.modulated_conv.weight` | `convs.0.conv.weight_orig` |
| its noise map | `noises.noise1` | `injected_noise_1` |

Their names and shapes after XPixelGroup/BasicSR and open-mmlab/mmagic (both Apache-2.0). BasicSR
has a generator with bilinear enlargement of the same names and shapes (`StyleGAN2GeneratorBilinear`
of GFPGAN): nothing tells it from this one.
"""

import re
from typing import NamedTuple

from ports.wrappers import Network


class Names(NamedTuple):
    """How a project's names differ from rosinality's.

    Attributes:
        project: its name.
        generator, discriminator: names that only these have.
        changes: pattern -> what rosinality has in its place; all are made, in their order.
        judged: as `changes`, of the discriminator, before them.
        notes: what is to be told of such a file.
    """

    project: str
    generator: tuple[str, ...]
    discriminator: tuple[str, ...]
    changes: dict[str, str]
    judged: dict[str, str]
    notes: tuple[str, ...] = ()


BASICSR = Names(
    "BasicSR StyleGAN2",
    ("constant_input.weight", "style_conv1.activate.bias"),
    ("conv_body.0.0.weight", "final_linear.0.weight"),
    {
        r"^style_mlp\.": "style.",
        r"^constant_input\.weight$": "input.input",
        r"^(style_conv1|style_convs\.\d+)\.weight$": r"\1.noise.weight",
        r"\.modulated_conv\.": ".conv.",
        r"^style_conv": "conv",
        r"^noises\.noise(\d+)$": r"noises.noise_\1",
    },
    {r"^conv_body\.": "convs."},
)
MMAGIC = Names(
    "MMagic StyleGAN2",
    ("constant_input.input", "conv1.conv.weight_orig"),
    ("convs.0.0.conv.weight_orig", "final_linear.0.linear.weight_orig"),
    {
        r"^style_mapping\.": "style.",
        r"^constant_input\.": "input.",
        r"\.noise_injector\.": ".noise.",
        r"\.style_modulation\.": ".modulation.",
        r"^injected_noise_(\d+)$": r"noises.noise_\1",
        r"\.linear\.weight_orig$": ".weight",
        r"\.weight_orig$": ".weight",
    },
    {r"\.conv\.weight_orig$": ".weight"},
    ("MMagic trains some networks on BGR: where colours look swapped, that is why",),
)


def renamed(network: Network, changes: dict[str, str]) -> Network:
    """The network with rosinality's names. An average of w is left to whoever looks for it."""
    arrays = {}
    for name, value in network.arrays.items():
        for pattern, there in changes.items():
            name = re.sub(pattern, there, name)
        arrays[name] = value
    arrays.pop("w_avg", None)
    return network._replace(arrays=arrays)
