"""What a restored photo is judged by, where there is a sharp one."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxsr import images, metrics
from jaxsr.metrics import features

SCORES = ("psnr", "ssim")  # of metrics.METRICS


def score(image: np.ndarray, reference: np.ndarray | None) -> dict[str, float]:
    """Metrics of an image [R, R, 3] as it was written."""
    power = _compiled("top_octave_power")
    scores = {"top_octave": power(image)}
    if reference is not None:
        defined = [
            name for name in SCORES if min(image.shape[:2]) >= metrics.METRICS[name].least_side
        ]
        scores |= {name: _compiled(name)(image, reference) for name in defined} | {
            "top_octave_reference": power(reference)
        }
    return {name: float(value) for name, value in scores.items()}


def as_written(path: Path, pixels: np.ndarray) -> np.ndarray:
    """What is scored, float32 [h, w, 3] in [0, 1]: the pixels uint8, of a JPEG those of its
    file."""
    return images.read(path) if path.suffix in images.LOSSY else pixels / np.float32(255)


@functools.cache
def _compiled(name: str) -> Callable:
    return (
        metrics.METRICS[name].make(features.DEFAULT)
        if name in SCORES
        else jax.jit(metrics.top_octave_power)
    )
