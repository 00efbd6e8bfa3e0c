"""Diffusion models on disk. A folder has config.json and params/, as a prior's: {"architecture":
"diffusion", "version", "net", "schedule", "domain", ...}."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr import weights
from jaxsr.diffusion.schedule import Schedule
from jaxsr.nets import unet
from jaxsr.priors import Prior
from jaxsr.records.files import ASSETS
from jaxsr.types import Params

MODELS = ASSETS / "diffusion"
ARCHITECTURE = "diffusion"
VERSION = 1


class Model(NamedTuple):
    """A network that predicts noise, and the schedule that it was trained on."""

    net: unet.Config
    schedule: Schedule


def save(folder: str | Path, model: Model, params: Params, about: dict[str, Any]) -> None:
    """Writes a model; `about` (JSON) joins its config.json."""
    weights.save(folder, params, described(model) | about)


def described(model: Model) -> dict[str, Any]:
    """What config.json says of a model."""
    return {
        "architecture": ARCHITECTURE,
        "version": VERSION,
        "net": dataclasses.asdict(model.net),
        "schedule": dataclasses.asdict(model.schedule),
    }


def read(folder: str | Path) -> Model:
    """The network and the schedule of a model's folder.

    Raises:
        ValueError: no such folder, or another network's.
    """
    record = weights.read_config(folder)
    try:
        if record["architecture"] != ARCHITECTURE or record["version"] != VERSION:
            raise ValueError(
                f"architecture {record['architecture']!r} of version {record['version']!r}"
            )
        net: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in record["net"].items()
        }
        return Model(unet.Config(**net), Schedule(**record["schedule"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}/config.json: expected a diffusion model's of version {VERSION}, got {error}"
        ) from error


def shapes(model: Model) -> Params:
    """Shapes of the parameters."""
    tree = jax.eval_shape(lambda: unet.init(jax.random.key(0), model.net))
    return jax.tree.map(jnp.shape, tree)


def bundled(prior: Prior) -> Path | None:
    """The folder of the model that comes with the package for the prior's domain and size, if there
    is one."""
    for path in sorted(MODELS.glob("*/config.json")):
        record = weights.read_config(path.parent)
        known = record.get("domain"), record["net"]["resolution"]
        if known == (prior.info.domain, prior.info.resolution):
            return path.parent
    return None


def find(prior: Prior, source: str = "") -> Path:
    """The folder of a model: `source`, or the bundled one for the prior's domain and size where
    that is empty.

    Raises:
        ValueError: there is none, it is another network's, or its images are of another size.
    """
    folder, side = Path(source) if source else bundled(prior), prior.info.resolution
    if folder is None:
        raise ValueError(
            f"no diffusion model comes with the package for {prior.info.domain!r} at {side} px: "
            "train one with experiments/train_diffusion.py, or convert one with ports/convert.py, "
            "and give its folder as model"
        )
    found = read(folder).net.resolution
    if found != side:
        raise ValueError(
            f"{folder}: expected a diffusion model of {side} px, as prior {prior.info.name!r}, got "
            f"one of {found} px"
        )
    return folder


def load(prior: Prior, source: str = "") -> Params:
    """{"diffusion": the params of a model}, float32, to join the prior's.

    Raises:
        ValueError: as `find`, or its arrays do not fit its config.json.
    """
    folder = find(prior, source)
    params, _ = weights.load(folder)
    if jax.tree.map(jnp.shape, params) != shapes(read(folder)):
        raise ValueError(f"{folder}: the arrays do not fit the network that config.json describes")
    return {"diffusion": params}
