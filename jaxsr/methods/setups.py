"""A method as the experiments start it: its settings, the networks that it needs, and its checks
before any long work."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxsr import diffusion, learned, operators
from jaxsr.methods import METHODS, Learned, networks
from jaxsr.priors import Prior
from jaxsr.search import Solve, conditioned
from jaxsr.settings import iterates_of, resolve
from jaxsr.types import Params

SMOKE_STEPS = 4
# Of the starts of several solutions by methods that start at the mean of w, as in the release of
# RLS.
INIT_SPREAD = 0.2


@dataclasses.dataclass(frozen=True)
class Setup:
    """How a method is started.

    Attributes:
        method: a name in `jaxsr.methods.METHODS`.
        preset: of its settings.
        network: what its perceptual terms see with, "vgg" or "features"; None: the preset's.
        solutions: how many results for each photo.
        noise: standard deviation of the photos' noise, of [0, 1], which methods with a diffusion
            model reckon with; None: the preset's.
        smoke: a few steps.
        settings: fields that differ from the preset.
    """

    method: str
    preset: str = "paper"
    network: str | None = None
    solutions: int = 1
    noise: float | None = None
    smoke: bool = False
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def make_config(setup: Setup, operator: operators.Operator) -> Any:
    """The method's settings, every value explicit.

    Raises:
        ValueError: a preset or a value that the method does not have.
    """
    kind = METHODS[setup.method].Config
    preset = setup.preset if setup.preset in kind.PRESETS else "paper"
    config = resolve(kind(**{"preset": preset, **setup.settings}), operator)
    changed: dict[str, Any] = {}
    if setup.network is not None and hasattr(config, "network"):
        changed["network"] = setup.network
    if setup.solutions > 1 and "init_spread" in config.PRESETS[config.preset]:
        changed["init_spread"] = INIT_SPREAD
    if setup.noise is not None and METHODS[setup.method].kind == "diffusion":
        changed["noise"] = setup.noise
    if setup.smoke:
        changed |= dict.fromkeys(iterates_of(kind), SMOKE_STEPS)
    return dataclasses.replace(config, **changed)


def values_of(setup: Setup, prior: Prior, operator: operators.Operator) -> dict[str, Any]:
    """Every setting that a result depends on, in JSON's types; of a model also the digest of its
    record, which holds that of its arrays: a folder can be trained anew, and another version of the
    package can bring another model."""
    values = dataclasses.asdict(make_config(setup, operator))
    kind, folder = METHODS[setup.method].kind, None
    if kind == "learned":
        folder = learned.find(setup.method, prior, operator, values["model"])
    if kind == "diffusion":
        folder = diffusion.find(prior, values["model"])
    if folder:
        values["model_sha256"] = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[
            :16
        ]
    return values


def make_solve(
    prior: Prior,
    params: Params,
    operator: operators.Operator,
    setup: Setup,
    family: operators.Family | None = None,
) -> tuple[Solve, Params]:
    """The method for one operator, or for a family of which `operator` is the template, and the
    parameters with the networks that it needs.

    Raises:
        ValueError: the method is no search and a family is given, the prior lacks what the method
            needs, or weights are not on this machine; before anything is compiled.
    """
    config = make_config(setup, operator)
    method = METHODS[setup.method]
    solve = method.make(prior, operator, config)
    params = params | networks(config)
    if isinstance(config, Learned):
        folder = learned.find(setup.method, prior, operator, config.model)
        if setup.solutions > 1 and learned.is_deterministic(learned.read_net(folder)):
            raise ValueError(
                f"{folder}: the network draws nothing at random and has one result for a "
                f"photo, got {setup.solutions} to make"
            )
        params = params | learned.load(setup.method, prior, params, operator, str(folder))
    if METHODS[setup.method].kind == "diffusion":
        params = params | diffusion.load(prior, config.model)
    if family is not None:
        if method.kind != "search":
            raise ValueError(
                f"expected a method that searches, to find an operator's parameters, got "
                f"{setup.method}"
            )
        solve = conditioned(lambda operator: method.make(prior, operator, config), family)
    y = solve.inputs(np.zeros((1, *operator.measurement_shape), np.float32))
    y = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), y)
    # Its checks, without compiling.
    jax.eval_shape(
        functools.partial(solve.phases[0].start, previous=None), jax.random.key(0), params, y
    )
    return solve, params
