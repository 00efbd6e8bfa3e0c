"""jaxsr: restores images with the prior held in a pre-trained GAN."""

from jaxsr import degradations, explore, images, methods, metrics, operators, priors
from jaxsr.priors import load_prior
from jaxsr.restore import restore

__version__ = "0.1.0"
__all__ = ["degradations", "explore", "images", "load_prior", "methods", "metrics", "operators", "priors", "restore"]
