"""What importing costs: a photo tool must start in seconds."""

import subprocess
import sys

CODE = """
import sys
import jaxsr
print(*sys.modules)
import jaxsr.images, jaxsr.operators, jaxsr.degradations, jaxsr.metrics
print(*sys.modules)
"""


def test_imports_stay_light():
    """No plotting, no distrax (and with it TensorFlow Probability), no scipy where none is
    needed."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    package, tools = (set(line.split()) for line in done.stdout.splitlines())
    assert not {"distrax", "tensorflow_probability", "orbax", "matplotlib"} & package
    heavy = {"matplotlib", "scipy", "skimage", "flax", "distrax", "tensorflow", "torch"}
    assert not heavy & tools
