"""Finds many restorations of one photo that all explain it, and shows in what they differ (e-GLASS,
Montanaro et al.).

    python experiments/explore.py --input=photo.png  # a low-resolution photo
    python experiments/explore.py --reference=sharp.png --factor=8  # a sharp one: degraded first
    python experiments/explore.py --reference=sharp.png --operator=inpainting --space=w
    python experiments/explore.py --smoke --force  # a random toy prior, a few steps

A first solution is found with --method. Around it the picture's and the measurement's metrics of
the latent space are taken, and directions that change the picture and not the measurement are
walked both ways up to --eps. OUT holds start.png; solution_1.png, ... as they are found;
solutions.csv with a row a walk (verdict: solution, duplicate or infeasible; direction K, step,
residual, perceptual distance); gallery.png; variation.png and variation.npy, how far every pixel
varies among the solutions; walk_K.webp, the picture along direction K; figure1.png, the
correlations of v^K and d with both metrics' eigenvectors (the paper's Figure 1), and spectra.png
(both need matplotlib); config.json; start/, the first solution, and metrics.npz, so that the same
command goes on after them, and --start=OUT explores another way from there.
"""

import dataclasses
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from exploration import gallery, saved, sources
from exploration.first import check_method, space_of
from exploration.options import WITH_PRIOR
from restoration import fitting, photos
from restoration.fitting import OperatorChoice

from jaxsr import explore, flags, images, loading, metrics, operators, weights
from jaxsr.explore import Candidate, Config, Problem
from jaxsr.loading import toy_prior
from jaxsr.methods import auto, setups
from jaxsr.methods.auto import AUTO
from jaxsr.methods.setups import Setup
from jaxsr.operators import OPERATORS
from jaxsr.priors import Prior
from jaxsr.records import files, report
from jaxsr.search import Solve
from jaxsr.types import Params

SMOKE = {
    "num_solutions": 2,
    "steps": 3,
    "bisections": 2,
    "chunk": 4,
    "most_directions": 2,
    "least_distance": 0.0,
}
COLUMNS = ("output", "verdict", "direction", "sign", "step", "retained", "residual", "feasible")
COLUMNS += ("distance", "nearest", "perceptual", "seconds")


@dataclasses.dataclass(frozen=True)
class Settings(images.Reading):
    """What to explore and how.

    Attributes:
        input: A degraded photo, or a .zip or .tar, of which the first is taken unless the path goes
            on to another (photos.zip/2.png). Default: the prior's first example.
        reference: A sharp photo instead: its centre square is brought to the prior's resolution,
            degraded, and rounded to 8 bits.
        operator: What the photo lacks: {operators}. With all but the first, the photo is of the
            prior's size; one that measures no picture is for --reference.
        factor: Enlargement, for downsample. Default: the prior's resolution over the photo's side;
            8 for --reference.
        kernel: How the photo was made small: bicubic, bicubic_matlab, bicubic_pulse, box or
            bilinear.
        mask: For inpainting, a picture of the photo's proportions: white where pixels are missing,
            else black. Default: the centre is.
        prior: A bundled prior's name, or a folder written by training or ports/convert.py. Default:
            the best bundled one; with --smoke a random toy.
        method: What finds the first solution: auto, the one that is feasible soonest (laren where
            its network fits the prior and the operator, else pulse), or {methods}, if it has one
            latent. The paper's is iagan, whose latent is a z.
        preset: Settings of the method: paper, or what else super_resolve.py --help tells of it.
        space: Latent space that is explored: z, w (from a w+, by moving the w of all layers alike),
            w_plus, w_plus_noise with the noise maps, or styles. Default: z where the method returns
            one (iagan), else w, which stays nearer than w_plus to what the prior draws.
        k: How many top eigenvectors of the measurement's metric are taken out of v^K; not for
            --way=generalized. Default: as many as hold 99 % of its trace.
        from_k: K of the paper's Algorithm 1: v^K is walked first, then K - 1, K - 2, ... Default:
            from 1 up, without those of which the projection leaves little.
        way: Directions: vk (top eigenvectors of the picture's metric), algorithm1 (the paper's),
            closed_form, generalized or curved.
        perceptual: Network of the picture's metric. Default: LPIPS where its weights are, else the
            bundled feature network.
        num_solutions: Solutions wanted.
        eps: Largest feasible residual, a mean squared difference: 0.01 as in the paper; 0.002 is
            PULSE's.
        least_distance: Perceptual distance of two solutions, as a share of that of two random
            images of the prior.
        reach: Longest step, in units of the root mean square distance of random latents from their
            mean; less keeps solutions, above all those in w_plus, nearer to what the prior draws,
            and to each other.
        chunk: Passes of the generator at once around the first solution; fewer need less memory.
        start: Folder of another exploration of the photo, whose first solution is taken: for
            another --space, --way, --eps or number.
        out: Folder for the results. Default: explored (explored_smoke with --smoke).
        seed: Another seed gives another first solution.
        force: Explore around a first solution whose residual is above eps; --smoke's few steps
            often need it.
        progress: A progress bar on stderr.
        smoke: A few steps, to see that everything runs.
    """

    input: str | None = None
    reference: str | None = None
    operator: str = "downsample"
    factor: int | None = None
    kernel: str = "bicubic"
    mask: str | None = None
    prior: str | None = None
    method: str = AUTO
    preset: str = "paper"
    space: Literal["z", "w", "w_plus", "w_plus_noise", "styles"] | None = None
    k: int | None = None
    from_k: int | None = None
    way: Literal["vk", "algorithm1", "closed_form", "generalized", "curved"] = "algorithm1"
    perceptual: metrics.Network | None = None
    num_solutions: int = 10
    eps: float = 1e-2
    least_distance: float = 0.05
    reach: float = 1.0
    chunk: int = 16
    start: str | None = None
    out: str | None = None
    seed: int = 0
    force: bool = False
    progress: bool = True
    smoke: bool = False


class Photo(NamedTuple):
    """What is explored: the file, what was told and cropped of it, the operator, the measurement,
    and the reference [R, R, 3] if there is one."""

    file: str
    fit: str
    operator: operators.Operator
    y: np.ndarray
    reference: np.ndarray | None


def check(settings: Settings) -> None:
    """Raises ValueError for a name or a number that makes no sense, or an output folder that cannot
    be written."""
    check_method(settings.method, settings.preset)
    flags.require(
        settings,
        {"factor": 1, "seed": 0, "num_solutions": 1, "chunk": 1, "k": 1, "from_k": 1},
        ("input", "reference", "prior", "mask", "start", "out"),
    )
    if settings.input is not None and settings.reference is not None:
        raise ValueError("--input and --reference are both given: expected one photo")
    _operator_choice(settings).check()
    given = settings.input is not None or settings.reference is not None
    fitting.check_has_photos(settings.operator, given=given)
    if settings.start is not None and not (Path(settings.start) / saved.START).is_dir():
        raise ValueError(
            f"--start={settings.start}: expected the folder of an exploration, got none with "
            f"{saved.START}/"
        )
    report.check_writable(out_folder(settings))


def out_folder(settings: Settings) -> Path:
    return Path(settings.out or ("explored_smoke" if settings.smoke else "explored"))


def load(settings: Settings, source: str, resolution: int) -> Photo:
    """The photo and its measurement. Raises ValueError when it cannot be used."""
    file = sources.photo_file(settings.input or settings.reference, source)
    if Path(file).resolve().parent == out_folder(settings).resolve():
        raise ValueError(f"the photo {file} lies in the output folder: choose another --out")
    fitter = fitting.make_fitter(
        resolution,
        _operator_choice(settings),
        "crop",
        references=settings.reference is not None,
        reading=settings,
    )
    photo = (photos.load_reference if settings.reference else photos.load_input)(file, fitter)
    fit = "; ".join(filter(None, (photo.remark, photo.fit)))
    return Photo(file, fit, fitter.operator(photo.factor), *photo.load())


def _operator_choice(settings: Settings) -> OperatorChoice:
    return OperatorChoice(settings.operator, settings.factor, settings.kernel, settings.mask)


def with_method(
    settings: Settings, prior: Prior, params: Params, operator: operators.Operator
) -> tuple[Settings, str]:
    """The settings with the method that "auto" stands for, and a line that says why, "" where a
    method was named. Raises ValueError for a preset that it lacks."""
    if settings.method != AUTO:
        return settings, ""
    if settings.start is not None:
        method, why = saved.method_of(settings.start), f"as in --start={settings.start}"
    else:
        method, _, why = auto.soonest(prior, params, operator, settings.space)
    check_method(method, settings.preset)
    return dataclasses.replace(settings, method=method), f"first solution by {method}: {why}"


def make_problem(
    prior: Prior, operator: operators.Operator, space: str, settings: Settings
) -> Problem:
    names = ("perceptual", "way", "k", "from_k", "num_solutions", "eps", "least_distance", "reach")
    values = {name: getattr(settings, name) for name in (*names, "chunk")}
    if settings.smoke and settings.perceptual is None:
        values["perceptual"] = "discriminator"
    return explore.problem(
        prior, operator, Config(**{**values, "space": space, **(SMOKE if settings.smoke else {})})
    )


def describe(
    prior: Prior, params: Params, photo: Photo, problem: Problem, values: dict, settings: Settings
) -> dict:
    """What config.json holds; a folder with other "settings" is refused."""
    fixed = {
        name: value
        for name, value in dataclasses.asdict(settings).items()
        if name not in ("start", "out", "progress", "force", "chunk", "max_megapixels")
    }
    fixed["mask"] = fitting.mask_digest(settings.mask)
    digest = photos.digest(photo.y, photo.reference)
    return {
        "settings": {
            **fixed,
            "prior": prior.info.name,
            "prior_sha256": weights.digest(params),
            "photo_digest": digest,
        },
        "prior": prior.info._asdict(),
        "operator": photo.operator.name,
        "perceptual": problem.embedding.name,
        "explore": dataclasses.asdict(problem.config),
        "method": values,
        "command": shlex.join(["python", *sys.argv]),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }


def row(problem: Problem, candidate: Candidate, output: str, seconds: float) -> dict:
    """A walk's line in solutions.csv."""
    numbers = {
        name: getattr(candidate, name)
        for name in ("verdict", "step", "retained", "residual", "distance", "nearest")
    }
    feasible = candidate.verdict != "infeasible" and candidate.residual <= problem.config.eps
    sign = "-" if np.signbit(candidate.step) else "+"
    names = {
        "output": output,
        "direction": candidate.index,
        "sign": sign,
        "perceptual": problem.embedding.name,
    }
    return {**numbers, **names, "feasible": feasible, "seconds": seconds}


def written(
    folder: Path, file: str, problem: Problem, made: Iterator[Candidate]
) -> list[Candidate]:
    """Writes each solution and its row as it is found; a table that has more rows already stays
    until there are as many."""
    rows, walked, begun, marks = [], [], time.perf_counter(), sources.marks(folder, file)
    before = (
        len(report.read_csv(folder / "solutions.csv"))
        if (folder / "solutions.csv").is_file()
        else 0
    )
    for candidate in made:
        walked.append(candidate)
        count = sum(c.verdict == "solution" for c in walked)
        output = f"solution_{count}.png" if candidate.verdict == "solution" else ""
        if output:
            images.write(folder / output, candidate.image, marks=marks)
            where = (
                f"K {candidate.index}, step {candidate.step:.3g}, perceptual distance "
                f"{candidate.distance:.3g}"
            )
            print(f"{output}: {where}, residual {candidate.residual:.2g}")
        rows.append(row(problem, candidate, output, time.perf_counter() - begun))
        # The walks of a run that was killed are made again, and are the same.
        if len(rows) >= before:
            report.write_csv(folder / "solutions.csv", rows, COLUMNS)
    return walked


def run(
    folder: Path,
    prior: Prior,
    params: Params,
    photo: Photo,
    problem: Problem,
    solve: Solve,
    settings: Settings,
) -> None:
    """First solution, spectra, walks, pictures."""
    params, latent, inversion = saved.first_solution(
        folder, solve, params, photo.y, photo.reference, settings
    )
    start = explore.start(prior, problem.config.space, params, latent)
    y = jnp.asarray(photo.y)
    first = explore.drawn(problem, params, start)
    images.write(folder / "start.png", first, marks=sources.marks(folder, photo.file))
    bound = explore.checked_bound(problem, params, start, y, force=settings.force)
    worse = f"; --force: solutions have at most {bound:.2g}" if bound > settings.eps else ""
    print(
        f"start.png: residual {float(explore.residual(problem, params, start, y)):.2g}, "
        f"{inversion:.3g} s with {settings.method}{worse}"
    )
    begun = time.perf_counter()
    geometry = saved.geometry(
        folder, lambda: explore.geometry(problem, params, start, seed=settings.seed)
    )
    ways = explore.directions(problem, geometry)
    print(gallery.spectra_line(geometry, ways, problem, time.perf_counter() - begun))
    begun = time.perf_counter()
    made = written(
        folder,
        photo.file,
        problem,
        explore.candidates(problem, params, start, y, geometry, ways, bound=bound),
    )
    print(
        explore.shortage(problem, made, bound)
        or f"{problem.config.num_solutions} solutions, {time.perf_counter() - begun:.3g} s"
    )
    found = gallery.Found(folder, problem, geometry, ways, made, first, photo.y, photo.reference)
    for line in gallery.draw(found, lambda path: explore.frames(problem, params, start, path)):
        print(line)


def main(settings: Settings) -> int:
    check(settings)
    source = settings.prior or (
        str(toy_prior(out_folder(settings) / "toy")) if settings.smoke else loading.default_source()
    )
    flags.cache_compilations()
    prior, params = loading.load_prior(source)
    photo = load(settings, source, prior.info.resolution)
    settings, why = with_method(settings, prior, params, photo.operator)
    setup = Setup(settings.method, settings.preset, smoke=settings.smoke)
    solve, params = setups.make_solve(prior, params, photo.operator, setup)
    space, size = space_of(prior, solve, params, settings.method, settings.space)
    problem = make_problem(prior, photo.operator, space, settings)
    explore.check_counts(problem.config, size)
    params = params | metrics.load_embedding(problem.network)
    values = dataclasses.asdict(setups.make_config(setup, photo.operator))
    folder = out_folder(settings)
    saved.check_start(folder, solve, params, photo.y, photo.reference, settings)
    with files.only_here(folder):
        report.begin_record(folder, describe(prior, params, photo, problem, values, settings))
        facts = (
            f"{settings.method}, {photo.operator.name}, space {problem.config.space}, way "
            f"{settings.way}, metric {problem.embedding.name}"
        )
        if photo.fit:
            print(f"{photo.file}: {photo.fit}")
        print(f"prior {prior.info.name} ({prior.info.resolution} px), {facts}")
        if why:
            print(why)
        run(folder, prior, params, photo, problem, solve, settings)
    return 0


if __name__ == "__main__":
    read_settings = flags.define(
        Settings(),
        tables={
            "methods": WITH_PRIOR,
            "operators": OPERATORS,
        },
    )
    flags.short({"i": "input", "o": "out"})
    flags.one_device_a_core()
    flags.run(lambda: main(read_settings()))
