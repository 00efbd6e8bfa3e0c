"""State dicts of small GFPGAN and GPEN networks as official files hold them: random arrays by their
official names. No array is at its default, so that one left there shows."""

import numpy as np

SIDE = 16
UNET, GENERATOR = (5, 4, 3), (10, 8, 6)  # channels at 4, 8, 16 px
W_DIM, MAPPING = 8, 2
FIR = (np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64).astype(np.float32)
DECODER = "stylegan_decoder."


def _drawn(shapes, equalised):
    """{name: array}: weights of deviation 1 where the network equalises them, else of what keeps a
    map's size; a mapping network's 100 times that, which its rate takes back."""
    rng, arrays = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        inputs = np.prod(shape[2:] if len(shape) == 5 else shape[1:])
        kernel = len(shape) > 1 and name.endswith(("weight", "kernel")) and "constant" not in name
        deviation = 1 / np.sqrt(inputs) if kernel and not equalised else 1.0 if kernel else 0.3
        if ".style" in name and equalised and "conv" not in name:
            deviation *= 100
        arrays[name] = (deviation * rng.normal(size=shape)).astype(np.float32)
    return arrays


def gfpgan(first):
    """{official name: array} of version 1, or of a clean network."""
    conv = ("0.weight", "1.bias") if first else ("weight", "bias")
    down = ("1.weight", "2.bias") if first else ("weight", "bias")
    up = ("weight", "activation.bias") if first else ("weight", "bias")
    widths, blocks, shapes = UNET[::-1], len(UNET) - 1, {}

    def layer(name, leaves, outputs, inputs, side=3):
        shapes[f"{name}.{leaves[0]}"] = (outputs, inputs, side, side)
        shapes[f"{name}.{leaves[1]}"] = (outputs,)

    layer("conv_body_first", conv, widths[0], 3, 1)
    layer("final_conv", conv, UNET[0], UNET[0])
    for i in range(blocks):
        layer(f"conv_body_down.{i}.conv1", conv, widths[i], widths[i])
        layer(f"conv_body_down.{i}.conv2", down, widths[i + 1], widths[i])
        shapes[f"conv_body_down.{i}.skip.{down[0]}"] = (widths[i + 1], widths[i], 1, 1)
        layer(f"conv_body_up.{i}.conv1", conv, UNET[i], UNET[i])
        layer(f"conv_body_up.{i}.conv2", up, UNET[i + 1], UNET[i])
        shapes[f"conv_body_up.{i}.skip.weight"] = (UNET[i + 1], UNET[i], 1, 1)
        layer(f"toRGB.{i}", ("weight", "bias"), 3, UNET[i + 1], 1)
        for part in ("condition_scale", "condition_shift"):
            for j in (0, 2):
                layer(f"{part}.{i}.{j}", ("weight", "bias"), UNET[i + 1], UNET[i + 1])
    codes = 2 * len(UNET) * W_DIM
    shapes |= {"final_linear.weight": (codes, 16 * UNET[0]), "final_linear.bias": (codes,)}
    return _drawn(shapes | _decoder(first), first)


def _decoder(first):
    shapes = {DECODER + "constant_input.weight": (1, GENERATOR[0], 4, 4)}
    for i in range(MAPPING):
        name = f"{DECODER}style_mlp.{i + 1 if first else 2 * i + 1}"
        shapes |= {f"{name}.weight": (W_DIM, W_DIM), f"{name}.bias": (W_DIM,)}
    layers = [("style_conv1", GENERATOR[0], GENERATOR[0]), ("to_rgb1", 3, GENERATOR[0])]
    for i, (before, width) in enumerate(zip(GENERATOR, GENERATOR[1:], strict=False)):
        layers += [
            (f"style_convs.{2 * i}", width, before),
            (f"style_convs.{2 * i + 1}", width, width),
        ]
        layers += [(f"to_rgbs.{i}", 3, width)]
    for name, outputs, inputs in layers:
        name, side, rgb = DECODER + name, 1 if "rgb" in name else 3, "rgb" in name
        shapes |= {
            f"{name}.modulated_conv.weight": (1, outputs, inputs, side, side),
            f"{name}.modulated_conv.modulation.weight": (inputs, W_DIM),
            f"{name}.modulated_conv.modulation.bias": (inputs,),
        }
        bias = "activate.bias" if first and not rgb else "bias"
        shapes[f"{name}.{bias}"] = (outputs,) if first and not rgb else (1, outputs, 1, 1)
        shapes |= {} if rgb else {f"{name}.weight": (1,)}
    sides = [4 << ((i + 1) // 2) for i in range(2 * len(GENERATOR) - 1)]
    return shapes | {f"{DECODER}noises.noise{i}": (1, 1, s, s) for i, s in enumerate(sides)}


def gpen():
    """{official name: array}, its filters among them."""
    shapes, widths = {}, GENERATOR[::-1]
    shapes |= {"ecd0.0.0.weight": (widths[0], 3, 1, 1), "ecd0.0.1.bias": (widths[0],)}
    for i in range(1, len(widths)):
        shapes[f"ecd{i}.0.1.weight"] = (widths[i], widths[i - 1], 3, 3)
        shapes[f"ecd{i}.0.2.bias"] = (widths[i],)
    shapes |= {
        "final_linear.0.weight": (W_DIM, 16 * GENERATOR[0]),
        "final_linear.0.bias": (W_DIM,),
        "generator.input.input": (1, GENERATOR[0], 4, 4),
    }
    for i in range(MAPPING):
        name = f"generator.style.{i + 1}"
        shapes |= {f"{name}.weight": (W_DIM, W_DIM), f"{name}.bias": (W_DIM,)}
    layers = [("conv1", GENERATOR[0], GENERATOR[0]), ("to_rgb1", 3, 2 * GENERATOR[0])]
    for i, (before, width) in enumerate(zip(GENERATOR, GENERATOR[1:], strict=False)):
        layers += [(f"convs.{2 * i}", width, 2 * before), (f"convs.{2 * i + 1}", width, 2 * width)]
        layers += [(f"to_rgbs.{i}", 3, 2 * width)]
    for name, outputs, inputs in layers:
        name, side, rgb = f"generator.{name}", 1 if "rgb" in name else 3, "rgb" in name
        shapes |= {
            f"{name}.conv.weight": (1, outputs, inputs, side, side),
            f"{name}.conv.modulation.weight": (inputs, W_DIM),
            f"{name}.conv.modulation.bias": (inputs,),
        }
        shapes |= (
            {f"{name}.bias": (1, 3, 1, 1)}
            if rgb
            else {f"{name}.noise.weight": (1,), f"{name}.activate.bias": (2 * outputs,)}
        )
    blocks = len(GENERATOR) - 1
    filters = {f"ecd{i + 1}.0.0.kernel": FIR for i in range(blocks)}
    filters |= {f"generator.convs.{2 * i}.conv.blur.kernel": 4 * FIR for i in range(blocks)}
    filters |= {f"generator.to_rgbs.{i}.upsample.kernel": 4 * FIR for i in range(blocks)}
    return _drawn(shapes, True) | filters
