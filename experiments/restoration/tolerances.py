"""How much of a photo a result may leave unexplained, as the flags and the photo say, and what a
row tells of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxsr import images, metrics, standins
from jaxsr.methods import METHODS
from jaxsr.search import EPS, Solve
from jaxsr.types import Result
from restoration import free
from restoration.jobs import Job
from restoration.options import AUTO_EPS, Settings
from restoration.plan import Method

# Of what noise and compression leave of the truth. A residual of less explains them as well.
FAR_BELOW = 0.5
# Share of a folder's rows that is told of at the end: LAREN leaves as much of 6 % of right photos.
FEW = 0.2
OVERFIT, UNEXPLAINED = "explains noise too", "residual above noise"


def tolerance_of(found: images.Tolerance | None, settings: Settings) -> images.Tolerance | None:
    """That of a photo as it is reckoned with: a noise that is told (--noise) stands for all that is
    random."""
    if found is None or settings.noise is None:
        return found
    return found._replace(sigma=settings.noise, compression=0.0)


def eps_of(found: images.Tolerance | None, settings: Settings, solve: Solve) -> float:
    """The largest residual that is feasible for a photo of that tolerance: that of --eps, else its
    tolerance's, else the method's."""
    if settings.eps != AUTO_EPS:
        return float(settings.eps)
    tolerance = tolerance_of(found, settings)
    return solve.eps if tolerance is None else tolerance.eps


def searched_to(
    limits: Sequence[float] | np.ndarray, settings: Settings, solve: Solve
) -> np.ndarray:
    """The eps that searches are told of photos with these limits, float32 [n].

    Where the result is moved to explain its photo afterwards, the search need not come nearer than
    its method asks for: it ends earlier where there is noise, never later.
    """
    found = np.asarray(limits, np.float32)
    is_moved = settings.consistency != "none" and settings.eps == AUTO_EPS
    return np.maximum(found, np.float32(solve.eps)) if is_moved else found


def told(jobs: Sequence[Job], settings: Settings, method: Method) -> dict[str, np.ndarray]:
    """What searches are told of each photo (see `jaxsr.search.restore_batches`): its eps and, where
    the method compresses and all are JPEGs of one kind, its tables."""
    limits = [eps_of(job.photo.tolerance, settings, method.solve) for job in jobs]
    found = {EPS: searched_to(limits, settings, method.solve)}
    if METHODS[method.name].compresses:
        each = [jpeg_told(job) for job in jobs]
        found |= {name: np.stack([entry[name] for entry in each]) for name in each[0]}
    return found


def jpeg_told(job: Job) -> dict[str, np.ndarray]:
    """The entry of params for a photo that is a JPEG, none for others."""
    if job.photo.jpeg is None:
        return {}
    name, numbers = job.photo.jpeg
    return {name: np.asarray(numbers, np.float32).reshape(standins.TABLES)}


def told_alone(job: Job, settings: Settings, method: Method) -> dict[str, np.ndarray]:
    """The same for one photo, as entries of params."""
    return {name: values[0] for name, values in told([job], settings, method).items()}


def cells(job: Job, result: Result, settings: Settings, method: Method) -> dict[str, object]:
    """What a row tells of eps and of what the search left."""
    tolerance, solve = tolerance_of(job.photo.tolerance, settings), method.solve
    eps = eps_of(job.photo.tolerance, settings, solve)
    is_search = METHODS[method.name].kind == "search"
    found: dict[str, object] = {"eps": eps}
    if settings.eps == AUTO_EPS and tolerance is not None:
        found["eps_terms"] = tolerance.line
    if "whiteness" in result.latent:
        found["whiteness"] = float(result.latent["whiteness"])
    told = (
        job.photo.remark,
        free.remark(result, settings),
        _overfit(result, tolerance, settings) if is_search else "",
        _unexplained(result, eps, solve),
    )
    return found | {"remark": "; ".join(filter(None, told))}


def left(result: Result) -> float:
    """The residual that the search itself left."""
    return float(result.latent.get("residual_before", result.residual))


def _overfit(result: Result, tolerance: images.Tolerance | None, settings: Settings) -> str:
    """Says of a result that explains the photo's noise as well, unless that was asked for."""
    if tolerance is None or settings.consistency == "exact":
        return ""
    if left(result) >= FAR_BELOW * tolerance.expected:
        return ""
    return (
        f"{OVERFIT}: the search left {left(result):.2g}, noise and JPEG alone leave "
        f"{tolerance.expected:.2g}"
    )


def _unexplained(result: Result, eps: float, solve: Solve) -> str:
    """Says of a search that left more than eps and what its method calls feasible together, since a
    prior and a network leave some of every photo.

    Of 64 validation photos of 8 px LAREN left more than 0.002 of 6 % made by the assumed kernel, of
    5 to 9 % by another antialiased one, of 97 % by nearest, of 95 % by bilinear without
    antialiasing and of 27 % that lay half a pixel aside. Structure alone tells no operator: it was
    in 39 % of the residuals of the assumed kernel.
    """
    white = result.latent.get("whiteness")
    if white is None or left(result) <= eps + solve.eps:
        return ""
    limit = metrics.white_limit(solve.operator.measurement_shape)
    kind, why = (
        ("structured", "another operator?")
        if float(white) > limit
        else ("as white as noise", "more noise than was reckoned with, or another operator?")
    )
    return (
        f"{UNEXPLAINED}: the search left {left(result):.2g} (eps {eps:.2g}), {kind} "
        f"(whiteness {float(white):.2g}, noise below {limit:.2g}): {why}"
    )


def summary(rows: Sequence[Mapping]) -> list[str]:
    """The lines that end a run: the range of eps with its terms, and how many rows were told, if
    more than `FEW`."""
    values = sorted(
        (float(row["eps"]), str(row.get("eps_terms") or "")) for row in rows if row.get("eps")
    )
    if not values:
        return []
    (low, of_low), (high, of_high) = values[0], values[-1]
    of_low, of_high = (f" ({terms})" if terms else "" for terms in (of_low, of_high))
    lines = [f"eps {low:.2g}{of_low}" + (f" to {high:.2g}{of_high}" if high > low else "")]
    for what in (OVERFIT, UNEXPLAINED):
        told = [row for row in rows if what in str(row.get("remark", ""))]
        if len(told) > FEW * len(rows):
            lines.append(f"{len(told)} of {len(rows)}: {what}; see the column remark")
    return lines
