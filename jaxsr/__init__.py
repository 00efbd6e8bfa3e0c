"""jaxsr: restores images with the prior held in a pre-trained GAN. A part is imported when it is
asked for."""

import importlib
import importlib.metadata
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxsr import (
        degradations,
        diffusion,
        explore,
        images,
        inspect,
        learned,
        loading,
        methods,
        metrics,
        operators,
        priors,
        search,
        settings,
    )
    from jaxsr.loading import load_prior
    from jaxsr.search import restore

__version__ = "0.1.0"
__all__ = [
    "degradations",
    "diffusion",
    "explore",
    "images",
    "inspect",
    "learned",
    "load_prior",
    "loading",
    "methods",
    "metrics",
    "operators",
    "priors",
    "restore",
    "search",
    "settings",
]
FUNCTIONS = {"load_prior": "jaxsr.loading", "restore": "jaxsr.search"}  # and where they are defined

if any(importlib.metadata.distributions(name="jaxsr")):
    raise ImportError(
        'the distribution "jaxsr" is another project (symbolic regression), whose files take '
        "the place of these: pip uninstall jaxsr, and install this one, jaxsr-gan, anew"
    )


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return getattr(importlib.import_module(FUNCTIONS[name]), name)
    if not name.startswith("_") and importlib.util.find_spec(f"jaxsr.{name}"):
        return importlib.import_module(f"jaxsr.{name}")
    raise AttributeError(f"module 'jaxsr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["__version__", *__all__]
