"""Writes small checkpoints of StyleGAN3 as NVIDIA's code does, from our parameters."""

import dataclasses

import jax
import numpy as np
import ports_stylegan2
import reference_stylegan2
import reference_stylegan3 as reference
from ports_files import Module, Tensor, Written, pickled, zipped

from jaxsr.nets import stylegan3

# A step of the sampling rate, and no setting that is the official one.
T = stylegan3.Config(
    resolution=16,
    z_dim=8,
    w_dim=8,
    channels=(6, 5, 4),
    layers=3,
    critical=1,
    first_cutoff=1.0,
    first_stopband=2.2,
    last_stopband=1.3,
    margin=4,
    scale=0.5,
    maps=(6, 5, 4),
    mbstd_group=2,
)
R = dataclasses.replace(T, side=1, radial=True)
# What a state dict does not tell.
OFFICIAL = stylegan3.Config(
    resolution=16, z_dim=8, w_dim=8, channels=(6, 5, 4), layers=4, maps=(6, 5, 4, 4)
)


def random_params(config, seed=0):
    """Every array random, so that one left at its default shows."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: stylegan3.init(jax.random.key(0), config))
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    for name, layer in params["synthesis"].items():
        if name != "input":
            layer["magnitude"] = np.float32(0.5 + rng.uniform())
            layer["affine"]["bias"] += 1
    return params | {"mapping": jax.tree.map(lambda x: 100 * x, params["mapping"])}


def arrays(params):
    """The synthesis network's arrays as a file names and lays them out."""
    made = {}
    for name, p in params["synthesis"].items():
        affine = {"affine.weight": p["affine"]["kernel"].T, "affine.bias": p["affine"]["bias"]}
        if name == "input":
            own = {"freqs": p["frequencies"], "phases": p["phases"], "weight": p["kernel"].T}
            made["input"] = affine | own
        else:
            weight = np.ascontiguousarray(p["kernel"].transpose(3, 2, 0, 1))
            own = {"weight": weight, "bias": p["bias"], "magnitude_ema": p["magnitude"]}
            made[int(name.removeprefix("layer"))] = affine | own
    return made


def named(config, params):
    """{layer's name: (parameters, buffers)} as the official network has them; its filters are
    SciPy's."""
    sides, made = reference.signals(config), {}
    for number, own in arrays(params).items():
        affine = {name: own[name] for name in ("affine.weight", "affine.bias")}
        if number == "input":
            buffers = {"freqs": own["freqs"], "phases": own["phases"], "transform": np.eye(3)}
            made["input"] = {"weight": own["weight"], **affine}, buffers
            continue
        buffers = {"magnitude_ema": own["magnitude_ema"]}
        if number < config.layers:
            (_, up), (_, down) = reference.filters(config, number)
            buffers |= {"up_filter": up.astype("f4"), "down_filter": down.astype("f4")}
        name = f"L{number}_{sides[number].side}_{len(own['bias'])}"
        made[name] = {"weight": own["weight"], "bias": own["bias"], **affine}, buffers
    return made


def _layer(kind, parameters, buffers, facts=None):
    own = {name: x for name, x in parameters.items() if "." not in name}
    affine = {name: parameters[f"affine.{name}"] for name in ("weight", "bias")}
    inner = {"affine": Module("FullyConnectedLayer", affine)}
    return Module(kind, own, buffers, inner, facts)


def generator(config, params, **changed):
    """The pickled module; `changed` settings are told otherwise."""
    layers = {
        name: _layer(
            "SynthesisInput" if name == "input" else "SynthesisLayer",
            parameters,
            buffers,
            {} if name == "input" else {"conv_clamp": config.clamp},
        )
        for name, (parameters, buffers) in named(config, params).items()
    }
    arguments = {"first_cutoff": config.first_cutoff, "first_stopband": config.first_stopband}
    arguments |= {"last_stopband_rel": config.last_stopband, "conv_kernel": config.side}
    facts = {"num_critical": config.critical, "margin_size": config.margin}
    facts |= {"output_scale": config.scale, "_init_kwargs": arguments} | changed
    synthesis = Module("SynthesisNetwork", modules=layers, facts=facts)
    dense = {
        f"fc{i}": Module(
            "FullyConnectedLayer",
            {"weight": np.ascontiguousarray(p["kernel"].T), "bias": p["bias"]},
            facts={"bias_gain": 0.01},
        )
        for i, p in enumerate(params["mapping"].values())
    }
    mapping = Module("MappingNetwork", {}, {"w_avg": params["statistics"]["w_mean"]}, dense)
    return Module("Generator", modules={"mapping": mapping, "synthesis": synthesis})


def whole(config, params, **changed):
    """G holds other numbers than G_ema."""
    return pickled(
        {
            "G": generator(config, random_params(config, 99)),
            "D": ports_stylegan2.ada_discriminator(params, group=2),
            "G_ema": generator(config, params, **changed),
            "training_set_kwargs": None,
        }
    )


def state_dict(config, params):
    """The names of the generator's own state dict."""
    state = {
        f"synthesis.{layer}.{name}": x
        for layer, parts in named(config, params).items()
        for part in parts
        for name, x in part.items()
    }
    for i, p in enumerate(params["mapping"].values()):
        state |= {f"mapping.fc{i}.weight": p["kernel"].T, f"mapping.fc{i}.bias": p["bias"]}
    state["mapping.w_avg"] = params["statistics"]["w_mean"]
    return {name: Tensor(np.ascontiguousarray(x, "f4")) for name, x in state.items()}


def _written(config, content, judged=True):
    params = random_params(config)

    def image(w_plus, noise):
        return reference.synthesis(config, arrays(params), w_plus)

    def mapping(z):
        return reference_stylegan2.mapping(params["mapping"], z)

    def logits(photos):
        return reference_stylegan2.discriminator(params["discriminator"], photos, 2)

    files = [content(config, params)]
    return Written(files, image, mapping, [], logits if judged else None)


# Each holds `random_params` of its config.
FORMATS = {
    "T": lambda: _written(T, whole),
    "R": lambda: _written(R, whole),
    "state dict": lambda: _written(
        OFFICIAL, lambda config, params: zipped(state_dict(config, params)), judged=False
    ),
}
