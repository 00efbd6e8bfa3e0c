"""The architectures that have ports. A new one is a row of ROWS: then every test of
test_architectures.py asks it too."""

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import ports_biggan
import ports_files
import ports_pggan
import ports_stylegan1
import ports_stylegan2
import ports_stylegan3
import pytest

from jaxsr import load_prior, priors, weights
from jaxsr.nets import ARCHITECTURES, pggan, stylegan1, stylegan2, stylegan3
from ports.convert import convert


class Row(NamedTuple):
    """What the tests need of one architecture.

    Attributes:
        config: of a network that is quick to compile.
        formats: name -> files in that format, and what a slow network makes of them
            (`ports_files.Written`). All that its port reads.
        slow: formats that take seconds to compile, which only .ci/run tries.
    """

    config: Any
    formats: dict[str, Callable[[], Any]]
    slow: tuple[str, ...] = ()


SMALL = {"resolution": 8, "z_dim": 8, "channels": (8, 6)}
ROWS = {
    "stylegan2": Row(
        stylegan2.Config(**SMALL, w_dim=8, mapping_layers=2),
        ports_stylegan2.FORMATS | ports_stylegan2.VARIANTS,
    ),
    "stylegan3": Row(
        stylegan3.Config(
            **SMALL,
            w_dim=8,
            mapping_layers=1,
            layers=2,
            critical=1,
            first_cutoff=1.0,
            first_stopband=2.0,
            margin=2,
            scale=1.0,
            maps=(5, 4),
        ),
        ports_stylegan3.FORMATS,
    ),
    "stylegan1": Row(
        stylegan1.Config(**SMALL, w_dim=8, mapping_layers=2, hidden=9), ports_stylegan1.FORMATS
    ),
    "pggan": Row(pggan.Config(**SMALL, hidden=9), ports_pggan.FORMATS),
    "biggan": Row(ports_biggan.CONFIG, ports_biggan.FORMATS, ports_biggan.LARGE),
}
FORMATS = [
    pytest.param(architecture, name, marks=[pytest.mark.slow] if name in row.slow else [])
    for architecture, row in ROWS.items()
    for name in row.formats
]


class Loaded(NamedTuple):
    """A prior that was converted, saved and loaded, as a user's is."""

    written: Any
    prior: priors.Prior
    params: dict
    config: dict


@functools.cache
def loaded(architecture: str, name: str) -> Loaded:
    written = ROWS[architecture].formats[name]()
    with tempfile.TemporaryDirectory() as folder:
        params, config = convert(*ports_files.write(folder, written.contents))
        weights.save(Path(folder, "prior"), params, config)
        prior, params = load_prior(Path(folder, "prior"), **written.chosen)
    return Loaded(written, prior, jax.tree.map(np.asarray, params), config)


COMPILED: dict[tuple, Callable] = {}


def compiled(it: Loaded, function: str) -> Callable:
    """A function of the prior, compiled once for all files of one network's sizes."""
    sizes = json.dumps([it.config["architecture"], it.config["net"], dict(it.written.chosen)])
    return COMPILED.setdefault((sizes, function), jax.jit(getattr(it.prior, function)))


@functools.cache
def begun(architecture: str) -> dict:
    """Fresh parameters of the small network."""
    row = ROWS[architecture]
    return jax.jit(ARCHITECTURES[architecture].init, static_argnums=1)(
        jax.random.key(0), row.config
    )


@functools.cache
def fresh(architecture: str) -> tuple[priors.Prior, dict]:
    """The small network's prior, and fresh parameters of which none is zero."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: np.asarray(x + 0.1 * rng.normal(size=x.shape), np.float32), begun(architecture)
    )
    return ARCHITECTURES[architecture].prior(ROWS[architecture].config), params


@functools.cache
def traced(architecture: str) -> tuple[Callable, list]:
    """The small prior's decode, compiled, and a list with one entry for each compilation."""
    prior, traces = fresh(architecture)[0], []

    def decode(params, z):
        traces.append(architecture)
        return prior.decode(params, z)

    return jax.jit(decode), traces
