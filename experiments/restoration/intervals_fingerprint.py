"""What a calibration is for: everything that the results of a photo depend on but its pixels and
the seed."""

from collections.abc import Mapping
from typing import Any

from jaxsr import flags, weights
from jaxsr.operators import Operator
from jaxsr.priors import Prior
from jaxsr.types import Params
from restoration import fitting
from restoration.options import Settings
from restoration.plan import Method

RESTARTS = "restarts"  # how several solutions of a photo came about: searches from other starts
Fingerprint = dict[str, Any]


def fingerprint(
    settings: Settings, prior: Prior, params: Params, operator: Operator, method: Method
) -> Fingerprint:
    """The settings of super_resolve.py that a calibration holds for, in JSON's types.

    A seed is not among them: other seeds draw other starts from one distribution. Nor is a model's
    folder, of which the digest counts.
    """
    values = {name: value for name, value in method.values.items() if name != "model"}
    return {
        "operator": operator.name,
        "kernel": settings.kernel,
        "mask": fitting.mask_digest(settings.mask),
        "fit": settings.fit,
        "method": method.name,
        **{f"{method.name} {name}": value for name, value in values.items()},
        "consistency": settings.consistency,
        "noise": "found in each photo" if settings.noise is None else settings.noise,
        "eps": settings.eps,
        "free": flags.names("free", settings.free),
        "prior": prior.info.name,
        "prior_sha256": weights.digest(params),
        "precision": settings.precision,
        "num_solutions": settings.num_solutions,
        "solutions": RESTARTS,
    }


def differences(calibrated: Mapping[str, Any], used: Mapping[str, Any]) -> list[str]:
    """The settings in which a run differs from a calibration, each in words."""
    names = list(dict.fromkeys([*calibrated, *used]))
    pairs = [(name, calibrated.get(name), used.get(name)) for name in names]
    return [
        f"{name} ({there!r} calibrated, {here!r} asked for)"
        for name, there, here in pairs
        if there != here
    ]
