"""Networks, one a file; each leaves its file as a `Prior` or as pure functions. Flax is imported
nowhere else.

A new architecture is its file here, its row in ARCHITECTURES, a port (`ports/formats.py`) and a row
in tests/architectures.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxsr.nets import biggan, pggan, stylegan1, stylegan2, stylegan3
from jaxsr.priors import Prior
from jaxsr.types import Params, PRNGKey


class Architecture(NamedTuple):
    """A row of ARCHITECTURES.

    Attributes:
        Config: class of the network's sizes, the "net" of a prior's config.json.
        prior: (config, name=, domain=, licence=) -> Prior.
        init: (key, config) -> fresh params, whose shapes a checkpoint's must have.
        options: fields of Config that `load_prior` may set otherwise.
    """

    Config: Any
    prior: Callable[..., Prior]
    init: Callable[[PRNGKey, Any], Params]
    options: tuple[str, ...]


# "architecture" in a prior's config.json -> what it stands for
ARCHITECTURES: dict[str, Architecture] = {
    "stylegan2": Architecture(
        stylegan2.Config, stylegan2.stylegan2, stylegan2.init, options=("dtype",)
    ),
    "stylegan3": Architecture(
        stylegan3.Config, stylegan3.stylegan3, stylegan3.init, options=("dtype",)
    ),
    "stylegan1": Architecture(
        stylegan1.Config, stylegan1.stylegan1, stylegan1.init, options=("dtype",)
    ),
    "pggan": Architecture(pggan.Config, pggan.pggan, pggan.init, options=("dtype",)),
    "biggan": Architecture(
        biggan.Config, biggan.biggan, biggan.init, options=("label", "truncation")
    ),
}
