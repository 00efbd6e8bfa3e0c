"""Arrays of torch modules that a file holds whole instead of their state dict."""

from typing import Any

from ports.pickles import Record

_DEEPEST = 12  # levels of modules inside modules
_MOST = 10_000  # arrays, or modules


def is_module(value: Any) -> bool:
    """Whether it is a pickled torch module."""
    state = value.state if isinstance(value, Record) else None
    return isinstance(state, dict) and all(isinstance(part, dict) for part in _parts(state))


def _parts(state: dict) -> tuple[Any, Any, Any]:
    """Parameters, buffers and inner modules of a module's state."""
    return state.get("_parameters"), state.get("_buffers"), state.get("_modules")


def state(module: Any, *names: str) -> dict:
    """The state of a module, or of the one that lies in it by these names, outermost first; {}
    where there is none."""
    found = module.state if isinstance(module, Record) else None
    found = found if isinstance(found, dict) else {}
    if not names:
        return found
    inner = found.get("_modules")
    return state(inner.get(names[0]) if isinstance(inner, dict) else None, *names[1:])


def arrays(module: Any, prefix: str = "") -> dict[str, Any]:
    """Arrays of a pickled torch module and of the modules in it, by their dotted names, behind a
    prefix.

    Raises:
        ValueError: another object, modules too deep in each other, or too many arrays or modules.
    """
    found: dict[str, Any] = {}
    waiting, seen = [(prefix and f"{prefix}.", module, 0)], 0
    while waiting:
        place, one, depth = waiting.pop()
        seen += 1
        if not is_module(one) or depth > _DEEPEST:
            what = place.removesuffix(".")[:80] or "a network"
            raise ValueError(f"expected a torch module as {what}, got another object")
        parameters, buffers, inner = _parts(one.state)
        found |= {
            f"{place}{name}": value
            for name, value in (parameters | buffers).items()
            if value is not None
        }
        waiting += [
            (f"{place}{name}.", child, depth + 1)
            for name, child in reversed(inner.items())
            if child is not None
        ]
        if len(found) + len(waiting) + seen > _MOST:  # one module named again and again
            raise ValueError("expected at most 10,000 arrays and modules in a network, got more")
    return found
