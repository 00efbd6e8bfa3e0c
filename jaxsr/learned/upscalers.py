"""Restorers without a prior, sized for an operator and bound to it: RRDB (ESRGAN,
arXiv:1809.00219), SRVGG (Real-ESRGAN, arXiv:2107.10833) and VDSR (arXiv:1511.04587)."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

from jaxsr.learned.networks import Model, Sizes, factor_of
from jaxsr.nets import rrdb, srvgg, vdsr
from jaxsr.operators import Operator, as_image, enlarged
from jaxsr.priors import Prior
from jaxsr.resample import upsample
from jaxsr.types import Drawn, Image, Latent, Measurement, Params, PRNGKey

# Networks that make an image larger by a factor of their own.
ENLARGING: dict[str, ModuleType] = {"rrdb": rrdb, "srvgg": srvgg}
OFFICIAL_UPS = 2  # of the official 1x, 2x and 4x networks


def sized_rrdb(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> rrdb.Config:
    """The network of an operator's factor, as the official ones are built: below 4x the pixels are
    unshuffled first, above it there are more enlargements. Raises ValueError for a factor that is
    no power of two."""
    factor = factor_of(operator)
    if factor & (factor - 1):
        raise ValueError(f"expected an operator of factor 1, 2, 4, 8, ... for rrdb, got {factor}")
    ups = max(OFFICIAL_UPS, int(math.log2(factor)))
    return rrdb.Config(sizes.blocks, sizes.width, sizes.growth, ups, 2**ups // factor, dtype)


def sized_srvgg(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> srvgg.Config:
    """The network of an operator's factor."""
    return srvgg.Config(sizes.layers, sizes.width, factor_of(operator), dtype)


def bind_enlarging(name: str, net: Any, prior: Prior | None, operator: Operator) -> Model:
    """A network of ENLARGING on measurements as images. Raises ValueError for another factor than
    its own."""
    _expect(factor_of(operator), net.factor)
    network = ENLARGING[name]

    def restored(params: Params, y: Measurement) -> Drawn:
        return network.restored(net, params, as_image(operator, y))

    return _model(name, net, network.init, restored)


def whole_enlarging(name: str, net: Any, params: Params, image: Image, factor: int) -> Drawn:
    """A photo of any size. Raises ValueError for another factor than the network's."""
    _expect(factor, net.factor)
    return ENLARGING[name].restored(net, params, image)


def _expect(factor: int, got: int) -> None:
    if got != factor:
        raise ValueError(f"expected a network of factor {factor}, got one of factor {got}")


def sized_vdsr(
    prior: Prior, params: Params, operator: Operator, sizes: Sizes, dtype: str
) -> vdsr.Config:
    """The network on RGB."""
    return vdsr.Config(sizes.layers, sizes.width, channels=3, dtype=dtype)


def bind_vdsr(net: vdsr.Config, prior: Prior | None, operator: Operator) -> Model:
    """The network on measurements that are enlarged bicubically: it takes any operator."""

    def restored(params: Params, y: Measurement) -> Drawn:
        return vdsr.restored(net, params, enlarged(operator, y, "bicubic"))

    return _model("vdsr", net, vdsr.init, restored)


def whole_vdsr(net: vdsr.Config, params: Params, image: Image, factor: int) -> Drawn:
    """A photo of any size, at any factor."""
    return vdsr.restored(net, params, upsample(image, factor))


def _model(
    architecture: str,
    net: Any,
    init: Callable[[PRNGKey, Any], Params],
    restored: Callable[[Params, Measurement], Drawn],
) -> Model:
    """A network that has no use for a generator, and no latent."""

    def restore(
        key: PRNGKey, prior_params: Params, params: Params, y: Measurement
    ) -> tuple[Drawn, Latent]:
        return restored(params, y), {}

    return Model(architecture, net, lambda key, prior_params: init(key, net), restore)
