"""How a learned restorer is trained: the terms of its objective, their weights, and the rates."""

import dataclasses
import math
from typing import Literal

from jaxsr.settings import check_choices

LEAST_RATE = 1e-3  # of the first, that a cosine ends at


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train. The defaults are LAREN's, whose paper does not say how long; what the paper of
    another network has instead is in its row of `jaxsr.learned.RESTORERS`.

    Attributes:
        batch: photos a step.
        optimizer: of both networks; rmsprop is Torch's (FSRNet).
        learning_rate: of both networks.
        schedule: whether the rate stays, or falls as half a cosine to a thousandth over the run.
        generator_rate: share of the rate that a generator of the network's own trains at (GPEN).
        discriminator_rate: share of the rate that the discriminator trains at.
        pixel_fit: mean squared or absolute difference of images in [-1, 1].
        pixel_weight: of the pixel term.
        stages_weight: of the same term of the images that a network makes on its way, summed:
            GFPGAN's pyramid, FSRNet's coarse image.
        parsing_weight: beta of FSRNet's paper, of the squared error of its pseudo-parsing maps; 0:
            it learns no maps.
        perceptual_fit: mean squared or absolute difference of the perceptual network's deep map.
        perceptual_weight: of the perceptual term; 0 asks no network.
        style_weight: of the differences of the perceptual network's Gram matrices (GFPGAN).
        adversarial: non_saturating, or relativistic: each picture against the mean of the other
            kind (ESRGAN's, arXiv:1809.00219).
        discriminator: the prior's, or a new one of ESRGAN's kind (vgg) or of Real-ESRGAN's, which
            judges each pixel (unet).
        discriminator_width: channels of the first layers of a new discriminator; 64 is ESRGAN's.
        adversarial_weight: of the adversarial term; 0 trains no discriminator.
        matching_weight: of the differences of the discriminator's maps (GPEN).
        r1_weight: of the squared gradient of the discriminator at photos (arXiv:1801.04406); 0:
            none.
        r1_every: steps from one R1 to the next, which counts as many times.
        warmup_images: images before the adversarial term joins, as ESRGAN begins; LAREN's paper
            names none. Its gradient is larger than the squared error's long before the network
            follows its input. Until then a step takes half the time.
        ema_images: half-life of the moving average of the weights, in images, at most `ema_rampup`
            of what was seen.
        ema_rampup: share of the images seen, beyond which the average's half-life does not go.
    """

    batch: int = 8
    optimizer: Literal["adam", "rmsprop"] = "adam"
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    generator_rate: float = 1.0
    discriminator_rate: float = 1.0
    pixel_fit: Literal["mse", "l1"] = "mse"
    pixel_weight: float = 1.0
    stages_weight: float = 0.0
    parsing_weight: float = 0.0
    perceptual_fit: Literal["mse", "l1"] = "mse"
    perceptual_weight: float = 0.01
    style_weight: float = 0.0
    adversarial: Literal["non_saturating", "relativistic"] = "non_saturating"
    discriminator: Literal["prior", "vgg", "unet"] = "prior"
    discriminator_width: int = 64
    adversarial_weight: float = 0.01
    matching_weight: float = 0.0
    r1_weight: float = 0.0
    r1_every: int = 16
    warmup_images: int = 20_000
    ema_images: float = 10_000
    ema_rampup: float = 0.05

    def __post_init__(self):
        check_choices(self)
        for name, least in {"batch": 2, "discriminator_width": 1, "r1_every": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        weights = [field.name for field in dataclasses.fields(self) if "_weight" in field.name]
        rates = ("learning_rate", "generator_rate", "discriminator_rate")
        for name in (*rates, *weights, "warmup_images"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} must be a finite number of at least 0, got {getattr(self, name)}"
                )
        if self.matching_weight and not self.adversarial_weight:
            raise ValueError(
                "matching_weight needs a discriminator, got adversarial_weight 0: take "
                "matching_weight 0"
            )
        for name in ("ema_images", "ema_rampup"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
