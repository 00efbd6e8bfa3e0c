"""Trained networks on disk. A model's folder has config.json and params/, as a prior's:
{"architecture", "version", "net", "name", "prior", "generator_sha256", "operator", "probe", ...} of
one that was trained here, for one prior and operator; {"architecture", "version", "net", "factor",
...} of one that somebody else published, which fits every prior and operator of its factor."""

import dataclasses
import typing
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import weights
from jaxsr.learned.networks import Model, factor_of
from jaxsr.learned.restorers import KINDS, NEEDS, RESTORERS, bind, is_free, kind_of
from jaxsr.operators import Operator
from jaxsr.priors import GENERATOR, Prior
from jaxsr.records.files import ASSETS
from jaxsr.types import Params

MODELS = ASSETS / "learned"
COMMAND = "experiments/train_restorer.py"


def generator_digest(params: Params) -> str:
    """SHA-256 of what a model depends on of a prior's params."""
    parts = {name: params[name] for name in (*GENERATOR, "noise") if name in params}
    known = params.get("statistics", {})
    return weights.digest(parts | {name: known[name] for name in ("w_mean", "w_std") if known})


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
        "version": KINDS[model.architecture].version,
        "net": dataclasses.asdict(model.net),
        "prior": prior.info.name,
    }
    record |= {
        "generator_sha256": generator_digest(prior_params),
        "params_sha256": weights.digest(params),
    }
    record |= {"operator": operator.name, "probe": probe(operator)}
    weights.save(folder, params, record | about)


def bundled(method: str, prior: Prior, operator: Operator) -> Path | None:
    """The folder of the model that comes with the package for this prior and operator, if there is
    one."""
    wanted = {"prior": prior.info.name, "operator": operator.name}
    for path in sorted(MODELS.glob("*/config.json")):
        record = weights.read_config(path.parent)
        if _serves(record, method) and wanted.items() <= record.items():
            return path.parent
    return None


def _serves(record: dict[str, Any], method: str) -> bool:
    """Whether a model is of the method's kind, and not trained as another method of that kind."""
    trained_as = RESTORERS.get(record.get("name", ""))
    same = trained_as is None or trained_as.method == method
    return record.get("architecture") == kind_of(method) and same


def fitting(method: str, prior: Prior, params: Params, operator: Operator) -> Path | None:
    """`bundled`, where it was trained for these very weights of the generator and this operator."""
    folder = bundled(method, prior, operator)
    if folder is None:
        return None
    record = weights.read_config(folder)
    is_old = record.get("version", 1) != KINDS[kind_of(method)].version
    return None if is_old or is_other(record, params, operator) else folder


def is_other(record: dict[str, Any], prior_params: Params, operator: Operator) -> str:
    """What a model was trained for in place of these weights of the generator and this operator;
    "" where it fits, or was trained for none."""
    if "prior" not in record:
        return ""
    if record.get("generator_sha256") != generator_digest(prior_params):
        return f"with other weights of prior {record['prior']!r} than these"
    if not np.allclose(record.get("probe", []), probe(operator), atol=1e-3):
        return f"for another operator of the name {operator.name!r}"
    return ""


def find(method: str, prior: Prior, operator: Operator, source: str = "") -> Path:
    """The folder of a model: `source`, or the bundled one for the prior and operator where that is
    empty.

    Raises:
        ValueError: there is none, or it is another method's, was trained for another prior or
            operator, or before the network's equations changed.
    """
    folder = Path(source) if source else bundled(method, prior, operator)
    if folder is None:
        known = [
            f"{r['architecture']} of {r['prior']}, {r['operator']}"
            for r in map(weights.read_config, sorted(MODELS.glob("*/")))
        ]
        told = f"those bundled: {'; '.join(known)}" if known else "none is bundled"
        raise ValueError(
            f"no {method} model for prior {prior.info.name!r} and {operator.name} "
            f"({told}): give its folder as the model, from {COMMAND} or ports/convert.py"
        )
    _check_record(folder, method, prior, operator)
    return folder


def _check_record(folder: Path, method: str, prior: Prior, operator: Operator) -> None:
    """Raises ValueError unless the model in a folder is of the method, and for them."""
    record, kind = weights.read_config(folder), kind_of(method)
    expected: dict[str, Any] = {"architecture": kind}
    if "prior" in record or "factor" not in record:
        expected |= {"prior": prior.info.name, "operator": operator.name}
    elif record["factor"]:  # 0: of any
        expected["factor"] = factor_of(operator)
    for name, value in expected.items():
        if record.get(name) != value:
            raise ValueError(
                f"{folder}: expected a model with {name} {value!r}, got {record.get(name)!r}"
            )
    if not _serves(record, method):
        other = RESTORERS[record["name"]].method
        raise ValueError(
            f"{folder}: expected a model trained as {method}, got one trained as {other}: take "
            f"method {other}"
        )
    version, known = record.get("version", 1), KINDS[kind].version
    if version != known:
        raise ValueError(
            f"{folder}: expected a model of version {known} of {kind}'s equations, got one of "
            f"version {version}: train it again with {COMMAND}"
        )


def load(
    method: str, prior: Prior, prior_params: Params, operator: Operator, source: str = ""
) -> Params:
    """{"learned": the params of a model}, float32, to join the prior's.

    Raises:
        ValueError: as `find`; the model was trained with other weights of the generator, the prior
            lacks what it needs, or its arrays do not fit its config.json.
    """
    folder = find(method, prior, operator, source)
    params, record = weights.load(folder)
    net = read_net(folder)
    for name in () if is_free(net) else NEEDS:
        if name not in prior_params:
            raise ValueError(f"method {method} needs {name} of the prior: params has none")
    other = is_other(record, prior_params, operator)
    if other:
        raise ValueError(f"{folder}: the model was trained {other}")
    model = bind(net, prior, operator)
    check_shapes(folder, model, prior_params, params)
    return {"learned": params}


def check_shapes(folder: str | Path, model: Model, prior_params: Params, params: Params) -> None:
    """Raises ValueError unless a folder's params are those of a model."""
    fresh = jax.eval_shape(model.init, jax.random.key(0), prior_params)
    expected, got = (jax.tree.map(jnp.shape, tree) for tree in (fresh, params))
    if expected != got:
        raise ValueError(f"{folder}: the arrays do not fit the network that config.json describes")


def read_net(folder: str | Path) -> Any:
    """The sizes of the network in a model's folder, of its kind's Config.

    Raises:
        ValueError: no such folder, or none of a network in KINDS.
    """
    record = weights.read_config(folder)
    try:
        name = record["architecture"]
        if name not in KINDS:
            raise ValueError(f"architecture {name!r}")
        return from_json(KINDS[name].Config, record["net"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}/config.json: expected a model of {', '.join(KINDS)}, got {error}"
        ) from error


def from_json(kind: type, tree: dict[str, Any]) -> Any:
    """The dataclass `kind` that `dataclasses.asdict` made `tree` of, by way of JSON: lists are the
    tuples that they were. Raises TypeError for fields that it does not have."""
    hints = typing.get_type_hints(kind)

    def value(name: str, leaf: Any) -> Any:
        is_nested = dataclasses.is_dataclass(hints.get(name)) and isinstance(leaf, dict)
        return from_json(hints[name], leaf) if is_nested else _tuples(leaf)

    return kind(**{name: value(name, leaf) for name, leaf in tree.items()})


def _tuples(leaf: Any) -> Any:
    return tuple(map(_tuples, leaf)) if isinstance(leaf, list) else leaf
