"""Metrics of one pair of images, [h, w, 3] in [0, 1] (vmap for many), and of two sets of features."""

from jaxsr.metrics.frechet import frechet_distance
from jaxsr.metrics.psnr import psnr
from jaxsr.metrics.spectrum import top_octave_power
from jaxsr.metrics.ssim import ssim

__all__ = ["frechet_distance", "psnr", "ssim", "top_octave_power"]
