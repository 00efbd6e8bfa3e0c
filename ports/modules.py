"""Arrays of torch modules that a file holds whole instead of their state dict."""

from typing import Any

from ports.pickles import Record

_DEEPEST = 12  # levels of modules inside modules
_MOST = 10_000  # arrays


def arrays(module: Any, prefix: str, depth: int = 0) -> dict[str, Any]:
    """Arrays of a pickled torch module and of the modules in it, by their dotted names.

    Raises:
        ValueError: another object, modules too deep in each other, or too many arrays.
    """
    state = module.state if isinstance(module, Record) and isinstance(module.state, dict) else {}
    parameters, buffers, inner = (
        state.get(name) for name in ("_parameters", "_buffers", "_modules")
    )
    if (
        not (isinstance(parameters, dict) and isinstance(buffers, dict) and isinstance(inner, dict))
        or depth > _DEEPEST
    ):
        raise ValueError(f"expected a torch module as {prefix[:80]}, got another object")
    found = {
        f"{prefix}.{name}": value
        for name, value in (parameters | buffers).items()
        if value is not None
    }
    for name, child in inner.items():
        if child is not None:
            found |= arrays(child, f"{prefix}.{name}", depth + 1)
        if len(found) > _MOST:  # one module named again and again
            raise ValueError(f"expected at most 10,000 arrays in {prefix[:80]}, got more")
    return found
