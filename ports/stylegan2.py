"""StyleGAN2 in a checkpoint -> a prior's parameters and config.json: recognised by what the file holds, shapes decide the sizes."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsr import priors
from jaxsr.nets import stylegan2
from jaxsr.types import Params
from ports import labels
from ports.pickles import Record
from ports.stylegan2_tables import ADA_TORCH, TENSORFLOW, rosinality_rows
from ports.tables import Converted, Row, check, convert, few, nest

_DEEPEST = 12  # levels of modules inside modules
_NVIDIA = "not stated in the file; NVIDIA's own weights: Nvidia Source Code License-NC (non-commercial)"
_ROSINALITY = "not stated in the file; official weights converted by rosinality's code: Nvidia Source Code License-NC (non-commercial)"
# Settings of TensorFlow's networks that change what they compute, with the only value that our network has.
_FIXED = {
    "architecture": ("skip", "resnet"),
    "resample_kernel": ([1, 3, 3, 1],),
    "nonlinearity": ("lrelu",),
    "mapping_nonlinearity": ("lrelu",),
    "normalize_latents": (True,),
    "use_noise": (True,),
    "num_channels": (3,),
    "label_size": (0,),
}


class Found(NamedTuple):
    """A StyleGAN2 in a checkpoint: arrays by the file's names, the format's table, settings that no shape tells, what is not reproduced."""

    format: str
    licence: str
    sources: dict[str, Any]
    rows: list[Row]
    mapping_lr: float = 0.01
    mbstd_group: int = 4
    notes: tuple[str, ...] = ()


def find(content: Any) -> Found | None:
    """The StyleGAN2 in what `torch_files.read` returned, or None.

    Raises:
        ValueError: it is one of the formats, but damaged, or a network that ours cannot compute.
    """
    if isinstance(content, dict):
        if isinstance(content.get("G_ema"), Record):
            return _ada_torch(content)
        return _rosinality(content) if isinstance(content.get("g_ema"), dict) else None
    networks = [content] if isinstance(content, Record) else content
    if isinstance(networks, tuple | list) and networks and all(_is_network(network) for network in networks):
        return _tensorflow({network.state.get("name"): network for network in networks})
    return None


def _is_network(value: Any) -> bool:
    return isinstance(value, Record) and value.name == "Network" and isinstance(value.state, dict) and type(value.state.get("name")) is str


def _ada_torch(content: dict) -> Found:
    sources = _modules(content["G_ema"], "G_ema") | (_modules(content["D"], "D") if content.get("D") is not None else {})
    lr = _inside(content["G_ema"], "mapping", "fc0").get("bias_gain", 0.01)
    group = _inside(content.get("D"), "b4", "mbstd").get("group_size", 4)
    clamp = _inside(content["G_ema"], "synthesis", "b4", "conv1").get("conv_clamp")
    if not isinstance(lr, float | int) or not 0 < lr < 1e3 or type(group) is not int or not 0 < group < 2**31:
        raise ValueError("expected a learning rate of the mapping and a group size as numbers, got others")
    notes = (f"the official network clamps activations to +-{clamp:g}",) if isinstance(clamp, float | int) else ()
    return Found("StyleGAN2-ADA PyTorch", _NVIDIA, sources, ADA_TORCH, float(lr), group, notes)


def _modules(module: Any, prefix: str, depth: int = 0) -> dict[str, Any]:
    """Arrays of a pickled torch module and of the modules in it, by their dotted names."""
    state = module.state if isinstance(module, Record) and isinstance(module.state, dict) else {}
    parameters, buffers, inner = (state.get(name) for name in ("_parameters", "_buffers", "_modules"))
    if not (isinstance(parameters, dict) and isinstance(buffers, dict) and isinstance(inner, dict)) or depth > _DEEPEST:
        raise ValueError(f"expected a torch module as {prefix[:80]}, got another object")
    arrays = {f"{prefix}.{name}": value for name, value in (parameters | buffers).items() if value is not None}
    for name, child in inner.items():
        if child is not None:
            arrays |= _modules(child, f"{prefix}.{name}", depth + 1)
        if len(arrays) > 10_000:  # one module named again and again
            raise ValueError(f"expected at most 10,000 arrays in {prefix[:80]}, got more")
    return arrays


def _inside(module: Any, *names: str) -> dict:
    """The state of a module's module's ... module; {} where there is none."""
    state = module.state if isinstance(module, Record) and isinstance(module.state, dict) else {}
    for name in names:
        inner = state.get("_modules")
        module = inner.get(name) if isinstance(inner, dict) else None
        state = module.state if isinstance(module, Record) and isinstance(module.state, dict) else {}
    return state


def _rosinality(content: dict) -> Found:
    sources = {f"g_ema.{name}": value for name, value in content["g_ema"].items()}
    if isinstance(content.get("d"), dict):
        sources |= {f"d.{name}": value for name, value in content["d"].items()}
    if content.get("latent_avg") is not None:
        sources["latent_avg"] = content["latent_avg"]
    numbers = [int(m[1]) for name in sources if (m := re.fullmatch(r"g_ema\.convs\.(\d{1,2})\.conv\.weight", name))]
    layers = max(numbers, default=-1) + 1
    if layers > 20:
        raise ValueError(f"expected at most 20 numbered convolutions in g_ema, got {layers}")
    return Found("rosinality StyleGAN2", _ROSINALITY, sources, rosinality_rows(layers))


def _tensorflow(networks: dict[str, Record]) -> Found:
    if "Gs" not in networks:
        raise ValueError(f"expected TensorFlow networks with the averaged generator Gs, got {few(name[:40] for name in networks)}")
    sources: dict[str, Any] = {}
    for name in ("Gs", "D"):
        if name in networks:
            sources |= _variables(networks[name], name)
    settings = _settings(networks["Gs"]) | {k: v for k, v in _settings(networks.get("D")).items() if k.startswith("mbstd")}
    lr, group = settings.get("mapping_lrmul", 0.01), settings.get("mbstd_group_size", 4)
    if not isinstance(lr, float | int) or not 0 < lr < 1e3 or type(group) is not int or not 0 < group < 2**31:
        raise ValueError("expected mapping_lrmul and mbstd_group_size as numbers, got others")
    clamp = settings.get("conv_clamp")
    notes = (f"the official network clamps activations to +-{clamp:g}",) if isinstance(clamp, float | int) else ()
    return Found("StyleGAN2(-ADA) TensorFlow", _NVIDIA, sources, TENSORFLOW, float(lr), group, notes)


def _settings(network: Record | None) -> dict:
    """A network's settings, of which genuine files leave those at their defaults out."""
    settings = network.state.get("static_kwargs") if network is not None else {}
    if not isinstance(settings, dict):
        raise ValueError("expected static_kwargs of a network as a dict, got another object")
    for name, allowed in _FIXED.items():
        if name in settings and settings[name] not in allowed:
            raise ValueError(
                f"expected a StyleGAN2 with {name} {' or '.join(map(str, allowed))}, got another: jaxsr's network has no other"
            )
    return settings


def _variables(network: Any, prefix: str, depth: int = 0) -> dict[str, Any]:
    """Variables of a TensorFlow network and of its components, by names with slashes."""
    state = network.state if _is_network(network) else {}
    variables, components = state.get("variables"), state.get("components", {})
    if not isinstance(variables, list) or not isinstance(components, dict) or depth > 1:
        raise ValueError(f"expected a TensorFlow network with variables as {prefix[:80]}, got another object")
    if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in variables):
        raise ValueError(f"expected pairs of name and array in {prefix[:80]}, got others")
    _settings(network)
    arrays = {f"{prefix}/{name}": value for name, value in variables}
    for name, component in components.items():
        arrays |= _variables(component, f"{prefix}/{name}", depth + 1)
    return arrays


def prior(found: Found, label: int | None = None) -> tuple[Params, dict[str, Any]]:
    """Parameters (float32) of `stylegan2`, with latent statistics, and their {"architecture", "net", ...} for config.json.

    `w_mean` is the file's own average of w where it has one, as the official truncation needs; the other statistics are measured.

    Args:
        found: from `find`.
        label: the class to take of a class-conditional network.

    Raises:
        ValueError: arrays are missing, left over or of the wrong shape (with the lists), or see `labels.fold`.
    """
    converted = convert(found.rows, found.sources)
    converted = converted._replace(arrays=labels.fold(converted.arrays, label, found.mapping_lr))
    config = _config(found, converted)
    w_mean = converted.arrays.pop("statistics/w_mean", None)
    has_discriminator = any(path.startswith("discriminator/") for path in converted.arrays)
    shapes = jax.eval_shape(lambda: stylegan2.init(jax.random.key(0), config))
    needed = {
        name: shapes[name] for name in ("mapping", "synthesis", "noise", "discriminator") if name != "discriminator" or has_discriminator
    }
    leaves = jax.tree_util.tree_leaves_with_path(needed)
    expected = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape for path, leaf in leaves}
    check(f"a StyleGAN2 of {config.resolution} px ({found.format})", converted, expected)
    params = nest(converted.arrays)
    return params | {"statistics": _statistics(config, params, w_mean)}, _describe(config, found, label, has_discriminator)


def _config(found: Found, converted: Converted) -> stylegan2.Config:
    """The sizes, from the shapes alone."""
    arrays = converted.arrays
    widths = {int(m[1]): x.shape[-1] for path, x in arrays.items() if (m := re.fullmatch(r"synthesis/b(\d+)/conv1/kernel", path))}
    sides = [4 << i for i in range(len(widths))]
    first, depth = arrays.get("mapping/fc0/kernel"), sum(bool(re.fullmatch(r"mapping/fc\d+/kernel", path)) for path in arrays)
    if first is None or not widths or sorted(widths) != sides or sides[-1] > 2048:
        have = f"blocks {sorted(widths)}, mapping layers {depth}; left over: {few(converted.left_over)}"
        raise ValueError(f"expected a StyleGAN2 ({found.format}) with blocks 4, 8, 16, ... and a mapping, got {have}")
    last = arrays.get("discriminator/conv/kernel")
    return stylegan2.Config(
        resolution=sides[-1],
        z_dim=first.shape[0],
        w_dim=first.shape[1],
        mapping_layers=depth,
        mapping_lr=found.mapping_lr,
        channels=tuple(widths[side] for side in sides),
        mbstd_group=found.mbstd_group,
        mbstd_channels=1 if last is None else max(1, last.shape[2] - widths[4]),
    )


def _statistics(config: stylegan2.Config, params: Params, w_mean: np.ndarray | None) -> dict[str, np.ndarray]:
    if w_mean is not None and w_mean.shape != (config.w_dim,):
        raise ValueError(f"expected an average of w [{config.w_dim}], got {list(w_mean.shape)}")
    return _measure(config, params) | ({} if w_mean is None else {"w_mean": w_mean})


def _measure(config: stylegan2.Config, params: Params) -> dict[str, np.ndarray]:
    needed = {"mapping": params["mapping"], "statistics": {"w_mean": np.zeros(config.w_dim, np.float32)}}
    measured = jax.jit(lambda p: priors.latent_statistics(stylegan2.stylegan2(config), p, jax.random.key(0)))(needed)
    return {name: np.asarray(value) for name, value in measured.items()}


def _describe(config: stylegan2.Config, found: Found, label: int | None, has_discriminator: bool) -> dict[str, Any]:
    net: Mapping[str, Any] = {name: getattr(config, name) for name in config.__dataclass_fields__}
    about: dict[str, Any] = {"architecture": "stylegan2", "net": dict(net), "licence": found.licence}
    if label is not None:
        about["label"] = label
    if not has_discriminator:
        about["discriminator"] = False
    return about | ({"not_reproduced": list(found.notes)} if found.notes else {})
