"""How a GAN is trained: StyleGAN2's weights and intervals, and what may take the place of its parts
or stand beside them."""

import dataclasses

from jaxsr.training.augment import AUGMENTATIONS

MOST = 1e38  # that float32 holds
RANGES = {
    "learning_rate": (0, MOST),
    "beta2": (0, 1),
    "r1_gamma": (0, MOST),
    "r1_interval": (1, MOST),
    "path_weight": (0, MOST),
    "path_interval": (1, MOST),
    "style_mixing": (0, 1),
    "augment_p": (0, 1),
    "ada_target": (-1, 1),
    "ada_images": (1, MOST),
    "ema_images": (0, MOST),
    "ema_rampup": (0, MOST),
    "noise_bound": (0, MOST),
    "noise_layers": (0, MOST),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """How to train. Weights and intervals are StyleGAN2's.

    batch: photos a step; split over the devices.
    learning_rate: of both Adams.
    beta2: of both Adams; beta1 is 0.
    r1_gamma: weight of R1, the penalty on the discriminator's gradient at photos, 0 for none.
        Default: 2e-4 resolution^2 / batch.
    r1_interval: steps from one R1 to the next.
    path_weight: weight of the path length regularisation, 0 for none.
    path_interval: steps from one path length regularisation to the next.
    style_mixing: share of the generated images whose styles change from one w to another at a
        random layer.
    ema_images: half-life of the generator's moving average, in images, at most `ema_rampup` of what
        was seen.
    ema_rampup: share of the images seen, beyond which the average's half-life does not go.
    augment: "ada" (moved and recoloured, each with a probability), "blit", the same without
        colours, whose changes leak into pictures where colour tells much, or "none".
    augment_p: probability of augmentation, the same for all images. Default: adapted, by
        `ada_target` and `ada_images`.
    ada_target: mean sign of the discriminator's logits of photos that the probability of
        augmentation is steered to.
    ada_images: images in which the probability of augmentation can go from 0 to 1.
    noise_bound: largest size of a noise input's strength; 0 holds them all at zero, so that w has
        to draw the texture. Default: any.
    noise_layers: how many of the finest layers have a noise input; the others' strengths are held
        at zero. Default: all.
    loss: "logistic", StyleGAN2's, or "relativistic", of pairs of a photo and a picture, with R1 at
        both (R3GAN, arXiv:2501.05441).
    """

    batch: int = 32
    learning_rate: float = 2e-3
    beta2: float = 0.99
    r1_gamma: float | None = None
    r1_interval: int = 16
    path_weight: float = 2.0
    path_interval: int = 4
    style_mixing: float = 0.9
    ema_images: float = 10_000
    ema_rampup: float = 0.05
    augment: str = "ada"
    augment_p: float | None = None
    ada_target: float = 0.6
    ada_images: float = 500_000
    noise_bound: float | None = None
    noise_layers: int | None = None
    loss: str = "logistic"

    def __post_init__(self):
        if self.augment not in (*AUGMENTATIONS, "none"):
            raise ValueError(f'augment must be "ada", "blit" or "none", got {self.augment!r}')
        if self.loss not in ("logistic", "relativistic"):
            raise ValueError(f'loss must be "logistic" or "relativistic", got {self.loss!r}')
        if self.loss == "relativistic" and self.augment != "none" and self.augment_p is None:
            raise ValueError(
                'a relativistic loss needs an augment_p, or augment "none": its logits have '
                "no zero to adapt p by"
            )
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, got {self.batch}")
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name} must be from {least} to {most:g}, got {value}")
