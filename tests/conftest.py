"""CPU only, quick compilation: LLVM's optimiser is switched off, since tests run each program once
or twice; and what one test or worker compiled, another loads: experiments that tests start as
processes of their own run the same programs again and again."""

import gc
import importlib.metadata
import inspect
import os
import sys
import tempfile
from pathlib import Path

import jaxtyping
import pytest

FLAGS = ["--xla_backend_optimization_level=0"]
# A flag that XLA does not know ends the process; of this one, a third less time to compile, other
# versions may know nothing.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")

# A program that is compiled takes some 12 memory maps, of which Linux gives a process 65,530; XLA
# ends with a segmentation fault where there is no further one.
MANY_MAPS = 30_000
MAPS = Path("/proc/self/maps")


def pytest_configure(config):
    """Before anything imports jax; workers of pytest-xdist and the experiments inherit it."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = " ".join([given, *(flag for flag in FLAGS if flag not in given)])
    # `-p no:cacheprovider` leaves nothing to keep programs in.
    kept = config.cache.mkdir("xla") if hasattr(config, "cache") else tempfile.mkdtemp()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"
    # Every call of jaxsr is checked against its annotations. Here and not in `addopts`, which the
    # workers of pytest-xdist do not read.
    jaxtyping.install_import_hook("jaxsr", "run_time_types.check")


@pytest.fixture(autouse=True)
def types_checked_but_of_errors(request):
    """A test of errors passes what no annotation allows, as a user may: jaxsr's own line must come,
    not the type checker's."""
    is_of_errors = "pytest.raises(" in inspect.getsource(request.function)
    jaxtyping.config.update("jaxtyping_disable", is_of_errors)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True, scope="module")
def programs_are_let_go():
    """Thousands of tests in one process compile more programs than it may hold."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY_MAPS:
        import jax

        jax.clear_caches()
        # What tests keep would be traced again: tests that count it begin anew.
        for module in list(sys.modules.values()):
            if str(getattr(module, "__file__", "")).startswith(str(Path(__file__).parent)):
                for kept in vars(module).values():
                    getattr(kept, "cache_clear", lambda: None)()
        gc.collect()


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory):
    """The folder of a random prior of 16 px."""
    from tiny import write_prior  # which imports jax, that must not be before `pytest_configure`

    return write_prior(tmp_path_factory.mktemp("priors") / "tiny")


@pytest.fixture
def restore(tiny_prior, tmp_path, monkeypatch):
    """super_resolve.py in a folder of its own: (the flags input, out and others) -> exit status."""
    import super_resolve

    monkeypatch.chdir(tmp_path)

    def run(**settings) -> int:
        fixed = {"prior": tiny_prior, "method": "bicubic", "progress": False, "out": "out"}
        return super_resolve.main(super_resolve.Settings(**fixed | settings))

    return run
