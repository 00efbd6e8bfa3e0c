"""The method of a cell: its settings, its model if it has one, what it needs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluation.bench import Bench, make_operator, operator_of
from evaluation.cells import REFERENCE, Cell, kind_of
from evaluation.variants import Variant
from jaxsr import diffusion, learned
from jaxsr.methods import METHODS
from jaxsr.methods.auto import AUTO, choose
from jaxsr.methods.setups import Setup, make_solve, values_of
from jaxsr.priors import Prior
from jaxsr.search import Solve, restore_batches
from jaxsr.types import Params

WITH_MODEL = ("learned", "diffusion")


def settings_of(bench: Bench, cell: Cell) -> dict[str, Any]:
    """Every setting of the cell's method; none for the real photo."""
    if cell.variant.method not in METHODS:
        return {}
    return values_of(_setup(bench, cell.variant), bench.prior, operator_of(bench, cell))


def _setup(bench: Bench, variant: Variant) -> Setup:
    options = bench.options
    model = model_of(variant, options.models)
    asked = {"model": model or None, "eps": options.eps}
    asked = {name: value for name, value in asked.items() if value is not None}
    return Setup(
        method=variant.method,
        preset=options.preset,
        network=options.network,
        solutions=options.solutions,
        noise=options.noise,
        smoke=options.smoke,
        settings={**variant.settings, **asked},
    )


def model_of(variant: Variant, models: str | None) -> str:
    """The folder of a model, in `models` if given: the one that its row names, or that the method
    does, one for all methods with a diffusion model; "" for the bundled one, and for what has no
    model."""
    kind = kind_of(variant.method)
    is_bundled = variant.chosen or (models is None and "model" not in variant.settings)
    if kind not in WITH_MODEL or is_bundled:
        return ""
    name = kind if kind == "diffusion" else variant.method
    return str(Path(models or "models") / variant.settings.get("model", name) / "model")


def lacking(
    prior: Prior, params: Params, cells: Sequence[Cell], kernel: str, models: str | None
) -> dict[str, str]:
    """Name of a cell -> why it cannot be run: a network that nobody trained for the prior and the
    operator, or a damaged one."""
    found = {}
    for cell in cells:
        if kind_of(cell.variant.method) in WITH_MODEL:
            try:
                _load_model(prior, params, cell, kernel, model_of(cell.variant, models))
            except ValueError as error:
                found[cell.name] = str(error)
    return found


def _load_model(prior: Prior, params: Params, cell: Cell, kernel: str, folder: str) -> Params:
    method = cell.variant.method
    if kind_of(method) == "diffusion":
        return diffusion.load(prior, folder)
    side = prior.info.resolution
    operator = make_operator(cell.operator, side, cell.enlargement(side), kernel)
    return learned.load(method, prior, params, operator, folder)


def chosen(
    prior: Prior, params: Params, cells: Sequence[Cell], kernel: str, solutions: int
) -> list[Cell]:
    """The cells with a method in place of "auto", each for its operator."""
    side = prior.info.resolution

    def choice(cell: Cell) -> Cell:
        operator = make_operator(cell.operator, side, cell.enlargement(side), kernel)
        found = choose(prior, params, operator, solutions=solutions)
        settings = {**cell.variant.settings, "preset": found.preset}
        variant = dataclasses.replace(
            cell.variant, method=found.method, settings=settings, chosen=found.why
        )
        return cell._replace(variant=variant)

    return [choice(cell) if cell.variant.method == AUTO else cell for cell in cells]


class Method(NamedTuple):
    """A cell's method, and its parameters: the prior's and the networks that it needs."""

    solve: Solve
    params: Params


def method_of(bench: Bench, cell: Cell) -> Method | None:
    """The cell's method, None for the real photo. Raises ValueError when what it needs is missing,
    before anything is compiled."""
    if cell.variant.method == REFERENCE:
        return None
    setup = _setup(bench, cell.variant)
    return Method(*make_solve(bench.prior, bench.params, operator_of(bench, cell), setup))


def warm_up(bench: Bench, method: Method | None) -> None:
    """Compiles a method, by restoring a grey photo, so that no photo's seconds include it."""
    if method is None:
        return
    y = np.full((1, *method.solve.operator.measurement_shape), 0.5, np.float32)
    for _ in restore_batches(
        method.solve, method.params, y, batch_size=bench.options.batch_size, progress=False
    ):
        pass
