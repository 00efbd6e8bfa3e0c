"""TensorFlow networks in a pickle (PGGAN, StyleGAN1, StyleGAN2): their variables by name, and the
settings that they were made with."""

from typing import Any, NamedTuple

from ports.pickles import Record
from ports.tables import few


class Networks(NamedTuple):
    """The averaged generator Gs and the discriminator D of a file.

    Attributes:
        sources: arrays by "Gs/name" and "D/name", those of components by "Gs/component/name".
        generator: settings of Gs; genuine files leave those at their defaults out.
        discriminator: settings of D.
        version: of the pickled Gs; 2 in PGGAN's code, more in later ones.
        notes: what is told where the file has G alone, which takes the place of Gs.
    """

    sources: dict[str, Any]
    generator: dict[str, Any]
    discriminator: dict[str, Any]
    version: int
    notes: tuple[str, ...] = ()


def networks(content: Any) -> Networks | None:
    """The networks in what `torch_files.read` returned, or None.

    Raises:
        ValueError: networks without a generator, or damaged ones.
    """
    found = [content] if isinstance(content, Record) else content
    if (
        not isinstance(found, tuple | list)
        or not found
        or not all(_is_network(network) for network in found)
    ):
        return None
    named = {network.state["name"]: network for network in found}
    # NVIDIA's own PGGANs are called after their functions: G_paper, D_paper, G_paper.
    if "Gs" not in named and len(found) == 3:
        named = dict(zip(("G", "D", "Gs"), found, strict=True))
    generator, discriminator = named.get("Gs", named.get("G")), named.get("D")
    if generator is None:
        raise ValueError(
            "expected TensorFlow networks with the averaged generator Gs, or with G, got "
            f"{few(name[:40] for name in named)}"
        )
    told = ("the file has no averaged generator (Gs): the one as trained, G, was taken",)
    sources = _variables(generator, "Gs") | (
        _variables(discriminator, "D") if discriminator else {}
    )
    version = generator.state.get("version")
    return Networks(
        sources,
        _settings(generator),
        _settings(discriminator) if discriminator else {},
        version if isinstance(version, int) else 0,
        () if "Gs" in named else told,
    )


def _is_network(value: Any) -> bool:
    return (
        isinstance(value, Record)
        and value.name == "Network"
        and isinstance(value.state, dict)
        and type(value.state.get("name")) is str
    )


def _settings(network: Record) -> dict[str, Any]:
    """A network's settings, with those of its components, which get them too."""
    components = network.state.get("components", {})
    settings: dict[str, Any] = {}
    for one in (*components.values(), network):
        own = one.state.get("static_kwargs", {})
        if not isinstance(own, dict):
            raise ValueError("expected static_kwargs of a network as a dict, got another object")
        settings |= own
    return settings


def _variables(network: Any, prefix: str, depth: int = 0) -> dict[str, Any]:
    """Variables of a TensorFlow network and of its components, by names with slashes."""
    state = network.state if _is_network(network) else {}
    variables, components = state.get("variables"), state.get("components", {})
    if not isinstance(variables, list) or not isinstance(components, dict) or depth > 1:
        raise ValueError(
            f"expected a TensorFlow network with variables as {prefix[:80]}, got another object"
        )
    if not all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in variables
    ):
        raise ValueError(f"expected pairs of name and array in {prefix[:80]}, got others")
    arrays = {f"{prefix}/{name}": value for name, value in variables}
    for name, component in components.items():
        arrays |= _variables(component, f"{prefix}/{name}", depth + 1)
    return arrays


def require(what: str, settings: dict[str, Any], fixed: dict[str, tuple]) -> None:
    """Raises ValueError if a setting that changes what a network computes has another value than
    those that ours computes."""
    for name, allowed in fixed.items():
        if name in settings and settings[name] not in allowed:
            raise ValueError(
                f"expected a {what} with {name} {' or '.join(map(str, allowed))}, got "
                "another: jaxsr's network has no other"
            )


def judged(what: str, networks: Networks, fixed: dict[str, tuple]) -> Networks:
    """The networks, without a discriminator that computes something else than ours, which is
    told."""
    try:
        require(what, networks.discriminator, fixed)
    except ValueError as error:
        told = f"the discriminator was left out: {error}"
        kept = {name: x for name, x in networks.sources.items() if not name.startswith("D/")}
        return networks._replace(sources=kept, discriminator={}, notes=(*networks.notes, told))
    return networks


def number(settings: dict[str, Any], name: str, default: float) -> float:
    """A positive number among the settings.

    Raises:
        ValueError: it is something else.
    """
    value = settings.get(name, default)
    if not isinstance(value, float | int) or not 0 < value < 2**31:
        raise ValueError(f"expected {name} as a positive number, got another object")
    return value
