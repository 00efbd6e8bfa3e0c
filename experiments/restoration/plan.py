"""What `super_resolve.py` is going to do, all of it checked before the first search."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsr import flags, loading, operators
from jaxsr.methods import setups
from jaxsr.methods.auto import AUTO, Choice, choose
from jaxsr.methods.setups import Setup
from jaxsr.priors import Prior
from jaxsr.records import report
from jaxsr.search import Solve
from jaxsr.types import Params
from restoration import fitting, free, jobs, whole
from restoration.fitting import Fitter
from restoration.jobs import Job, Source
from restoration.options import Settings, check, naming, operator_choice, out_folder

SMOKE_PHOTOS = 2


class Method(NamedTuple):
    """The method for one operator, and why it is that one; parameters with the networks it needs;
    all its settings."""

    name: str
    why: str
    solve: Solve
    params: Params
    values: dict


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is restored with what.

    Attributes:
        settings: the flags.
        source: where the prior comes from.
        prior, params: the prior.
        fitter: how the photos meet it.
        sources: the files, with the names of their results.
        methods: factor -> the method for it.
        jobs: the results to make, in order.
        unusable: a row for each result that cannot be made.
    """

    settings: Settings
    source: str
    prior: Prior
    params: Params
    fitter: Fitter
    sources: Sequence[Source]
    methods: dict[int, Method]
    jobs: list[Job]
    unusable: list[dict]


def find_sources(settings: Settings) -> list[Source]:
    """The files of the flags, or the prior's examples. Raises ValueError for what is no prior, or
    has none."""
    patterns = settings.input
    if not patterns and not settings.reference:
        if whole.serves(settings):
            raise ValueError("--input is missing: without a prior there are no examples")
        patterns = (jobs.example_folder(prior_source(settings)),)
    files = jobs.find_files(patterns, settings.reference)
    files = files[: SMOKE_PHOTOS if settings.smoke else None]
    folder = out_folder(settings)
    rows = earlier_rows(settings, [folder, *sorted(folder.glob("part-*-of-*"))])
    return jobs.named(files, naming(settings), folder=folder, rows=rows)


def earlier_rows(settings: Settings, folders: Sequence[Path]) -> list[jobs.Row]:
    """The rows of an earlier run that this one goes on with; of photos, not of the faces in
    them."""
    if settings.overwrite:
        return []
    rows = [row for folder in folders for row in report.results(folder).values()]
    return [row for row in rows if not row.get("face")]


def prior_source(settings: Settings) -> str:
    return settings.prior or loading.default_source()


def prepare(settings: Settings, sources: Sequence[Source]) -> Plan:
    """Reads the prior and the photos, and makes the methods; nothing is compiled.

    Raises:
        ValueError: a setting makes no sense, no photo can be used, or the prior lacks what the
            method needs.
    """
    check(settings)
    source = prior_source(settings)
    flags.cache_compilations()
    prior, params = loading.load_prior(source, dtype=flags.compute_in(settings.precision))
    fitter = fitting.make_fitter(
        prior.info.resolution,
        operator_choice(settings),
        settings.fit,
        references=any(source.file.is_reference for source in sources),
        reading=settings,
    )
    found, unusable = jobs.load_jobs(sources, fitter, progress=settings.progress)
    found = jobs.recognised(sources, found, earlier_rows(settings, [out_folder(settings)]))
    methods, problems = make_methods(prior, params, fitter, found, settings)
    unusable = [row | {"method": settings.method} for row in unusable]
    unusable += [
        failed(job, settings.method, f"{job.photo.file}: {problems[job.photo.factor]}")
        for job in found
        if job.photo.factor in problems
    ]
    served = [job for job in found if job.photo.factor in methods]
    return Plan(settings, source, prior, params, fitter, sources, methods, served, unusable)


def failed(job: Job, method: str, problem: str) -> dict:
    """The row of a result that could not be made."""
    names = {"file": job.photo.file, "output": job.output, "solution": job.solution}
    return {**names, "method": method, "status": "error", "error": problem}


def make_methods(
    prior: Prior, params: Params, fitter: Fitter, found: Sequence[Job], settings: Settings
) -> tuple[dict[int, Method], dict[int, str]]:
    """The method for each factor, and why it does not serve the others.

    Raises:
        ValueError: it serves none.
    """
    methods, problems = {}, {}
    for factor in sorted({job.photo.factor for job in found}):
        try:
            family = free.family(settings, factor, fitter.resolution)
            operator = fitter.operator(factor)
            methods[factor] = make_method(prior, params, operator, settings, family)
        except ValueError as error:
            problems[factor] = str(error)
    if not methods:
        raise ValueError(problems[found[0].photo.factor])
    return methods, problems


def make_method(
    prior: Prior,
    params: Params,
    operator: operators.Operator,
    settings: Settings,
    family: operators.Family | None = None,
) -> Method:
    """The method for an operator, or for those of a family in its place.

    Raises:
        ValueError: the prior lacks what the method needs, or weights are missing.
    """
    operator = operator if family is None else family.make(family.start)
    choice = Choice(settings.method, settings.preset or "paper", "asked for")
    if settings.method == AUTO:
        choice = choose(prior, params, operator, solutions=settings.num_solutions)
    setup = Setup(
        method=choice.method,
        preset=choice.preset,
        network=settings.network,
        solutions=settings.num_solutions,
        noise=settings.noise,
        smoke=settings.smoke,
        settings={"model": settings.model} if settings.model else {},
    )
    solve, params = setups.make_solve(prior, params, operator, setup, family)
    values = setups.values_of(setup, prior, operator)
    return Method(choice.method, choice.why, solve, params, values)
