"""Restoration methods: each a factory (prior, operator, config) -> solve, with solve(key, params, y) -> Result for one image.

A new method is one file here and one line in `METHODS`. `resolve(config, operator)` gives the config with all values explicit.
"""

from jaxsr.methods._common import resolve
from jaxsr.methods.pulse import PULSE, pulse
from jaxsr.methods.rls import RLS, rls
from jaxsr.methods.rls_plus import RLSPlus, rls_plus

METHODS = {"pulse": (pulse, PULSE), "rls": (rls, RLS), "rls_plus": (rls_plus, RLSPlus)}

__all__ = ["METHODS", "PULSE", "RLS", "RLSPlus", "pulse", "resolve", "rls", "rls_plus"]
