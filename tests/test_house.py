"""The house: which file may import which, so that every file can be understood from the floors
below it."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = {
    ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
    for root, folder in ((ROOT, "jaxsr"), (ROOT, "ports"), (ROOT / "experiments", "."))
    for path in sorted((root / folder).rglob("*.py"))
}


def imports(module: str, *, inner: bool = False) -> Iterator[str]:
    """Modules of the product that a module imports when it is imported; inner: those in its
    functions too."""
    tree = ast.parse(PRODUCT[module].read_text())
    nodes = (
        ast.walk(tree)
        if inner
        else [node for statement in tree.body for node in _at_the_top(statement)]
    )
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in PRODUCT)
        elif isinstance(node, ast.ImportFrom) and node.module in PRODUCT:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from {name if name in PRODUCT else node.module for name in found}


def _at_the_top(statement: ast.stmt) -> Iterator[ast.AST]:
    """What runs at import; not what `if TYPE_CHECKING` hides from it."""
    hidden = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
    if hidden or isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return
    yield from ast.walk(statement)


def room(module: str) -> str:
    """The package or the single file that a module lies in: jaxsr.search, jaxsr.priors, evaluation,
    evaluate."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "jaxsr" else parts[0]


def test_no_circle_of_modules():
    """Two files that need each other can only be understood together, and import only in one
    order."""
    graph = {module: set(imports(module)) for module in PRODUCT}
    assert len(graph) > 100
    graphlib.TopologicalSorter(graph).prepare()


def test_no_circle_of_rooms():
    """A package that a lower one needs is no floor of its own. Imports inside of functions count:
    they hide a circle, no more."""
    graph: dict[str, set[str]] = {}
    for module in PRODUCT:
        if module != "jaxsr":  # the face, which imports nothing before it is asked
            graph.setdefault(room(module), set()).update(
                {room(name) for name in imports(module, inner=True)} - {room(module), "jaxsr"}
            )
    graphlib.TopologicalSorter(graph).prepare()


def test_private_modules_stay_in_their_package():
    """A file whose name begins with "_" may change without a look at other packages."""
    for module in PRODUCT:
        for name in imports(module, inner=True):
            package, _, leaf = name.rpartition(".")
            assert not leaf.startswith("_") or module.startswith(package), (
                f"{module} imports {name}"
            )


def test_private_names_stay_in_their_file():
    """A function whose name begins with "_" is no part of what another file may rely on."""
    for module, path in PRODUCT.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in PRODUCT:
                taken = [
                    alias.name
                    for alias in node.names
                    if alias.name.startswith("_") and f"{node.module}.{alias.name}" not in PRODUCT
                ]
                assert not taken, f"{module} imports {taken} from {node.module}"
