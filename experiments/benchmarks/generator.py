"""The synthesis network alone, of StyleGAN2-ADA's sizes: a pass and its gradient by the latent, for
each resolution and batch.

`benchmark.py` prints the table. With a checkout of NVIDIA's stylegan2-ada-pytorch (--official) and
torch installed, the official network of the same sizes takes turns with ours on the same machine,
in float32 on the CPU, by whichever of its two ways of modulating is faster.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.clock import Limits, measured
from jaxsr.nets import stylegan2
from jaxsr.types import Params

WHAT = ("pass", "gradient")


class Case(NamedTuple):
    """A program to measure: the images of so many latents, or its gradient."""

    px: int
    photos: int
    what: str
    dtype: str


def config_of(px: int, dtype: str) -> stylegan2.Config:
    """StyleGAN2-ADA's sizes."""
    return stylegan2.Config(resolution=px, channel_base=16384 if px < 512 else 32768, dtype=dtype)


def table(
    resolutions: tuple[int, ...],
    batches: tuple[int, ...],
    *,
    limits: Limits,
    dtype: str,
    official: Path | None,
    repeats: int,
) -> Iterator[dict]:
    """A row for each resolution, batch and program; one photo at a time from 512 px on, where a
    batch adds nothing but memory."""
    for px in resolutions:
        params = jax.jit(stylegan2.init, static_argnums=1)(jax.random.key(0), config_of(px, dtype))
        for batch in batches if px < 512 else batches[:1]:
            for what in WHAT:
                yield row(
                    Case(px, batch, what, dtype),
                    {"synthesis": params["synthesis"]},
                    limits,
                    official,
                    repeats,
                )


def row(case: Case, params: Params, limits: Limits, official: Path | None, repeats: int) -> dict:
    """What the table tells of one program."""
    theirs = [] if official is None else official_calls(official, case)
    ours, others = measured(*program(case, params), limits, repeats, theirs)
    row = {"px": case.px, "photos": case.photos, "what": case.what, **ours}
    if not others:
        return row
    return row | {"official_ms": 1e3 * min(others), "times_faster": 1e3 * min(others) / ours["ms"]}


def program(case: Case, params: Params) -> tuple[Callable, tuple[Params, jax.Array]]:
    """(params, w_plus [photos, N, 512]) -> images [photos, px, px, 3], or the gradient of the sum
    of their squares; no noise, as theirs."""
    config = config_of(case.px, case.dtype)
    noise = tuple(jnp.zeros(shape) for shape in config.noise_shapes)

    def images(params: Params, w_plus: jax.Array) -> jax.Array:
        return jnp.asarray(
            jax.vmap(lambda w: stylegan2.synthesis(config, params["synthesis"], w, noise)[1])(
                w_plus
            )
        )

    w_plus = jax.random.normal(jax.random.key(1), (case.photos, config.num_layers, config.w_dim))
    if case.what == "pass":
        return images, (params, w_plus)
    return jax.grad(lambda params, w: jnp.sum(images(params, w) ** 2), 1), (params, w_plus)


def official_calls(folder: Path, case: Case) -> list[Callable[[], Any]]:
    """The same of the official network, once modulating weights (one grouped convolution), once
    modulating activations.

    Raises:
        ValueError: torch is not installed, or the folder is no checkout of stylegan2-ada-pytorch.
    """
    torch, networks = official_modules(folder)
    sizes = {
        "channel_base": config_of(case.px, "float32").channel_base,
        "channel_max": 512,
        "num_fp16_res": 0,
    }
    net = (
        networks.SynthesisNetwork(w_dim=512, img_resolution=case.px, img_channels=3, **sizes)
        .eval()
        .requires_grad_(False)
    )
    ws = torch.randn(case.photos, net.num_ws, 512)

    def call(fused: bool) -> Any:
        if case.what == "pass":
            with torch.no_grad():
                return net(ws, noise_mode="none", fused_modconv=fused).numpy()
        w = ws.clone().requires_grad_(True)
        return torch.autograd.grad(
            net(w, noise_mode="none", fused_modconv=fused).square().sum(), w
        )[0].numpy()

    return [functools.partial(call, fused) for fused in (True, False)]


def official_modules(folder: Path) -> tuple[Any, Any]:
    """torch and the checkout's training.networks. Raises ValueError as `official_calls`."""
    if not (folder / "training" / "networks.py").is_file():
        raise ValueError(
            f"--official={folder}: expected a checkout of stylegan2-ada-pytorch, got no "
            "training/networks.py"
        )
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("torch"), importlib.import_module("training.networks")
    except ImportError as error:
        raise ValueError(f"--official={folder}: {error} (pip install torch)") from error
