"""jaxsr: restores images with the prior held in a pre-trained GAN."""

import importlib
from typing import Any

from jaxsr import degradations, explore, images, methods, metrics, operators, priors
from jaxsr.loading import load_prior
from jaxsr.restore import restore

__version__ = "0.1.0"
__all__ = ["degradations", "explore", "images", "load_prior", "methods", "metrics", "operators", "priors", "restore"]


def __getattr__(name: str) -> Any:
    """jaxsr.learned, when it is asked for: it brings Flax with it."""
    if name == "learned":
        return importlib.import_module("jaxsr.learned")
    raise AttributeError(f"module 'jaxsr' has no attribute {name!r}")
