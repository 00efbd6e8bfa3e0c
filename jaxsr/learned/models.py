"""Trained networks on disk. A model's folder has config.json and params/, as a prior's:
{"architecture", "version", "net", "prior", "generator_sha256", "operator", ...}."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import weights
from jaxsr.learned.networks import Model, bind
from jaxsr.nets import encoder, glean, laren
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.records.files import ASSETS
from jaxsr.types import Params

MODELS = ASSETS / "learned"
# Of each architecture's equations; a model of other ones would restore to something else.
VERSIONS = {"laren": 2, "glean": 1}


def generator_digest(params: Params) -> str:
    """SHA-256 of what a model depends on of a prior's params."""
    parts = {name: params[name] for name in ("mapping", "synthesis", "noise")}
    return weights.digest(
        parts | {name: params["statistics"][name] for name in ("w_mean", "w_std")}
    )


def probe(operator: Operator) -> list[float]:
    """Eight numbers of what an operator makes of a picture, [8]: what tells masks or blurs apart,
    which all have one name."""
    draw = np.random.default_rng(0)
    y = np.real(operator(jnp.asarray(draw.random(operator.image_shape), jnp.float32))).ravel()
    return [round(float(x), 5) for x in draw.normal(size=(8, len(y))) @ y / len(y) ** 0.5]


def save(
    folder: str | Path,
    model: Model,
    params: Params,
    prior: Prior,
    prior_params: Params,
    operator: Operator,
    about: dict,
) -> None:
    """Writes a model; `about` (JSON) joins its config.json."""
    record = {
        "architecture": model.architecture,
        "version": VERSIONS[model.architecture],
        "net": dataclasses.asdict(model.net),
        "prior": prior.info.name,
    }
    record |= {
        "generator_sha256": generator_digest(prior_params),
        "params_sha256": weights.digest(params),
    }
    record |= {"operator": operator.name, "probe": probe(operator)}
    weights.save(folder, params, record | about)


def bundled(architecture: str, prior: Prior, operator: Operator) -> Path | None:
    """The folder of the model that comes with the package for this prior and operator, if there is
    one."""
    for path in sorted(MODELS.glob("*/config.json")):
        record = weights.read_config(path.parent)
        if (record["architecture"], record["prior"], record["operator"]) == (
            architecture,
            prior.info.name,
            operator.name,
        ):
            return path.parent
    return None


def fitting(architecture: str, prior: Prior, params: Params, operator: Operator) -> Path | None:
    """`bundled`, where it was trained for these very weights of the generator and this operator."""
    folder = bundled(architecture, prior, operator)
    if folder is None:
        return None
    record = weights.read_config(folder)
    is_old = record.get("version", 1) != VERSIONS[architecture]
    return None if is_old or is_other(record, params, operator) else folder


def is_other(record: dict[str, Any], prior_params: Params, operator: Operator) -> str:
    """What a model was trained for in place of these weights of the generator and this operator;
    "" where it fits."""
    if record.get("generator_sha256") != generator_digest(prior_params):
        return f"with other weights of prior {record['prior']!r} than these"
    if not np.allclose(record.get("probe", []), probe(operator), atol=1e-3):
        return f"for another operator of the name {operator.name!r}"
    return ""


def find(architecture: str, prior: Prior, operator: Operator, source: str = "") -> Path:
    """The folder of a model: `source`, or the bundled one for the prior and operator where that is
    empty.

    Raises:
        ValueError: there is none, or it is another architecture's, was trained for another prior or
            operator, or before the network's equations changed.
    """
    folder = Path(source) if source else bundled(architecture, prior, operator)
    if folder is None:
        known = [
            f"{r['architecture']} of {r['prior']}, {r['operator']}"
            for r in map(weights.read_config, sorted(MODELS.glob("*/")))
        ]
        told = f"those bundled: {'; '.join(known)}" if known else "none is bundled"
        raise ValueError(
            f"no {architecture} model for prior {prior.info.name!r} and {operator.name} "
            f"({told}): train one with experiments/train_laren.py"
        )
    record = weights.read_config(folder)
    expected = {"architecture": architecture, "prior": prior.info.name, "operator": operator.name}
    for name, value in expected.items():
        if record.get(name) != value:
            raise ValueError(
                f"{folder}: expected a model with {name} {value!r}, got {record.get(name)!r}"
            )
    version = record.get("version", 1)
    if version != VERSIONS[architecture]:
        raise ValueError(
            f"{folder}: expected a model of version {VERSIONS[architecture]} of {architecture}'s "
            f"equations, got one of version {version}: train it again with "
            "experiments/train_laren.py"
        )
    return folder


def load(
    architecture: str, prior: Prior, prior_params: Params, operator: Operator, source: str = ""
) -> Params:
    """{"learned": the params of a model}, float32, to join the prior's.

    Raises:
        ValueError: as `find`; the model was trained with other weights of the generator, or its
            arrays do not fit its config.json.
    """
    folder = find(architecture, prior, operator, source)
    params, record = weights.load(folder)
    other = is_other(record, prior_params, operator)
    if other:
        raise ValueError(f"{folder}: the model was trained {other}")
    model = bind(read_net(folder), prior, operator)
    expected, got = (
        jax.tree.map(jnp.shape, tree)
        for tree in (jax.eval_shape(model.init, jax.random.key(0), prior_params), params)
    )
    if expected != got:
        raise ValueError(f"{folder}: the arrays do not fit the network that config.json describes")
    return {"learned": params}


def read_net(folder: str | Path) -> laren.Config | glean.Config:
    """The sizes of the network in a model's folder.

    Raises:
        ValueError: no such folder, or another network's.
    """
    record = weights.read_config(folder)
    try:
        net = _tuples(record["net"])
        start = encoder.Config(**net.pop("encoder"))
        if record["architecture"] == "glean":
            return glean.Config(start, **net)
        if record["architecture"] == "laren":
            return laren.Config(start, laren.Graph(**net.pop("graph")), **net)
        raise ValueError(f"architecture {record['architecture']!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}/config.json: expected a laren or glean model's, got {error}"
        ) from error


def _tuples(tree: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(tree, dict):
        return {name: _tuples(leaf) for name, leaf in tree.items()}
    return tuple(map(_tuples, tree)) if isinstance(tree, list) else tree
