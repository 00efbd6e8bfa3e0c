"""How results are called: <stem>.png, <stem>_x8.png, <stem>_s0_x8.png."""

from collections.abc import Mapping
from typing import NamedTuple


class Naming(NamedTuple):
    """How results are called.

    Attributes:
        num_solutions: of each photo; of several, each has its number.
        suffix: behind the stem and an underscore; "" for none.
        format: ending, without its dot.
    """

    num_solutions: int = 1
    suffix: str = ""
    format: str = "png"

    def outputs(self, stem: str) -> list[str]:
        """The names of a photo's results."""
        return [f"{stem}{self._ending(i)}" for i in range(self.num_solutions)]

    def stem_of(self, row: Mapping[str, str]) -> str:
        """The stem that a row's result was called by."""
        return row["output"].removesuffix(self._ending(row.get("solution") or 0))

    def _ending(self, solution: int | str) -> str:
        number = "" if self.num_solutions == 1 else f"_s{solution}"
        suffix = f"_{self.suffix}" if self.suffix else ""
        return f"{number}{suffix}.{self.format}"
