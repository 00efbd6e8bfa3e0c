"""Writes small checkpoints of StyleGAN2 in every format, from our parameters."""

import jax
import numpy as np
import reference_stylegan2 as reference
from ports_files import NETWORK, Module, Tensor, Written, legacy, pickled, zipped

from jaxsr.nets import stylegan2

CONFIG = stylegan2.Config(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channels=(8, 8, 4))
FIR = (np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64).astype(np.float32)


def random_params(seed=0, config=CONFIG):
    """Every array random, so that one left at its default shows."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: stylegan2.init(jax.random.key(0), config))
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    # In their order, which tree.map sorted away.
    blocks = {f"b{r}": params["synthesis"][f"b{r}"] for r in config.resolutions}
    # Mapping: 1 / lr.
    return params | {
        "mapping": jax.tree.map(lambda x: 100 * x, params["mapping"]),
        "synthesis": blocks,
    }


def _torch(kernel):
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


def _linear(p):
    return {"weight": np.ascontiguousarray(p["kernel"].T), "bias": p["bias"]}


def _unflatten(kernel):
    """Rows in the order h, w, c -> c, h, w; [inputs, outputs]."""
    return kernel.reshape(4, 4, -1, kernel.shape[-1]).transpose(2, 0, 1, 3).reshape(kernel.shape)


def ada_generator(params, facts=None):
    fc = {
        f"fc{i}": Module("FullyConnectedLayer", _linear(p), facts={"bias_gain": 0.01})
        for i, p in enumerate(params["mapping"].values())
    }
    noise, blocks = iter(params["noise"]), {}
    for name, block in params["synthesis"].items():
        inner = {}
        for layer in sorted(set(block) & {"conv0", "conv1"}):
            p = block[layer]
            own = {
                "weight": _torch(p["kernel"]),
                "bias": p["bias"],
                "noise_strength": p["noise_strength"],
            }
            affine = {"affine": Module("FullyConnectedLayer", _linear(p["affine"]))}
            inner[layer] = Module(
                "SynthesisLayer", own, {"noise_const": next(noise), "resample_filter": FIR}, affine
            )
        rgb = block["torgb"]
        affine = {"affine": Module("FullyConnectedLayer", _linear(rgb["affine"]))}
        inner["torgb"] = Module(
            "ToRGBLayer",
            {"weight": rgb["kernel"].T[:, :, None, None], "bias": rgb["bias"]},
            {},
            affine,
        )
        const = {"const": block["const"].transpose(2, 0, 1)} if "const" in block else {}
        blocks[name] = Module("SynthesisBlock", const, {"resample_filter": FIR}, inner)
    mapping = Module("MappingNetwork", {}, {"w_avg": params["statistics"]["w_mean"]}, fc)
    return Module(
        "Generator",
        modules={"mapping": mapping, "synthesis": Module("SynthesisNetwork", modules=blocks)},
        facts=facts,
    )


def ada_discriminator(params, group=4):
    d, blocks = params["discriminator"], {}
    for name in sorted((n for n in d if n.startswith("b")), key=lambda n: -int(n[1:])):
        convs = {
            layer: Module(
                "Conv2dLayer",
                {"weight": _torch(p["kernel"])} | ({"bias": p["bias"]} if "bias" in p else {}),
                {"resample_filter": FIR},
            )
            for layer, p in (d[name] | ({} if blocks else {"fromrgb": d["fromrgb"]})).items()
        }
        blocks[name] = Module("DiscriminatorBlock", {}, {"resample_filter": FIR}, convs)
    last = {
        "conv": Module(
            "Conv2dLayer", {"weight": _torch(d["conv"]["kernel"]), "bias": d["conv"]["bias"]}
        ),
        "fc": Module(
            "FullyConnectedLayer",
            {"weight": _unflatten(d["fc"]["kernel"]).T, "bias": d["fc"]["bias"]},
        ),
        "out": Module("FullyConnectedLayer", _linear(d["out"])),
        "mbstd": Module("MinibatchStdLayer", facts={"group_size": group}),
    }
    return Module(
        "Discriminator", modules=blocks | {"b4": Module("DiscriminatorEpilogue", modules=last)}
    )


def ada(params):
    """StyleGAN2-ADA-PyTorch; G holds other numbers than G_ema."""
    other = ada_generator(random_params(99))
    return pickled(
        {
            "G": other,
            "D": ada_discriminator(params, group=2),
            "G_ema": ada_generator(params),
            "augment_pipe": None,
        }
    )


def rosinality(params, with_discriminator=True):
    """The state dicts {"g_ema", "d", "latent_avg"} of tensors."""
    g = {
        f"style.{i + 1}.{k}": v
        for i, p in enumerate(params["mapping"].values())
        for k, v in _linear(p).items()
    }
    g["input.input"] = params["synthesis"]["b4"]["const"].transpose(2, 0, 1)[None]
    for i, name in enumerate(params["synthesis"]):
        block = params["synthesis"][name]
        for j in (0, 1) if i else (1,):
            prefix, p = (f"convs.{2 * (i - 1) + j}" if i else "conv1"), block[f"conv{j}"]
            g |= {
                f"{prefix}.conv.weight": _torch(p["kernel"])[None],
                f"{prefix}.noise.weight": p["noise_strength"][None],
            }
            g |= {f"{prefix}.conv.modulation.{k}": v for k, v in _linear(p["affine"]).items()} | {
                f"{prefix}.activate.bias": p["bias"]
            }
            g |= {f"{prefix}.conv.blur.kernel": FIR * 4} if i and not j else {}
        prefix, p = (f"to_rgbs.{i - 1}" if i else "to_rgb1"), block["torgb"]
        g |= {
            f"{prefix}.conv.weight": p["kernel"].T[None, :, :, None, None],
            f"{prefix}.bias": p["bias"].reshape(1, -1, 1, 1),
        }
        g |= {f"{prefix}.conv.modulation.{k}": v for k, v in _linear(p["affine"]).items()}
    g |= {f"noises.noise_{i}": x[None, None] for i, x in enumerate(params["noise"])}
    content = {"g_ema": g} | (
        {"d": _rosinality_discriminator(params["discriminator"])} if with_discriminator else {}
    )
    tensors = {
        k: {name: Tensor(np.ascontiguousarray(x)) for name, x in v.items()}
        for k, v in content.items()
    }
    return tensors | {"latent_avg": Tensor(params["statistics"]["w_mean"])}


def _rosinality_discriminator(d):
    state = {
        "convs.0.0.weight": _torch(d["fromrgb"]["kernel"]),
        "convs.0.1.bias": d["fromrgb"]["bias"],
    }
    for i, name in enumerate(
        sorted((n for n in d if n.startswith("b")), key=lambda n: -int(n[1:])), 1
    ):
        p = d[name]
        state |= {
            f"convs.{i}.conv1.0.weight": _torch(p["conv0"]["kernel"]),
            f"convs.{i}.conv1.1.bias": p["conv0"]["bias"],
        }
        state |= {
            f"convs.{i}.conv2.1.weight": _torch(p["conv1"]["kernel"]),
            f"convs.{i}.conv2.2.bias": p["conv1"]["bias"],
        }
        state |= {
            f"convs.{i}.conv2.0.kernel": FIR,
            f"convs.{i}.skip.0.kernel": FIR,
            f"convs.{i}.skip.1.weight": _torch(p["skip"]["kernel"]),
        }
    state |= {
        "final_conv.0.weight": _torch(d["conv"]["kernel"]),
        "final_conv.1.bias": d["conv"]["bias"],
    }
    state |= {
        "final_linear.0.weight": _unflatten(d["fc"]["kernel"]).T,
        "final_linear.0.bias": d["fc"]["bias"],
    }
    return state | {f"final_linear.1.{k}": v for k, v in _linear(d["out"]).items()}


def _tf_network(name, variables, components=None, settings=None):
    network = NETWORK()
    network.__dict__ = {
        "version": 4,
        "name": name,
        "static_kwargs": settings or {},
        "components": components or {},
    }
    network.__dict__ |= {
        "build_module_src": "import os; os.system('touch executed')",
        "variables": list(variables.items()),
    }
    return network


def tensorflow_networks(params, settings=None):
    """(G, D, Gs); settings go to Gs, whose defaults are left out as in genuine files."""
    generator = _tf_generator(params, settings)
    return _tf_network("G", {}), _tf_discriminator(params["discriminator"]), generator


def tensorflow(params, settings=None, protocol=4):
    """The pickle of `tensorflow_networks`."""
    return pickled(tensorflow_networks(params, settings), protocol)


def _tf_generator(params, settings):
    mapping = {
        f"Dense{i}/{k}": p[v]
        for i, p in enumerate(params["mapping"].values())
        for k, v in (("weight", "kernel"), ("bias", "bias"))
    }
    synthesis = {f"noise{i}": x[None, None] for i, x in enumerate(params["noise"])}
    synthesis["4x4/Const/const"] = params["synthesis"]["b4"]["const"].transpose(2, 0, 1)[None]
    for block, layers in params["synthesis"].items():
        side = block[1:]
        names = {"conv0": "Conv0_up", "conv1": "Conv" if side == "4" else "Conv1", "torgb": "ToRGB"}
        for layer, p in layers.items():
            if layer == "const":
                continue
            kernel = {
                "conv0": lambda k: k[::-1, ::-1],
                "conv1": lambda k: k,
                "torgb": lambda k: k[None, None],
            }[layer](p["kernel"])
            prefix = f"{side}x{side}/{names[layer]}"
            synthesis |= {
                f"{prefix}/weight": kernel,
                f"{prefix}/bias": p["bias"],
                f"{prefix}/mod_weight": p["affine"]["kernel"],
            }
            synthesis[f"{prefix}/mod_bias"] = p["affine"]["bias"] - 1
            synthesis |= (
                {f"{prefix}/noise_strength": p["noise_strength"][()]}
                if "noise_strength" in p
                else {}
            )
    inner = {
        "mapping": _tf_network("G_mapping", mapping),
        "synthesis": _tf_network("G_synthesis", synthesis),
    }
    return _tf_network(
        "Gs", {"lod": np.float32(0), "dlatent_avg": params["statistics"]["w_mean"]}, inner, settings
    )


def _tf_discriminator(d):
    variables, top = {}, max(int(n[1:]) for n in d if n.startswith("b"))
    names = {"conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip"}
    layers = {f"{top}x{top}/FromRGB": d["fromrgb"], "4x4/Conv": d["conv"], "Output": d["out"]}
    layers |= {
        f"{n[1:]}x{n[1:]}/{names[layer]}": p
        for n in d
        if n.startswith("b")
        for layer, p in d[n].items()
    }
    layers["4x4/Dense0"] = {"kernel": _unflatten(d["fc"]["kernel"]), "bias": d["fc"]["bias"]}
    for name, p in layers.items():
        variables |= {f"{name}/weight": p["kernel"]} | (
            {f"{name}/bias": p["bias"]} if "bias" in p else {}
        )
    return _tf_network("D", variables, settings={"mbstd_group_size": 2})


PARAMS = random_params()


def _written(content, group):
    def image(w_plus, noise):
        return reference.synthesis(PARAMS["synthesis"], w_plus, noise)

    def mapping(z):
        return reference.mapping(PARAMS["mapping"], z)

    def logits(photos):
        return reference.discriminator(PARAMS["discriminator"], photos, group)

    return Written([content], image, mapping, PARAMS["noise"], logits if group else None)


def _of_numpy_1():
    return tensorflow(PARAMS, protocol=2).replace(b"numpy._core.", b"numpy.core.")


def _with_optimiser():
    return rosinality(PARAMS) | {"args": None, "g_optim": {"state": {0: {"step": 1}}}}


# Each holds PARAMS.
FORMATS = {
    "ada": lambda: _written(ada(PARAMS), 2),
    "tensorflow": lambda: _written(tensorflow(PARAMS), 2),
    "tensorflow protocol 2": lambda: _written(
        tensorflow(PARAMS, {"mapping_lrmul": 0.01, "fmap_base": 64}, protocol=2), 2
    ),
    "tensorflow of NumPy 1": lambda: _written(_of_numpy_1(), 2),
    "tensorflow protocol 5": lambda: _written(tensorflow(PARAMS, protocol=5), 2),
    "rosinality zip": lambda: _written(zipped(rosinality(PARAMS)), 4),
    "rosinality legacy": lambda: _written(legacy(_with_optimiser()), 4),
    "rosinality without discriminator": lambda: _written(
        zipped(rosinality(PARAMS, with_discriminator=False)), 0
    ),
}


def varied(channels, residual=True):
    """PARAMS of pictures of so many channels; or with a discriminator without shortcuts."""
    rng, params = np.random.default_rng(5), random_params(5)
    params["synthesis"] = {
        name: block
        | {
            "torgb": block["torgb"]
            | {
                "kernel": rng.normal(size=(len(block["torgb"]["kernel"]), channels)).astype("f4"),
                "bias": rng.normal(size=channels).astype("f4"),
            }
        }
        for name, block in params["synthesis"].items()
    }
    first = params["discriminator"]["fromrgb"]
    width = first["kernel"].shape[-1]
    first = first | {"kernel": rng.normal(size=(1, 1, channels, width)).astype("f4")}
    judge = {
        name: {n: p for n, p in block.items() if residual or n != "skip"}
        for name, block in params["discriminator"].items()
    }
    return params | {"discriminator": judge | {"fromrgb": first}}


def _of_channels(write, params, channels, group, judges=True):
    """What people see of a picture of 1 or 4 channels, and what a discriminator of such ones says
    of an RGB photo: of its grey, or of it without transparency."""

    def image(w_plus, noise):
        drawn = reference.synthesis(params["synthesis"], w_plus, noise)
        return np.repeat(drawn, 3, 0) if channels == 1 else drawn[:3]

    def mapping(z):
        return reference.mapping(params["mapping"], z)

    def logits(photos):
        seen = {
            1: lambda: photos.mean(1, keepdims=True),
            3: lambda: photos,
            4: lambda: np.concatenate([photos, np.ones_like(photos[:, :1])], 1),
        }[channels]()
        return reference.discriminator(params["discriminator"], seen, group)

    return Written([write(params)], image, mapping, params["noise"], logits if judges else None)


def _zip_of_rosinality(params):
    return zipped(rosinality(params))


# Each holds a network of its own.
VARIANTS = {
    "ada of --cfg=cifar": lambda: _of_channels(ada, varied(3, residual=False), 3, 2),
    "ada of grey": lambda: _of_channels(ada, varied(1), 1, 2),
    "tensorflow of grey": lambda: _of_channels(
        lambda params: tensorflow(params, {"num_channels": 1}), varied(1), 1, 2
    ),
    "rosinality of RGBA": lambda: _of_channels(_zip_of_rosinality, varied(4), 4, 4),
}
