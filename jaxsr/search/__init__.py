"""The searches of the methods: what one is (`solve`), how many photos go through it (`batches`),
and what objectives are made of.

A method is a `Solve`, a sequence of `Phase`s. `restore` runs many photos through it;
`restore_tuned` one, and returns the weights that were tuned for it.
"""

from jaxsr.search.batches import (
    mesh_of,
    restore,
    restore_batches,
    restore_tuned,
    rows_at_once,
    trajectory,
)
from jaxsr.search.conditioned import Conditioned, Given, conditioned
from jaxsr.search.solve import (
    EPS,
    Phase,
    Search,
    Solve,
    State,
    Trace,
    advance,
    begin,
    bound,
    chunk_length,
    join,
    minimise,
)

__all__ = [
    "EPS",
    "Conditioned",
    "Given",
    "Phase",
    "Search",
    "Solve",
    "State",
    "Trace",
    "advance",
    "begin",
    "bound",
    "chunk_length",
    "conditioned",
    "join",
    "mesh_of",
    "minimise",
    "restore",
    "restore_batches",
    "restore_tuned",
    "rows_at_once",
    "trajectory",
]
