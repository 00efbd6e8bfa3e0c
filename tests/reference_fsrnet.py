"""A slow float64 FSRNet written from the paper, on a list of photos [h, w, 3]. It takes our
parameters; with `kept` None every normalisation is by the photos' own mean and variance."""

import jax
import numpy as np
from reference_upscalers import conv, nearest


def _branch(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


class Slow:
    """The parts of the network, each on a list of maps; `kept` follows `params` branch by
    branch."""

    def __init__(self, config):
        self.config = config

    def conv(self, p, maps, stride=1):
        kernel, bias = np.asarray(p["kernel"]).transpose(3, 2, 0, 1), p.get("bias")
        return [conv(x, kernel, bias, stride) for x in maps]

    def norm(self, p, kept, maps):
        pixels = np.concatenate([x.reshape(-1, x.shape[-1]) for x in maps])
        mean, var = pixels.mean(0), ((pixels - pixels.mean(0)) ** 2).mean(0)
        if kept is not None:
            mean, var = np.float64(kept["mean"]), np.float64(kept["var"])
        return [(x - mean) / np.sqrt(var + 1e-5) * p["scale"] + p["bias"] for x in maps]

    def activated(self, p, kept, maps, stride=1):
        maps = self.norm(p["norm"], kept and kept["norm"], self.conv(p["conv"], maps, stride))
        return [np.maximum(x, 0) for x in maps]

    def residuals(self, p, kept, maps, count):
        for i in range(count):
            q, k = _branch(p, i), kept and _branch(kept, i)
            y = self.activated(q["first"], k and k["first"], maps)
            y = self.norm(q["norm"], k and k["norm"], self.conv(q["conv"], y))
            maps = [a + b for a, b in zip(maps, y, strict=True)]
        return maps

    def bottleneck(self, p, kept, maps):
        y = maps
        for i in range(3):
            y = self.norm(p[f"norm{i}"], kept and kept[f"norm{i}"], y)
            y = self.conv(p[f"conv{i}"], [np.maximum(x, 0) for x in y])
        around = self.conv(p["skip"], maps) if "skip" in p else maps
        return [a + b for a, b in zip(around, y, strict=True)]

    def hourglass(self, p, kept, maps, level=0):
        """From its outer size to the inner one, by recursion."""

        def block(name, maps):
            return self.bottleneck(p[name], kept and kept[name], maps)

        if level == self.config.levels:
            return block("middle", maps)
        halves = [np.maximum.reduce([x[i::2, j::2] for i in (0, 1) for j in (0, 1)]) for x in maps]
        inner = self.hourglass(p, kept, block(f"down{level}", halves), level + 1)
        inner = [nearest(x, 2) for x in block(f"up{level}", inner)]
        return [a + b for a, b in zip(block(f"keep{level}", maps), inner, strict=True)]

    def transposed(self, p, kept, maps):
        """Each pixel adds the kernel to the 3 x 3 pixels around its place in the larger map."""
        kernel, made = np.float64(p["conv"]["kernel"]), []
        for x in maps:
            h, w, _ = x.shape
            y = np.zeros((2 * h + 2, 2 * w + 2, kernel.shape[-1]))
            for i in range(3):
                for j in range(3):
                    y[2 - i : 2 - i + 2 * h : 2, 2 - j : 2 - j + 2 * w : 2] += x @ kernel[i, j]
            made.append(y[1:-1, 1:-1])
        return [np.maximum(x, 0) for x in self.norm(p["norm"], kept and kept["norm"], made)]


def fsrnet(config, net, kept, images):
    """(restored, coarse, maps), each a list."""
    slow = Slow(config)

    def at(name):
        return net[name], kept and kept[name]

    x = slow.activated(*at("coarse_in"), [np.float64(image) for image in images])
    x = slow.residuals(*at("coarse"), x, config.coarse_blocks)
    coarse = slow.conv(net["coarse_out"], x)
    parts = slow.bottleneck(*at("parsing_widen"), slow.activated(*at("parsing_in"), coarse, 2))
    parts = slow.residuals(*at("parsing"), parts, 2)
    stack, stack_kept = at("hourglasses")
    for i in range(config.hourglasses):
        parts = slow.hourglass(_branch(stack, i), stack_kept and _branch(stack_kept, i), parts)
    x = slow.residuals(
        *at("encoder"), slow.activated(*at("encoder_in"), coarse, 2), config.encoder_blocks
    )
    x = slow.conv(net["encoder_out"], x)
    x = [np.concatenate(pair, -1) for pair in zip(x, parts, strict=True)]
    x = slow.transposed(*at("decoder_up"), slow.activated(*at("decoder_in"), x))
    x = slow.residuals(*at("decoder"), x, config.coarse_blocks)
    return slow.conv(net["decoder_out"], x), coarse, slow.conv(net["maps"], parts)
