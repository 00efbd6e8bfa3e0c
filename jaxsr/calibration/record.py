"""A calibration as a file: the scores of its photos, and what they are for."""

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsr.calibration.conformal import coverage_range, least_photos, threshold, thresholds
from jaxsr.records import files

FORMAT = "jaxsr calibration 1"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What a new photo's interval is made with.

    Attributes:
        fingerprint: the settings that it holds for.
        source: the photos.
        share: of a photo's colour values that an interval is to hold.
        floor: of the deviation, chosen on other photos than those that have scores.
        noise: the largest noise found in a photo, of [0, 1].
        scores: of `intervals.score`, a photo each.
        excesses: of `bounds.psnr_score`, a photo each.
        groups: the type that the network reads off a photo's solutions, a photo each.
        types: the network's types; () without one.
        type_scores: of `type_sets.type_score`, of the photos whose type is labelled.
        features: digest of the network that reads types; "" without one.
    """

    fingerprint: dict[str, Any]
    source: str
    share: float
    floor: float
    noise: float
    scores: Sequence[float]
    excesses: Sequence[float]
    groups: Sequence[str] = ()
    types: Sequence[str] = ()
    type_scores: Sequence[float] = ()
    features: str = ""

    def factor(self, level: float, group: str | None = None) -> float:
        """What deviations are multiplied by. Raises ValueError where the calibration has too few
        photos, or too few feasible ones, for the level."""
        shared = threshold(self.scores, level)
        apart = thresholds(self.scores, self.groups, self.types, level) if self.groups else {}
        found = apart.get(group, shared) if group is not None else shared
        if math.isinf(found):
            lost = sum(map(math.isinf, self.scores))
            raise ValueError(
                f"there are no intervals of level {level:g}: {lost} of the {len(self.scores)} "
                "photos that calibrated have no two solutions that explain them"
            )
        return found

    def excess(self, level: float) -> float:
        """What a predicted PSNR is lowered by, dB."""
        return threshold(self.excesses, level)

    def type_limit(self, level: float) -> float | None:
        """The largest score of a type that the truth may be of; None of too few labelled photos."""
        enough = len(self.type_scores) >= least_photos(level)
        return threshold(self.type_scores, level) if enough else None

    def sentence(self, level: float) -> str:
        """What is guaranteed, to be printed with every interval."""
        low, high = coverage_range(len(self.scores), level)
        return (
            f"With probability at least {level:g}, at least {self.share:g} of the colour values of "
            "a new photo's truth lie between its lower and its upper picture, if the photo is one "
            f"like the {len(self.scores)} that calibrated (n = {len(self.scores)}, alpha = "
            f"{1 - level:.3g}, q = {self.share:g}). The probability is over photos and "
            f"calibrations; this one gives {low:.3f} to {high:.3f} (90 % range)."
        )


def write(path: str | os.PathLike, calibration: Calibration) -> None:
    """Writes a calibration as JSON, at once. Raises OSError."""
    content = {"format": FORMAT} | dataclasses.asdict(calibration)
    files.write_text(path, json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")


def read(path: str | os.PathLike) -> Calibration:
    """Reads a calibration.

    Raises:
        ValueError: there is no such file, or it holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        for name in ("scores", "excesses", "type_scores"):
            content[name] = [float(value) for value in content[name]]
        return Calibration(**content)
    except OSError as error:
        raise ValueError(f"{path}: cannot read the calibration: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a calibration that experiments/calibrate.py wrote, got another file"
        ) from error


def _plain(value: Any) -> Any:
    """JSON has no infinite numbers: they are texts there."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value
