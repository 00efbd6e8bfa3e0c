"""Diffusion models -> folders that `jaxsr.diffusion` reads: with DDPM's names (pesser's, SDEdit's),
those of diffusers, or ADM's (guided-diffusion)."""

import re
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxsr import diffusion
from jaxsr.nets import unet
from jaxsr.types import Params
from ports.layouts import hwio, same
from ports.priors import Choice
from ports.tables import Converted, Row, check, convert, nest

Arrays = dict[str, np.ndarray]


class Layout(NamedTuple):
    """How a file names a network's arrays.

    Attributes:
        format: for people.
        licence: of the published weights, as far as known.
        family: of `unet.Config`.
        rows: the table.
    """

    format: str
    licence: str
    family: str
    rows: list[Row]


class Found(NamedTuple):
    """A diffusion model in a checkpoint."""

    network: Layout
    sources: dict[str, Any]


def find(contents: list[Any]) -> Found | None:
    """The diffusion model in what `torch_files.read` returned of one file (a state dict), or None.

    Raises:
        ValueError: a network of the same family that is no prior over images of three channels.
    """
    if len(contents) > 1 or not isinstance(contents[0], dict):
        return None
    sources = {str(name): value for name, value in contents[0].items()}
    for told, layout in LAYOUTS.items():
        if all(name in sources for name in told):
            _refuse(sources)
            return Found(layout(sources), sources)
    return None


def _refuse(sources: dict[str, Any]) -> None:
    """Raises ValueError for another network of these families, by its name."""
    first = next(sources[name] for name in ("conv_in.weight", FIRST) if name in sources)
    inputs = getattr(first, "shape", (0, 0))[1:2]
    wrong = {
        "a classifier of noisy images (guided-diffusion)": FIRST in sources
        and not any(name.startswith("output_blocks.") for name in sources),
        "an upsampler, which sees a small picture too (guided-diffusion)": inputs == (6,),
        "improved-diffusion's, whose maps are halved by convolutions": any(
            re.fullmatch(r"input_blocks\.\d+\.0\.op\.weight", name) for name in sources
        ),
        "one that is told what to draw by text": any(
            "transformer_blocks" in name or ".attn2." in name for name in sources
        ),
        "one of latents or of other channels than red, green, blue": inputs != (3,),
    }
    for what, is_so in wrong.items():
        if is_so:
            raise ValueError(f"expected a diffusion model over RGB images, got {what}")


# Tables


FIRST = "input_blocks.0.0.weight"


def _conv(source: str, path: str) -> list[Row]:
    return [Row(rf"{source}\.weight", f"{path}/kernel", hwio), _bias(source, path)]


def _line(source: str, path: str) -> list[Row]:
    return [Row(rf"{source}\.weight", f"{path}/kernel", _dense), _bias(source, path)]


def _norm(source: str, path: str) -> list[Row]:
    return [Row(rf"{source}\.weight", f"{path}/scale", same), _bias(source, path)]


def _bias(source: str, path: str) -> Row:
    return Row(rf"{source}\.bias", f"{path}/bias", same)


def _dense(weight: np.ndarray) -> np.ndarray:
    """[outputs, inputs], of a 1 x 1 convolution with sides of 1 behind -> [inputs, outputs]."""
    return weight.reshape(weight.shape[:2]).transpose(1, 0)


def _rows(parts: dict[str, Any], source: str, path: str) -> list[Row]:
    """Rows of a block's parts: {ours: (theirs, what)}."""
    return [
        row
        for ours, (theirs, make) in parts.items()
        for row in make(rf"{source}\.{theirs}", f"{path}/{ours}")
    ]


DDPM_BLOCK = {
    "norm1": ("norm1", _norm),
    "conv1": ("conv1", _conv),
    "time": ("temb_proj", _line),
    "norm2": ("norm2", _norm),
    "conv2": ("conv2", _conv),
    "skip": ("nin_shortcut", _line),
}
DDPM_ATTENTION = {
    "norm": ("norm", _norm),
    "query": ("q", _line),
    "key": ("k", _line),
    "value": ("v", _line),
    "out": ("proj_out", _line),
}


def _ddpm(sources: dict[str, Any]) -> Layout:
    rows = [
        *_line(r"temb\.dense\.([01])", "time/dense{0}"),
        *_conv("conv_in", "conv_in"),
        *_norm("norm_out", "norm_out"),
        *_conv("conv_out", "conv_out"),
        *_rows(DDPM_BLOCK, r"(down|up)\.(\d+)\.block\.(\d+)", "{0}/{1}/blocks/{2}"),
        *_rows(DDPM_ATTENTION, r"(down|up)\.(\d+)\.attn\.(\d+)", "{0}/{1}/attention/{2}"),
        *_conv(r"(down|up)\.(\d+)\.(?:down|up)sample\.(?:conv|op)", "{0}/{1}/resample"),
        *_rows(DDPM_BLOCK, r"mid\.block_1", "middle/block0"),
        *_rows(DDPM_ATTENTION, r"mid\.attn_1", "middle/attention"),
        *_rows(DDPM_BLOCK, r"mid\.block_2", "middle/block1"),
    ]
    return Layout("DDPM (pesser, SDEdit)", "not stated by the files' authors", "ddpm", rows)


DIFFUSERS_BLOCK = DDPM_BLOCK | {
    "time": ("time_emb_proj", _line),
    "skip": ("conv_shortcut", _line),
}
DIFFUSERS_ATTENTION = {
    "norm": ("group_norm", _norm),
    "query": ("(?:query|to_q)", _line),
    "key": ("(?:key|to_k)", _line),
    "value": ("(?:value|to_v)", _line),
    "out": (r"(?:proj_attn|to_out\.0)", _line),
}


def _diffusers(sources: dict[str, Any]) -> Layout:
    """Its blocks on the way up are numbered from the coarsest."""
    levels = _count(sources, r"down_blocks\.(\d+)\.resnets\.0\.conv1\.weight")
    sides = [(rf"down_blocks\.{i}", f"down/{i}") for i in range(levels)]
    sides += [(rf"up_blocks\.{i}", f"up/{levels - 1 - i}") for i in range(levels)]
    rows = [
        *_line(r"time_embedding\.linear_1", "time/dense0"),
        *_line(r"time_embedding\.linear_2", "time/dense1"),
        *_conv("conv_in", "conv_in"),
        *_norm("conv_norm_out", "norm_out"),
        *_conv("conv_out", "conv_out"),
        *_rows(DIFFUSERS_BLOCK, r"mid_block\.resnets\.([01])", "middle/block{0}"),
        *_rows(DIFFUSERS_ATTENTION, r"mid_block\.attentions\.0", "middle/attention"),
    ]
    for theirs, ours in sides:
        rows += _rows(DIFFUSERS_BLOCK, rf"{theirs}\.resnets\.(\d+)", ours + "/blocks/{0}")
        rows += _rows(DIFFUSERS_ATTENTION, rf"{theirs}\.attentions\.(\d+)", ours + "/attention/{0}")
        rows += _conv(rf"{theirs}\.(?:down|up)samplers\.0\.conv", f"{ours}/resample")
    return Layout("DDPM (diffusers)", "Apache-2.0, as the card of google/ddpm says", "ddpm", rows)


ADM_BLOCK = {
    "norm1": (r"in_layers\.0", _norm),
    "conv1": (r"in_layers\.2", _conv),
    "time": (r"emb_layers\.1", _line),
    "norm2": (r"out_layers\.0", _norm),
    "conv2": (r"out_layers\.3", _conv),
    "skip": ("skip_connection", _line),
}
ADM_ATTENTION = {"norm": ("norm", _norm), "qkv": ("qkv", _line), "out": ("proj_out", _line)}


def _adm(sources: dict[str, Any]) -> Layout:
    """Blocks are counted through all levels, each with what stands behind it."""
    # The first block that doubles maps is the last of its level.
    doubling = [
        int(m[1])
        for name in sources
        if (m := re.fullmatch(r"output_blocks\.(\d+)\.[12]\.in_layers\.0\.weight", name))
    ]
    count = _count(sources, r"input_blocks\.(\d+)\.0\..*")
    blocks = max(min(doubling, default=count - 1), 1)
    levels = max(count // (blocks + 1), 1)
    rows = [
        *_line(r"time_embed\.0", "time/dense0"),
        *_line(r"time_embed\.2", "time/dense1"),
        Row(r"label_emb\.weight", "labels", same),
        *_conv(r"input_blocks\.0\.0", "conv_in"),
        *_norm(r"out\.0", "norm_out"),
        *_conv(r"out\.2", "conv_out"),
        *_rows(ADM_BLOCK, r"middle_block\.0", "middle/block0"),
        *_rows(ADM_ATTENTION, r"middle_block\.1", "middle/attention"),
        *_rows(ADM_BLOCK, r"middle_block\.2", "middle/block1"),
    ]
    for level in range(levels):
        for i in range(blocks):
            source = rf"input_blocks\.{1 + level * (blocks + 1) + i}"
            rows += _adm_block(source, f"down/{level}", i)
        after = rf"input_blocks\.{(level + 1) * (blocks + 1)}"
        rows += _rows(ADM_BLOCK, rf"{after}\.0", f"down/{level}/resample")
        for i in range(blocks + 1):
            source = rf"output_blocks\.{(levels - 1 - level) * (blocks + 1) + i}"
            rows += _adm_block(source, f"up/{level}", i)
        rows += _rows(ADM_BLOCK, rf"{source}\.[12]", f"up/{level}/resample")
    told = "MIT code; OpenAI's card restricts the use to research; of others' files not stated"
    return Layout("ADM (guided-diffusion)", told, "adm", rows)


def _adm_block(source: str, path: str, i: int) -> list[Row]:
    return [
        *_rows(ADM_BLOCK, rf"{source}\.0", f"{path}/blocks/{i}"),
        *_rows(ADM_ATTENTION, rf"{source}\.1", f"{path}/attention/{i}"),
    ]


def _count(sources: dict[str, Any], pattern: str) -> int:
    """How many numbers the pattern's first group takes."""
    return len({m[1] for name in sources if (m := re.fullmatch(pattern, name))})


# Names that a layout alone has.
LAYOUTS = {
    ("temb.dense.0.weight", "conv_in.weight"): _ddpm,
    ("time_embedding.linear_1.weight", "conv_in.weight"): _diffusers,
    ("time_embed.0.weight", FIRST): _adm,
}


# From arrays to a model


class Published(NamedTuple):
    """What the arrays of a network do not tell.

    Attributes:
        schedule: of its noise.
        split_first: whether queries, keys and values are split before the heads.
        heads: of each attention; 0: heads of 64 channels.
    """

    schedule: Literal["linear", "cosine"] = "linear"
    split_first: bool = False
    heads: int = 0


# By the multipliers of the widths, from guided-diffusion's README; others are alike.
ADM = {(1, 2, 3, 4): Published("cosine", split_first=True), (1, 1, 2, 3, 4): Published(heads=4)}
HEAD_WIDTH = 64


def converted(found: Found, choice: Choice) -> tuple[Params, dict[str, Any]]:
    """Parameters (float32) of the network and what config.json says of them.

    A class-conditional network becomes that of one class, whose embedding joins the bias behind
    that of the step.

    Raises:
        ValueError: arrays are missing, left over or of the wrong shape, with the lists; a class is
            missing, or there is none.
    """
    layout, got = found.network, convert(found.network.rows, found.sources)
    labels = got.arrays.pop("labels", None)
    try:
        net, published = _settled(layout.family, got.arrays)
    except (IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(
            f"expected the arrays of a {layout.format} network, got some of other shapes ({error})"
        ) from error
    arrays = _one_class(_parted(got.arrays, net, published), labels, choice)
    leaves = jax.tree_util.tree_leaves_with_path(
        jax.eval_shape(lambda: unet.init(jax.random.key(0), net))
    )
    expected = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape for path, leaf in leaves
    }
    check(
        f"a {layout.format} network of {net.resolution} px",
        Converted(arrays, got.left_over, got.refused),
        expected,
    )
    about = {"licence": layout.licence, "format": layout.format}
    chosen = {} if choice.label is None else {"label": choice.label}
    model = diffusion.Model(net, diffusion.Schedule(published.schedule))
    return nest(arrays), diffusion.described(model) | about | chosen


def _settled(family: str, arrays: Arrays) -> tuple[unet.Config, Published]:
    """The sizes of a network, from the shapes; and what is known of the published one."""
    found = [re.match(r"down/(\d+)/blocks/(\d+)/conv1/kernel", path) for path in arrays]
    places = {(int(m[1]), int(m[2])) for m in found if m}
    levels = range(len({level for level, _ in places}))
    width = arrays["time/dense0/kernel"].shape[0]
    widths = tuple(arrays[f"down/{level}/blocks/0/conv1/kernel"].shape[3] for level in levels)
    attending = [level for level in levels if f"down/{level}/attention/0/norm/scale" in arrays]
    if not attending:
        raise ValueError("expected a network with attention, which tells its resolution, got none")
    # As published: one level attends at 16 px, the first of several at 32.
    resolution = (16 if len(attending) == 1 else 32) << attending[0]
    published = Published()
    if family == "adm":
        published = ADM.get(tuple(w // width for w in widths), published)
    net = unet.Config(
        resolution,
        width,
        widths,
        blocks=len({block for _, block in places}),
        attention=tuple(resolution >> level for level in attending),
        family="adm" if family == "adm" else "ddpm",
        heads=published.heads or 1,
        head_width=HEAD_WIDTH if family == "adm" and not published.heads else 0,
        outputs=arrays["conv_out/kernel"].shape[3],
    )
    return net, published


def _parted(arrays: Arrays, net: unet.Config, published: Published) -> Arrays:
    """ADM's queries, keys and values, which lie in one array, each in its own."""
    parted: Arrays = {}
    for path, array in arrays.items():
        if "/qkv/" not in path:
            parted[path] = array
            continue
        channels = array.shape[-1] // 3
        heads = net.heads_of(channels)
        order = (3, heads, -1) if published.split_first else (heads, 3, channels // heads)
        split = array.reshape(*array.shape[:-1], *order)
        axis = split.ndim - (3 if published.split_first else 2)
        for i, name in enumerate(("query", "key", "value")):
            one = split.take(i, axis).reshape(*array.shape[:-1], channels)
            parted[path.replace("/qkv/", f"/{name}/")] = one
    return parted


def _one_class(arrays: Arrays, labels: np.ndarray | None, choice: Choice) -> Arrays:
    if choice.truncation is not None:
        raise ValueError(f"expected no --truncation for a diffusion model, got {choice.truncation}")
    if labels is None:
        choice.none("a network without classes")
        return arrays
    if choice.label is None or not 0 <= choice.label < len(labels):
        raise ValueError(
            f"expected --label=N from 0 to {len(labels) - 1} for a network of classes, got "
            f"{choice.label}"
        )
    bias = "time/dense1/bias"
    return arrays | {bias: arrays[bias] + labels[choice.label]}
