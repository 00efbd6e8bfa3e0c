"""The table of learned restorers: from it derive the training command, the methods, what is read
from disk, and the tests.

A new restorer is its network in jaxsr/nets/, a file here that sizes and binds it, where it is of a
new kind a row of KINDS, its row in RESTORERS, and its row in `jaxsr.methods.METHODS` where it is a
method of its own.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jaxsr.learned import faces, fsrnet, glean, laren, upscalers
from jaxsr.learned.networks import PAPER_SIZES, Model, Sizes
from jaxsr.nets import fsrnet as fsrnet_net
from jaxsr.nets import gfpgan, gpen, rrdb, srvgg, vdsr
from jaxsr.nets import glean as glean_net
from jaxsr.nets import laren as laren_net
from jaxsr.operators import Operator
from jaxsr.priors import Prior, check_images, require_w
from jaxsr.types import Drawn, Image, Params


class Kind(NamedTuple):
    """A row of KINDS: networks of the same equations, which differ in their sizes and weights.

    Attributes:
        Config: class of its sizes, a dataclass; "net" of a model's config.json is it as a dict.
        version: of its equations; a model of other ones would restore to something else.
        bind: (net, prior, operator) -> Model. Raises ValueError where they do not fit; a network
            that has no use for a prior takes None.
        is_deterministic: (net) -> whether one measurement has one image, whatever the key.
        is_free: (net) -> whether it has no use for a prior.
        whole: (net, params, image [h, w, 3], factor) -> [h * factor, w * factor, 3] of images of
            any size in [0, 1]; None where a network makes images of one size.
    """

    Config: type
    version: int
    bind: Callable[[Any, Any, Operator], Model]
    is_deterministic: Callable[[Any], bool]
    is_free: Callable[[Any], bool]
    whole: Callable[[Any, Params, Image, int], Drawn] | None = None


class Restorer(NamedTuple):
    """A row of RESTORERS: a network that can be trained.

    Attributes:
        kind: a key of KINDS.
        method: a key of METHODS: which one restores with it.
        sized: (prior, params, operator, sizes, dtype) -> the kind's Config.
        summary: what it is, in a line.
        training: fields of `training.restorer_config.Config` that differ from their defaults, which
            are LAREN's.
        begins_from: the restorer whose weights its training goes on from; "" for none.
        is_free: whether what is sized has no use for a prior.
        is_printed: whether its equations are printed otherwise than they train: see
            `Sizes.literal`.
        fitted: (net, photos uint8 [n, H, W, 3] to train on) -> net, what of it comes from them;
            None: nothing.
    """

    kind: str
    method: str
    sized: Callable[[Prior, Params, Operator, Sizes, str], Any]
    summary: str
    training: Mapping[str, Any] = MappingProxyType({})
    begins_from: str = ""
    is_free: bool = False
    is_printed: bool = False
    fitted: Callable[[Any, np.ndarray], Any] | None = None


def _always(net: Any) -> bool:
    return True


def _never(net: Any) -> bool:
    return False


def _enlarging(name: str, config: type) -> Kind:
    bind = functools.partial(upscalers.bind_enlarging, name)
    whole = functools.partial(upscalers.whole_enlarging, name)
    return Kind(config, 1, bind, _always, _always, whole)


NEEDS = ("statistics",)  # of a prior's params, beside the generator
# "architecture" in a model's config.json -> what it stands for
KINDS: dict[str, Kind] = {
    "laren": Kind(laren_net.Config, 2, laren.bind, lambda net: net.generated, _never),
    "glean": Kind(glean_net.Config, 1, glean.bind, _always, _never),
    "gfpgan": Kind(gfpgan.Config, 1, faces.bind_gfpgan, _always, faces.has_generator),
    "gpen": Kind(gpen.Config, 1, faces.bind_gpen, _always, faces.has_generator),
    "rrdb": _enlarging("rrdb", rrdb.Config),
    "srvgg": _enlarging("srvgg", srvgg.Config),
    "vdsr": Kind(vdsr.Config, 1, upscalers.bind_vdsr, _always, _always, upscalers.whole_vdsr),
    "fsrnet": Kind(fsrnet_net.Config, 1, fsrnet.bind, _always, _always),
}


def _laren(name: str, summary: str, *, is_printed: bool = False) -> Restorer:
    sized = functools.partial(laren.sized, laren.VARIANTS[name])
    return Restorer("laren", "laren", sized, summary, is_printed=is_printed)


_ALONE = {"perceptual_weight": 0.0, "adversarial_weight": 0.0, "warmup_images": 0}
_L1 = {"batch": 16, "learning_rate": 2e-4, "schedule": "cosine", "pixel_fit": "l1", **_ALONE}
# What `train_restorer.py --network` takes.
RESTORERS: dict[str, Restorer] = {
    "base": _laren("base", "LAREN's encoder to one w; drawn noise"),
    "base_w_plus": _laren("base_w_plus", "its encoder to a w for each layer; drawn noise"),
    "base_styles": _laren("base_styles", "its encoder to every style; drawn noise"),
    "gdm_vanilla": _laren("gdm_vanilla", "codes from a graph of one relation; drawn noise"),
    "gdm": _laren("gdm", "codes from LAREN's graph; drawn noise", is_printed=True),
    "cgm_vanilla": _laren("cgm_vanilla", "LAREN without the recursion of its maps"),
    "laren": _laren("laren", "codes from a graph, and image-specific maps", is_printed=True),
    "glean": Restorer(
        "glean", "glean", glean.sized, "encoder, generator as a bank of features, decoder"
    ),
    "rrdb": Restorer(
        "rrdb",
        "rrdb",
        upscalers.sized_rrdb,
        "dense blocks, then enlargements; no prior",
        _L1,
        is_free=True,
    ),
    "srvgg": Restorer(
        "srvgg",
        "srvgg",
        upscalers.sized_srvgg,
        "a chain of convolutions, then one enlargement; no prior",
        _L1,
        is_free=True,
    ),
    # The paper's 1e-2 is of absolute differences in [0, 1].
    "esrgan": Restorer(
        "rrdb",
        "esrgan",
        upscalers.sized_rrdb,
        "rrdb against a discriminator; no prior",
        {
            "batch": 16,
            "pixel_fit": "l1",
            "pixel_weight": 0.005,
            "perceptual_fit": "l1",
            "perceptual_weight": 1.0,
            "adversarial": "relativistic",
            "discriminator": "vgg",
            "adversarial_weight": 0.005,
            "warmup_images": 0,
        },
        begins_from="rrdb",
        is_free=True,
    ),
    "vdsr": Restorer(
        "vdsr",
        "vdsr",
        upscalers.sized_vdsr,
        "convolutions that mend the bicubic enlargement; no prior",
        {"batch": 16, "learning_rate": 1e-3, "schedule": "cosine", **_ALONE},
        is_free=True,
    ),
    # FSRNet's objective, with classes of colours in place of parsing maps by hand.
    "fsrnet_style": Restorer(
        "fsrnet",
        "fsrnet_style",
        fsrnet.sized,
        "FSRNet-style, pseudo-parsing: a coarse image, classes of its colours; no prior",
        {
            "batch": 14,
            "learning_rate": 2.5e-4,
            "optimizer": "rmsprop",
            "stages_weight": 1.0,
            "parsing_weight": 1.0,
            **_ALONE,
        },
        is_free=True,
        fitted=fsrnet.fitted,
    ),
    # Of the paper's terms those of a face's components and of its identity are left out; one deep
    # map stands for the five of its perceptual term. Weights are the release's, of VGG-19's maps.
    "gfpgan": Restorer(
        "gfpgan",
        "gfpgan",
        faces.sized_gfpgan,
        "a U-Net that scales and shifts half of the generator's channels",
        {
            "learning_rate": 2e-3,
            "pixel_fit": "l1",
            "pixel_weight": 0.1,
            "stages_weight": 1.0,
            "perceptual_fit": "l1",
            "perceptual_weight": 1.0,
            "style_weight": 50.0,
            "adversarial_weight": 0.1,
            "r1_weight": 10.0,
            "warmup_images": 0,
        },
    ),
    # The paper's rates of encoder, generator and discriminator are 100 : 10 : 1.
    "gpen": Restorer(
        "gpen",
        "gpen",
        faces.sized_gpen,
        "an encoder whose maps are the generator's noise, both trained",
        {
            "learning_rate": 2e-3,
            "generator_rate": 0.1,
            "discriminator_rate": 0.01,
            "pixel_fit": "l1",
            "perceptual_weight": 0.0,
            "adversarial_weight": 1.0,
            "matching_weight": 0.02,
            "r1_weight": 10.0,
            "warmup_images": 0,
        },
    ),
}


def names_of(method: str) -> tuple[str, ...]:
    """Names of the restorers that a method restores with."""
    return tuple(name for name, row in RESTORERS.items() if row.method == method)


def kind_of(method: str) -> str:
    """The kind of all restorers of a method, a key of KINDS."""
    return RESTORERS[names_of(method)[0]].kind


def architecture_of(net: Any) -> str:
    """The kind that sizes are of, a key of KINDS."""
    return next(name for name, kind in KINDS.items() if isinstance(net, kind.Config))


def sized(
    name: str,
    prior: Prior,
    params: Params,
    operator: Operator,
    sizes: Sizes = PAPER_SIZES,
    dtype: str = "float32",
) -> Any:
    """The sizes of the restorer `name`, of its kind's Config, for a prior and an operator; its
    convolutions compute in `dtype`.

    Raises:
        ValueError: no such restorer; a prior that lacks what it needs, or of other images than the
            operator's; an operator that it cannot invert.
    """
    if name not in RESTORERS:
        raise ValueError(f"unknown network {name!r}: expected one of {', '.join(RESTORERS)}")
    row = RESTORERS[name]
    check_prior(name, row, prior, operator)
    if sizes.literal and not row.is_printed:
        printed = " and ".join(other for other, row in RESTORERS.items() if row.is_printed)
        raise ValueError(f"literal is of {printed} alone, not of {name}: leave it out")
    return row.sized(prior, params, operator, sizes, dtype)


def fitted(name: str, net: Any, photos: np.ndarray) -> Any:
    """The sizes of the restorer `name` with what comes from the photos [n, H, W, 3] (uint8) that it
    will be trained on. Raises ValueError for photos that cannot give it."""
    fit = RESTORERS[name].fitted
    return fit(net, photos) if fit else net


def bind(net: Any, prior: Prior | None, operator: Operator) -> Model:
    """The `Model` of a network, sized as one of KINDS, for a prior and an operator; None for a
    network that has no use for a prior. Raises ValueError where they do not fit."""
    return KINDS[architecture_of(net)].bind(net, prior, operator)


def is_deterministic(net: Any) -> bool:
    """Whether a network makes one image of a measurement, whatever the key."""
    return KINDS[architecture_of(net)].is_deterministic(net)


def is_free(net: Any) -> bool:
    """Whether a network has no use for a prior."""
    return KINDS[architecture_of(net)].is_free(net)


def check_prior(name: str, row: Restorer, prior: Prior, operator: Operator) -> None:
    """Raises ValueError, which names `name`, unless the prior makes the images that the operator
    takes, and has the w space and the blocks that a row needs."""
    check_images(prior, operator)
    if not row.is_free:
        require_w(f"method {name}", prior)
        if prior.blocks is None:
            raise ValueError(
                f"method {name} needs a prior with noise maps and blocks of 4, 8, 16, ... px, as "
                f"StyleGAN2 has: {prior.info.name!r} has none"
            )
