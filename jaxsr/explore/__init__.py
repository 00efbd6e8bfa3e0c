"""e-GLASS: from one solution of a linear inverse problem to others (Montanaro et al., "Exploring
the solution space of linear inverse problems with GAN latent geometry", ICASSP 2023).

    told = jaxsr.explore.problem(prior, operator, jaxsr.explore.Config(num_solutions=10))
    params = params | jaxsr.metrics.load_embedding(told.network)
    result, tuned = jaxsr.search.restore_tuned(solve, params, y)
    start = jaxsr.explore.start(prior, told.config.space, tuned, result.latent)
    found = jaxsr.explore.explore(told, tuned, start, y)

At the first solution z0 two metrics of the latent space are taken: how fast the measurement changes
(H_Y) and how fast the picture does (H_X). Directions that are large in H_X and small in H_Y are
walked both ways as far as the measurement allows.
"""

from jaxsr.explore._directions import Directions, algorithm1, closed_form, directions, generalized
from jaxsr.explore._pictures import distance, drawn, frames, residual
from jaxsr.explore._problem import SPACES, Config, Problem, Start, check_counts, problem, start
from jaxsr.explore._run import (
    Candidate,
    Exploration,
    at_distance,
    candidates,
    checked_bound,
    explore,
    shortage,
)
from jaxsr.explore._spectra import Geometry, Scale, geometry
from jaxsr.explore._walks import Ends, ends

__all__ = [
    "SPACES",
    "Candidate",
    "Config",
    "Directions",
    "Ends",
    "Exploration",
    "Geometry",
    "Problem",
    "Scale",
    "Start",
    "algorithm1",
    "at_distance",
    "candidates",
    "check_counts",
    "checked_bound",
    "closed_form",
    "directions",
    "distance",
    "drawn",
    "ends",
    "explore",
    "frames",
    "generalized",
    "geometry",
    "problem",
    "residual",
    "shortage",
    "start",
]
