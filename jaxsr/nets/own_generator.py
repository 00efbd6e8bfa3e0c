"""The StyleGAN2 that a published network around one has of its own (GFPGAN, GPEN)."""

from typing import Protocol, runtime_checkable

from jaxsr.nets import stylegan2


@runtime_checkable
class Around(Protocol):
    """Sizes of such a network."""

    @property
    def side(self) -> int: ...
    @property
    def w_dim(self) -> int: ...
    @property
    def mapping_layers(self) -> int: ...
    @property
    def dtype(self) -> str: ...


def sizes(config: Around, widths: tuple[int, ...], z_dim: int) -> stylegan2.Config:
    """Those of the generator that has these channels at 4, 8, ... pixels."""
    return stylegan2.Config(
        resolution=config.side,
        channels=widths,
        z_dim=z_dim,
        w_dim=config.w_dim,
        mapping_layers=config.mapping_layers,
        dtype=config.dtype,
    )
