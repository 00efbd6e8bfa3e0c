"""What people wrap around a network's arrays when they save them."""

import collections

import numpy as np
import ports_files as files
import ports_stylegan2 as writers

from jaxsr.nets import stylegan2

SMALL = writers.random_params(
    config=stylegan2.Config(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channels=(4, 2))
)
OTHER = writers.random_params(
    7, stylegan2.Config(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channels=(4, 2))
)


def of_rosinality(params):
    return dict(writers.rosinality(params, with_discriminator=False)["g_ema"])


def flat(module, prefix=""):
    """The state dict of a `ports_files.Module`."""
    state = module.meta["state"]
    own = {f"{prefix}{k}": v for k, v in (state["_parameters"] | state["_buffers"]).items()}
    for name, inner in state["_modules"].items():
        own |= flat(inner, f"{prefix}{name}.")
    return {name: files.Tensor(tensor.array) for name, tensor in own.items()}


def of_ada(params):
    return flat(writers.ada_generator(params))


LAYOUTS = {"rosinality": of_rosinality, "ada": of_ada}


def tensor(*shape):
    return files.Tensor(np.ones(shape, np.float32))


def _optimiser():
    return {"state": {0: {"step": 7, "exp_avg": tensor(4, 4)}}, "param_groups": [{"lr": 0.002}]}


def lightning(state):
    """A checkpoint of PyTorch Lightning."""
    return {
        "epoch": 3,
        "global_step": 4000,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": collections.OrderedDict(state),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 4}}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": tensor(), "dirpath": "runs"}},
        "optimizer_states": [_optimiser()],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 0.002, "size": 8, "widths": [4, 2]},
    }


# Wrapper -> content of a file around a state dict.
WRAPPERS = {
    "none": lambda state: state,
    **{
        key: lambda state, key=key: {key: state}
        for key in (
            *("state_dict", "model_state_dict", "params", "params_ema", "model", "g", "g_ema"),
            *("ema", "generator", "netG", "network", "weights", "G_ema", "model_ema"),
        )
    },
    "Lightning": lightning,
    "epoch, optimiser": lambda state: {"epoch": 1, "model": state, "optimizer": _optimiser()},
    "nested": lambda state: {"checkpoint": {"model": {"state_dict": state}}, "step": 9},
    "ema in ema": lambda state: {"ema": {"module": state, "decay": 0.999}},
    "list": lambda state: [state, {"lr": 0.002}],
}
PREFIXES = (
    *("", "module.", "_orig_mod.", "generator.", "decoder.", "G.", "netG.", "net.", "model."),
    *("module._orig_mod.", "_orig_mod.module.model.", "net.generator.", "my_gan."),
    "generator._fsdp_wrapped_module.",
)


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}
