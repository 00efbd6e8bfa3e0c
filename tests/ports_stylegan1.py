"""Writes small checkpoints of StyleGAN1 in every format."""

import re

import numpy as np
import ports_files as files
import reference_progressive as reference
from ports_progressive import (
    LAYERS,
    W_DIM,
    WIDTHS,
    Z_DIM,
    Case,
    Draw,
    at_sides,
    discriminator,
    level,
    network,
    oihw,
    scores,
    tensors,
)


def stylegan1(resolution=16, seed=0):
    """Variables of Gs, those of components as "mapping/..." and "synthesis/...", and of D."""
    draw, widths, synthesis = Draw(seed), WIDTHS[resolution], "synthesis"
    for i in range(LAYERS):
        inputs, outputs = Z_DIM if i == 0 else W_DIM, W_DIM
        draw(f"mapping/Dense{i}/weight", inputs, outputs, scale=100)
        draw(f"mapping/Dense{i}/bias", outputs, scale=100)
    draw("dlatent_avg", W_DIM)
    # So small that the normalisation's eps shows.
    draw(f"{synthesis}/4x4/Const/const", 1, widths[0], 4, 4, scale=0.01)
    before = widths[0]
    for index, (side, width) in enumerate(at_sides(widths)):
        block = f"{synthesis}/{side}x{side}"
        first, second = ("Const", "Conv") if side == 4 else ("Conv0_up", "Conv1")
        for layer, inputs, name in ((2 * index, before, first), (2 * index + 1, width, second)):
            if name != "Const":
                draw(f"{block}/{name}/weight", 3, 3, inputs, width)
            draw(f"{block}/{name}/bias", width)
            draw(f"{block}/{name}/Noise/weight", width, scale=0.01 if name == "Const" else 0.5)
            draw.layer(f"{block}/{name}/StyleMod", W_DIM, 2 * width)
            draw(f"{synthesis}/noise{layer}", 1, 1, side, side)
        draw.layer(f"{synthesis}/ToRGB_lod{level(side, resolution)}", 1, 1, width, 3, scale=0.3)
        before = width
    return draw.variables, discriminator(widths, seed + 1, "Conv1_down")


def stylegan1_pickle(networks, settings=None, d_settings=None, lod=0.0, protocol=4):
    """(G, D, Gs) of NVIDIA's StyleGAN1 code; the settings go to Gs and its components, and to D. G
    holds other numbers."""
    (g, d), settings = networks, settings or {}

    def generator(name, variables):
        parts = {
            part: {
                n.removeprefix(f"{part}/"): x
                for n, x in variables.items()
                if n.startswith(f"{part}/")
            }
            for part in PARTS
        }
        parts["synthesis"] = {"lod": np.float32(lod)} | parts["synthesis"]
        components = {
            part: network(files.NETWORK, 3, f"G_{part}", inner, settings, {})
            for part, inner in parts.items()
        }
        own = {"lod": np.float32(lod), "dlatent_avg": variables["dlatent_avg"]}
        return network(files.NETWORK, 3, name, own, settings, components)

    score = network(files.NETWORK, 3, "D", {"lod": np.float32(lod)} | d, d_settings or {}, {})
    return files.pickled(
        (generator("G", {n: x + 1 for n, x in g.items()}), score, generator("Gs", g)), protocol
    )


PARTS = ("synthesis", "mapping")


def _same(array):
    return array


PULSE = [
    (r"(Const)/const", "const", _same),
    (r"(Const)/bias", "bias", _same),
    (r"(Conv\w*)/weight", "{layer}.weight", oihw),
    (r"(Conv\w*)/bias", "{layer}.bias", _same),
    (r"(\w+)/Noise/weight", "epi{i}.noise.weight", _same),
    (r"(\w+)/StyleMod/weight", "epi{i}.style_mod.lin.weight", np.transpose),
    (r"(\w+)/StyleMod/bias", "epi{i}.style_mod.lin.bias", _same),
]


def pulse(variables):
    """PULSE's synthesis.pt, mapping.pt and gaussian_fit.pt as dicts; the last holds two random
    vectors."""
    mapping = {
        f"dense{i}.{k}": variables[f"mapping/Dense{i}/{k}"].T
        for i in range(LAYERS)
        for k in ("weight", "bias")
    }
    synthesis = {}
    for name, x in variables.items():
        for pattern, new, layout in PULSE:
            if match := re.fullmatch(r"synthesis/(\d+x\d+)/" + pattern, name):
                block, *layer = match.groups()
                epilogue = {"Const": 1, "Conv0_up": 1, "Conv": 2, "Conv1": 2}.get(*layer)
                synthesis[f"blocks.{block}." + new.format(layer=layer[0].lower(), i=epilogue)] = (
                    layout(x)
                )
        if name.endswith("Conv0_up/weight"):
            block = name.split("/")[1]
            synthesis[f"blocks.{block}.conv0_up.intermediate.kernel"] = (
                np.outer([1, 2, 1], [1, 2, 1])[None, None] / 16
            )
    synthesis |= {
        "torgb.weight": oihw(variables["synthesis/ToRGB_lod0/weight"]),
        "torgb.bias": variables["synthesis/ToRGB_lod0/bias"],
    }
    rng = np.random.default_rng(5)
    return (
        tensors(synthesis),
        tensors(mapping),
        tensors({"mean": rng.normal(size=W_DIM), "std": rng.uniform(size=W_DIM)}),
    )


def pulse_one(variables):
    """The same in one dict, with the average of w instead of the fit."""
    synthesis, mapping, _ = pulse(variables)
    state = {f"g_synthesis.{n}": x for n, x in synthesis.items()} | {
        f"g_mapping.{n}": x for n, x in mapping.items()
    }
    return state | tensors({"truncation.avg_latent": variables["dlatent_avg"]})


def noise_of(variables):
    """StyleGAN1's noise maps."""
    count = sum(name.startswith("synthesis/noise") for name in variables)
    return [variables[f"synthesis/noise{i}"][0, 0] for i in range(count)]


def _case(contents, variables, options, noise=None, logits=None, lr=0.01):
    def image(w_plus, noise):
        return reference.stylegan1_synthesis(variables, w_plus, noise, **options)

    def mapping(z):
        return reference.stylegan1_mapping(variables, z[None], lr)[0]

    return Case(contents, variables, options, image, mapping, noise, logits)


def _tensorflow(resolution, fused="auto", lr=0.01):
    g, d = stylegan1(resolution)
    settings = {
        name: value
        for name, value in {"fused_scale": fused, "mapping_lrmul": lr}.items()
        if value not in ("auto", 0.01)
    }
    content = stylegan1_pickle((g, d), settings, {"mbstd_group_size": 2, "fused_scale": fused})
    logits = scores(reference.stylegan1_discriminator, d, fused, 2)
    return _case([content], g, {"fused": fused}, noise_of(g), logits, lr)


def _pulse(resolution, split):
    variables = stylegan1(resolution)[0]
    contents = (
        [files.zipped(part) for part in pulse(variables)]
        if split
        else [files.legacy(pulse_one(variables))]
    )
    return _case(contents, variables, {"eps": 1e-5})


FORMATS = {
    "TensorFlow": lambda: _tensorflow(128),
    "TensorFlow, fused": lambda: _tensorflow(16, True, 0.02),
    "TensorFlow, not fused": lambda: _tensorflow(128, False),
    "PULSE": lambda: _pulse(128, True),
    "PULSE in one file": lambda: _pulse(16, False),
}
