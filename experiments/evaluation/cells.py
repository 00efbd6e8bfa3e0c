"""A cell of an evaluation: a method at a factor under a degradation, and what it is called."""

import re
from typing import NamedTuple

from evaluation.variants import Variant
from jaxsr.methods import METHODS, Consistency
from jaxsr.operators import OPERATORS

KEY = ("cell", "photo", "solution")
# The real photo in place of a method: how it is judged is what a perfect restoration would be.
REFERENCE = "reference"
MOVED = {"none": "as found", "auto": "moved as noise allows", "exact": "moved exactly"}


class Cell(NamedTuple):
    """A row of a table: a method under an operator (at a factor, if any) and a degradation.

    Attributes:
        variant: the method.
        operator: a name in OPERATORS.
        factor: what photos are made smaller by, from the side that results are judged at; 1 for an
            operator without one.
        degradation: a name in `jaxsr.degradations.ROBUSTNESS`.
        judge_at: px, the side that results are judged at; None: the prior's resolution.
        consistency: how far results are moved to explain their measurements, where several ways
            are compared; None: as the evaluation's options say.
    """

    variant: Variant
    operator: str
    factor: int
    degradation: str
    judge_at: int | None = None
    consistency: Consistency | None = None

    @property
    def conditions(self) -> str:
        """What all methods of one table have in common, as file names have it."""
        operator = f"x{self.factor}" if self.takes_factor else self.operator
        side = f"_at{self.judge_at}" if self.judge_at else ""
        return f"{operator}{side}_{self.degradation}"

    @property
    def name(self) -> str:
        """The folder of its images: unique within a suite."""
        label = self.variant.label.lower().replace("+", "_plus")
        moved = f"_{self.consistency}" if self.consistency else ""
        return f"{re.sub(r'[^a-z0-9.]+', '_', label).strip('_')}_{self.conditions}{moved}"

    @property
    def title(self) -> str:
        """What tables call it: its label, the method that was chosen for it, if one was, and how
        far its results are moved, where that is compared."""
        variant = self.variant
        title = f"{variant.label} ({variant.method})" if variant.chosen else variant.label
        return f"{title}, {MOVED[self.consistency]}" if self.consistency else title

    @property
    def search(self) -> "Cell":
        """What all cells have in common whose results come of one search."""
        return self._replace(consistency=None)

    @property
    def takes_factor(self) -> bool:
        return OPERATORS[self.operator].takes_factor

    def side(self, resolution: int) -> int:
        """px, that results are judged at, for a prior of this resolution."""
        return self.judge_at or resolution

    def photo_side(self, resolution: int) -> int:
        """px, of the photos that the measurements are made of: a smaller one than the prior's will
        do where they are made small."""
        return self.side(resolution) if self.takes_factor else resolution

    def enlargement(self, resolution: int) -> int:
        """From the measurements to the prior's resolution; 1 for an operator without a factor."""
        small = self.side(resolution) // self.factor
        return resolution // small if self.takes_factor else 1


def kind_of(method: str) -> str:
    """The kind of a method in METHODS, or "reference"."""
    return METHODS[method].kind if method in METHODS else REFERENCE
