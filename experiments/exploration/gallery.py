"""Pictures of an exploration: gallery, animations, the map of what varies, and, with matplotlib,
its spectra and correlations."""

import io
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsr import images, plots
from jaxsr.explore import Candidate, Directions, Geometry, Problem
from jaxsr.operators import as_image
from jaxsr.records import files

ROUNDING = 1e-9  # of the largest eigenvalue: below, a spectrum is rounding
ANIMATIONS = 16  # directions that get one, at most


class Found(NamedTuple):
    """What there is to draw: every walk made, the start's image, the measurement, and the reference
    if there is one."""

    folder: Path
    problem: Problem
    geometry: Geometry
    ways: Directions
    made: Sequence[Candidate]
    first: np.ndarray
    y: np.ndarray
    reference: np.ndarray | None

    @property
    def solutions(self) -> list[Candidate]:
        return [candidate for candidate in self.made if candidate.verdict == "solution"]

    def of_direction(self, row: int) -> dict[bool, Candidate]:
        """The solutions along (True) and against (False) a direction."""
        return {
            candidate.step > 0: candidate
            for candidate in self.solutions
            if candidate.direction == row
        }


def spectra_line(geometry: Geometry, ways: Directions, problem: Problem, seconds: float) -> str:
    """One line about the spectra."""
    spectrum, k = geometry.measurement, geometry.relevant
    held = spectrum.values[:k].sum() / spectrum.trace
    kind = (
        "all"
        if len(spectrum.values) == len(spectrum.vectors)
        else f"the top {len(spectrum.values)} of {len(spectrum.vectors)}"
    )
    asked = (
        f" of {problem.config.energy:.0%} asked for"
        if problem.config.k is None and held < problem.config.energy * (1 - 1e-9)
        else ""
    )
    share = f"{k} hold {held:.1%}{asked} of the measurement's change"
    return (
        f"{kind} eigenvectors of both metrics in {seconds:.3g} s; {share}; {len(ways.index)} "
        "directions"
    )


def draw(found: Found, frames: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    """Writes every picture that the solutions allow; returns a line for each kind."""
    lines = []
    if found.solutions:
        _gallery(found)
        lines += [f"{found.folder / 'gallery.png'}", _variation(found), _animations(found, frames)]
    if find_spec("matplotlib"):
        _figure1(found)
        _spectra(found)
        return [*lines, f"{found.folder / 'figure1.png'}, spectra.png"]
    return [*lines, "no figure1.png and spectra.png: matplotlib is not installed"]


def _rows(found: Found) -> list[int]:
    """Directions with a solution, in the order they were walked."""
    return list(dict.fromkeys(candidate.direction for candidate in found.solutions))


def cell_of(image: np.ndarray) -> int:
    """The side, px, that an image is shown at."""
    side = len(image)
    return min(side * math.ceil(128 / side), 256)


def _as_picture(found: Found) -> np.ndarray:
    """The measurement, or the image of least norm that explains it."""
    return np.clip(as_image(found.problem.operator, jnp.asarray(found.y)), 0.0, 1.0)


def _gallery(found: Found) -> None:
    """The measurement, the start and the reference; then the solutions against and along each
    direction on both sides of the start."""
    rows: list[list[np.ndarray | None]] = [[_as_picture(found), found.first, found.reference]]
    captions = ["measurement | start" + ("" if found.reference is None else " | reference")]
    number = {id(candidate): i + 1 for i, candidate in enumerate(found.solutions)}
    for row in _rows(found):
        pair = found.of_direction(row)
        ends = [pair.get(along) for along in (False, True)]
        against, along = (end and end.image for end in ends)
        rows.append([against, found.first, along])
        shown = [end and f"solution {number[id(end)]}, {end.distance:.2g}" for end in ends]
        captions.append(
            f"K {found.ways.index[row]}: {shown[0] or 'none'} | start | {shown[1] or 'none'}"
        )
    picture = plots.grid(rows, columns=["", "", ""], captions=captions, cell=cell_of(found.first))
    images.write(found.folder / "gallery.png", picture, marks=images.of_run(found.folder))


def _variation(found: Found) -> str:
    """The standard deviation of every pixel over start and solutions as their files show them, mean
    over channels: as numbers, and as a picture that is white where it is largest."""
    shown = np.clip([found.first, *(candidate.image for candidate in found.solutions)], 0.0, 1.0)
    deviation = shown.std(0).mean(-1).astype(np.float32)
    file = io.BytesIO()
    np.save(file, deviation)
    files.write_bytes(found.folder / "variation.npy", file.getvalue())
    most = float(deviation.max())
    picture = np.repeat((deviation / max(most, 1e-12))[..., None], 3, 2)
    images.write(
        found.folder / "variation.png",
        plots.grid(
            [[picture]], columns=[""], captions=[f"white: {most:.3f}"], cell=cell_of(found.first)
        ),
        marks=images.of_run(found.folder),
    )
    return (
        f"{found.folder / 'variation.png'}, variation.npy: standard deviations on [0, 1] of up to "
        f"{most:.3g}"
    )


def _animations(found: Found, frames: Callable[[np.ndarray], np.ndarray]) -> str:
    """From the end against a direction over the start to the end along it, and back."""
    rows = _rows(found)[:ANIMATIONS]
    for row in rows:
        pair = found.of_direction(row)
        shown = [frames(pair[side].path) for side in (False, True) if side in pair]
        way = np.concatenate([shown[0][::-1], shown[1][1:]]) if len(shown) == 2 else shown[0]
        times = math.ceil(128 / len(found.first))
        larger = [image.repeat(times, 0).repeat(times, 1) for image in (*way, *way[-2:0:-1])]
        images.write_animation(found.folder / f"walk_{found.ways.index[row]}.webp", larger)
    return f"{len(rows)} animations, walk_K.webp"


def _figure(panels: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * panels, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def _figure1(found: Found) -> None:
    """Correlations of v^K (blue) and d (red) of the first solution with both metrics' eigenvectors,
    as the paper's Figure 1."""
    row = found.solutions[0].direction if found.solutions else 0
    index, d = int(found.ways.index[row]), found.ways.vectors[row]
    figure, axes = _figure(2)
    for panel, spectrum, name in zip(
        axes, (found.geometry.measurement, found.geometry.perceptual), "UV", strict=True
    ):
        ranks = np.arange(1, spectrum.vectors.shape[1] + 1)
        if found.problem.config.way != "generalized":  # whose K counts generalised eigenvectors
            v = found.geometry.perceptual.vectors[:, index - 1]
            panel.plot(
                ranks,
                np.abs(spectrum.vectors.T @ v),
                "o",
                color="tab:blue",
                markersize=3,
                label=f"v, K {index}",
            )
        panel.plot(
            ranks,
            np.abs(spectrum.vectors.T @ d),
            "o",
            color="tab:red",
            markersize=3,
            label=f"d, K {index}",
        )
        panel.set_xlabel(
            f"eigenvector of {'H_Y' if name == 'U' else 'H_X'} ({name}), from 1", fontsize=8
        )
        panel.set_ylabel("|correlation|", fontsize=8)
        panel.legend(fontsize=7)
    figure.savefig(found.folder / "figure1.png", dpi=110, format="png")


def _spectra(found: Found) -> None:
    figure, axes = _figure(2)
    for spectrum, name in (
        (found.geometry.measurement, "H_Y, measurement"),
        (found.geometry.perceptual, "H_X, picture"),
    ):
        shares = spectrum.values / spectrum.values[0]
        axes[0].semilogy(
            np.arange(1, len(shares) + 1), np.where(shares > ROUNDING, shares, np.nan), label=name
        )
    axes[0].axvline(
        found.geometry.relevant + 0.5,
        color="black",
        linewidth=0.8,
        label=f"k = {found.geometry.relevant}",
    )
    axes[0].set_xlabel("number of the eigenvector, from 1", fontsize=8)
    axes[0].set_ylabel(f"eigenvalue, over the largest; above {ROUNDING:g}", fontsize=8)
    axes[0].legend(fontsize=7)
    rows, columns = found.geometry.coupling.shape
    extent = (0.5, columns + 0.5, rows + 0.5, 0.5)
    shown = axes[1].imshow(
        np.abs(found.geometry.coupling), cmap="magma", vmin=0.0, aspect="auto", extent=extent
    )
    axes[1].set_xlabel("V, eigenvectors of H_X", fontsize=8)
    axes[1].set_ylabel("U, of H_Y", fontsize=8)
    axes[1].set_title("coupling |U^T V|", fontsize=9)
    figure.colorbar(shown, ax=axes[1])
    figure.savefig(found.folder / "spectra.png", dpi=110, format="png")
