"""Files of diffusion models as their projects write them: our parameters under the official names,
walked through as the official code builds its modules."""

import jax
import numpy as np
import ports_files as files

from jaxsr.nets import unet


def _flat(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def random(config, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: unet.init(jax.random.key(0), config))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


class Writer:
    """Collects arrays under official names."""

    def __init__(self, params):
        self.ours, self.theirs = _flat(params), {}

    def conv(self, ours, theirs):
        kernel = self.ours.pop(f"{ours}/kernel")
        self.theirs[f"{theirs}.weight"] = kernel.transpose(3, 2, 0, 1)
        self.theirs[f"{theirs}.bias"] = self.ours.pop(f"{ours}/bias")

    def line(self, ours, theirs, sides=0):
        """A dense layer, or a convolution of 1 x 1 with so many sides of 1."""
        kernel = self.ours.pop(f"{ours}/kernel").T
        self.theirs[f"{theirs}.weight"] = kernel.reshape(*kernel.shape, *[1] * sides)
        self.theirs[f"{theirs}.bias"] = self.ours.pop(f"{ours}/bias")

    def norm(self, ours, theirs):
        self.theirs[f"{theirs}.weight"] = self.ours.pop(f"{ours}/scale")
        self.theirs[f"{theirs}.bias"] = self.ours.pop(f"{ours}/bias")

    def has(self, ours):
        return any(path.startswith(ours + "/") for path in self.ours)

    def block(self, ours, theirs, names):
        norm1, conv1, time, norm2, conv2, skip = names
        self.norm(f"{ours}/norm1", f"{theirs}.{norm1}")
        self.conv(f"{ours}/conv1", f"{theirs}.{conv1}")
        self.line(f"{ours}/time", f"{theirs}.{time}")
        self.norm(f"{ours}/norm2", f"{theirs}.{norm2}")
        self.conv(f"{ours}/conv2", f"{theirs}.{conv2}")
        if self.has(f"{ours}/skip"):
            self.line(f"{ours}/skip", f"{theirs}.{skip}", sides=2)

    def attention(self, ours, theirs, names, sides):
        norm, *lines = names
        self.norm(f"{ours}/norm", f"{theirs}.{norm}")
        for name, official in zip(("query", "key", "value", "out"), lines, strict=True):
            self.line(f"{ours}/{name}", f"{theirs}.{official}", sides)


DDPM = ("norm1", "conv1", "temb_proj", "norm2", "conv2", "nin_shortcut")
DDPM_ATTENTION = ("norm", "q", "k", "v", "proj_out")


def ddpm(config, params):
    to = Writer(params)
    to.line("time/dense0", "temb.dense.0")
    to.line("time/dense1", "temb.dense.1")
    to.conv("conv_in", "conv_in")
    for way, resample in (("down", "downsample"), ("up", "upsample")):
        for level in range(len(config.widths)):
            for i in range(config.blocks + (way == "up")):
                to.block(f"{way}/{level}/blocks/{i}", f"{way}.{level}.block.{i}", DDPM)
                if to.has(f"{way}/{level}/attention/{i}"):
                    ours, theirs = f"{way}/{level}/attention/{i}", f"{way}.{level}.attn.{i}"
                    to.attention(ours, theirs, DDPM_ATTENTION, 2)
            if to.has(f"{way}/{level}/resample"):
                to.conv(f"{way}/{level}/resample", f"{way}.{level}.{resample}.conv")
    to.block("middle/block0", "mid.block_1", DDPM)
    to.attention("middle/attention", "mid.attn_1", DDPM_ATTENTION, 2)
    to.block("middle/block1", "mid.block_2", DDPM)
    to.norm("norm_out", "norm_out")
    to.conv("conv_out", "conv_out")
    assert not to.ours
    return to.theirs


DIFFUSERS = ("norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut")
OLD = ("group_norm", "query", "key", "value", "proj_attn")
NEW = ("group_norm", "to_q", "to_k", "to_v", "to_out.0")


def diffusers(config, params, attention=NEW):
    to, levels = Writer(params), len(config.widths)
    to.line("time/dense0", "time_embedding.linear_1")
    to.line("time/dense1", "time_embedding.linear_2")
    to.conv("conv_in", "conv_in")
    for way, sampler in (("down", "downsamplers"), ("up", "upsamplers")):
        for number in range(levels):
            level = number if way == "down" else levels - 1 - number
            for i in range(config.blocks + (way == "up")):
                at = f"{way}_blocks.{number}"
                to.block(f"{way}/{level}/blocks/{i}", f"{at}.resnets.{i}", DIFFUSERS)
                if to.has(f"{way}/{level}/attention/{i}"):
                    ours = f"{way}/{level}/attention/{i}"
                    to.attention(ours, f"{at}.attentions.{i}", attention, 0)
            if to.has(f"{way}/{level}/resample"):
                to.conv(f"{way}/{level}/resample", f"{at}.{sampler}.0.conv")
    to.block("middle/block0", "mid_block.resnets.0", DIFFUSERS)
    to.attention("middle/attention", "mid_block.attentions.0", attention, 0)
    to.block("middle/block1", "mid_block.resnets.1", DIFFUSERS)
    to.norm("norm_out", "conv_norm_out")
    to.conv("conv_out", "conv_out")
    assert not to.ours
    return to.theirs


ADM = (
    "in_layers.0",
    "in_layers.2",
    "emb_layers.1",
    "out_layers.0",
    "out_layers.3",
    "skip_connection",
)


def _adm_attention(to, config, ours, theirs, split_first):
    to.norm(f"{ours}/norm", f"{theirs}.norm")
    to.line(f"{ours}/out", f"{theirs}.proj_out", 1)
    for leaf, name in (("kernel", "weight"), ("bias", "bias")):
        three = [to.ours.pop(f"{ours}/{part}/{leaf}").T for part in ("query", "key", "value")]
        channels = len(three[0])
        size = channels // config.heads_of(channels)
        if not split_first:  # each head's own three, one head after the other
            three = [
                one[first : first + size] for first in range(0, channels, size) for one in three
            ]
        whole = np.concatenate(three)
        to.theirs[f"{theirs}.qkv.{name}"] = whole[..., None] if leaf == "kernel" else whole


def _adm_block(to, config, ours, theirs, split_first):
    """A block and its attention, if any; the number of the next part."""
    to.block(ours, f"{theirs}.0", ADM)
    attention = ours.replace("/blocks/", "/attention/")
    if not to.has(attention):
        return 1
    _adm_attention(to, config, attention, f"{theirs}.1", split_first)
    return 2


def _adm_down(to, config, split_first):
    n = 1
    for level in range(len(config.widths)):
        for i in range(config.blocks):
            _adm_block(to, config, f"down/{level}/blocks/{i}", f"input_blocks.{n}", split_first)
            n += 1
        if to.has(f"down/{level}/resample"):
            to.block(f"down/{level}/resample", f"input_blocks.{n}.0", ADM)
            n += 1


def _adm_up(to, config, split_first):
    n = 0
    for level in reversed(range(len(config.widths))):
        for i in range(config.blocks + 1):
            ours, theirs = f"up/{level}/blocks/{i}", f"output_blocks.{n}"
            part = _adm_block(to, config, ours, theirs, split_first)
            if i == config.blocks and to.has(f"up/{level}/resample"):
                to.block(f"up/{level}/resample", f"{theirs}.{part}", ADM)
            n += 1


def adm(config, params, split_first=False, classes=0):
    to = Writer(params)
    to.line("time/dense0", "time_embed.0")
    to.line("time/dense1", "time_embed.2")
    to.conv("conv_in", "input_blocks.0.0")
    _adm_down(to, config, split_first)
    to.block("middle/block0", "middle_block.0", ADM)
    _adm_attention(to, config, "middle/attention", "middle_block.1", split_first)
    to.block("middle/block1", "middle_block.2", ADM)
    _adm_up(to, config, split_first)
    to.norm("norm_out", "out.0")
    to.conv("conv_out", "out.2")
    assert not to.ours
    if classes:
        rng = np.random.default_rng(9)
        labels = rng.normal(size=(classes, 4 * config.width)).astype(np.float32)
        to.theirs["label_emb.weight"] = labels
    return to.theirs


def state_dict(arrays, prefix=""):
    """What torch.save writes of arrays by name."""
    return {prefix + name: files.Tensor(array) for name, array in arrays.items()}
