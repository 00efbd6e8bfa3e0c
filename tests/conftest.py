"""CPU only, quick compilation: LLVM's optimiser is switched off, since tests run each program once or twice."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
