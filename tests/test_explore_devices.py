"""explore on several devices: what they share out comes back in order."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DEVICES = """
import sys; sys.path[:0] = {paths!r}
import jax, numpy as np, explorations as t
assert jax.device_count() == {devices}
told, start, y, result = t.found("z", "downsample", "algorithm1")
images = np.stack([solution.image for solution in result.solutions])
ways = t.explore.Directions(*(field[:3] for field in result.directions))
far = t.explore.at_distance(told, t.params(), start, y, result.geometry, ways, (0.02, 0.05))
free = t.problem("w_plus_noise", "blur", "closed_form")
krylov = t.explore.geometry(free, t.params(), t.begin(free)[0])
both = result.geometry, krylov
values = [metric.values for found in both for metric in (found.measurement, found.perceptual)]
np.savez(sys.argv[1], images, *values, far.image)
"""


COUNT = "--xla_force_host_platform_device_count"


@pytest.mark.slow
def test_devices_do_not_change_an_exploration(tmp_path):
    """Breaks when the columns of the metrics, matrix-free products or the walks of several devices
    are mixed up or lost."""
    here, found = Path(__file__).parent, []
    for devices in (1, 2):
        code = DEVICES.format(paths=[str(here), str(here.parent)], devices=devices)
        env = os.environ | {
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {COUNT}={devices}",
            "JAX_PLATFORMS": "cpu",
        }
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "found.npz")], env=env, check=True
        )
        with np.load(tmp_path / "found.npz") as arrays:
            found.append([arrays[name] for name in arrays.files])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-4 * np.abs(one).max())
