# Run this first: about two minutes on Colab, nothing to do where jaxsr is installed already.
import importlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

SMOKE = "JAXSR_SMOKE" in os.environ  # the tests run every cell with a few steps
COLAB = bool(find_spec("google") and find_spec("google.colab"))
# Experiments may need the same accelerator.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
found = find_spec("jaxsr")
if found is None or found.origin is None:  # a folder of that name is no package
    if not Path("jaxsr").is_dir():
        address = "{REPOSITORY}"
        subprocess.run(["git", "clone", "-q", "--depth=1", address], check=True)
    cuda, tpu = shutil.which("nvidia-smi"), Path("/dev/accel0").exists()
    extras = "plots,cuda" if cuda else "plots,tpu" if tpu else "plots"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"./jaxsr[{extras}]"], check=True)
    importlib.invalidate_caches()
places = [place.resolve() for place in (Path("jaxsr"), Path.cwd(), *Path.cwd().parents)]
ROOT = next(
    (place for place in places if (place / "experiments" / "super_resolve.py").is_file()), None
)
if ROOT is None:
    raise FileNotFoundError(
        "expected a checkout of jaxsr around this notebook: open it in the folder colab of one"
    )
sys.path.append(str(ROOT / "experiments"))


def script(name, *flags, quiet=False):
    """Runs a script of jaxsr in a process of its own and shows what it says as it says it; quiet:
    its progress alone."""
    command, line = [sys.executable, str(ROOT / name), *flags], ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            bar = "%|" in line
            if line.strip() and (bar or not quiet):
                # A progress bar stays on one line.
                print(line.rstrip("\n"), end="\r" if bar else "\n")
    if process.returncode:
        raise RuntimeError(f"{name} ended with status {process.returncode}: {line.strip()}")


import jax
from jaxsr.loading import toy_prior

import jaxsr

PRIOR, FACTOR = (str(toy_prior(Path("toy"))), 2) if SMOKE else (jaxsr.loading.default_source(), 8)
print(f"jaxsr {jaxsr.__version__}, jax {jax.__version__}")
