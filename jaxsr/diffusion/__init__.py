"""Diffusion models as priors: a network that predicts noise, the schedule that it was trained on,
and their weights."""

from jaxsr.diffusion.models import (
    MODELS,
    VERSION,
    Model,
    bundled,
    described,
    find,
    load,
    read,
    save,
    shapes,
)
from jaxsr.diffusion.sampling import Denoise, Draw, clean, denoiser, sample
from jaxsr.diffusion.schedule import Chain, Schedule, alpha_bar, chain

__all__ = [
    "MODELS",
    "VERSION",
    "Chain",
    "Denoise",
    "Draw",
    "Model",
    "Schedule",
    "alpha_bar",
    "bundled",
    "chain",
    "clean",
    "denoiser",
    "described",
    "find",
    "load",
    "read",
    "sample",
    "save",
    "shapes",
]
