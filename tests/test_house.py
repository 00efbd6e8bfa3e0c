"""The house: which file may import which, so that every file can be understood from the floors
below it; how long a file may be; and where a name of a table may be quoted."""

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

from jaxsr.methods import METHODS
from jaxsr.metrics import DISTANCES, METRICS
from jaxsr.nets import ARCHITECTURES
from jaxsr.operators import OPERATORS

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


FOLDERS = ("jaxsr", "experiments", "ports", "tests", "colab")


def test_files_stay_under_400_lines():
    """A file that does not fit in a head is two subjects."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    lengths = {path: len(path.read_text().splitlines()) for path in files}
    assert len(lengths) > 150
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > 400}
    assert not long, f"more than 400 lines: {long}"


def test_no_module_of_tests_imports_another():
    """A test that is moved or renamed breaks others, and what they share is compiled and collected
    where nobody looks for it: helpers live in modules that are not named test_*."""
    found = []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name} imports {name}" for name in names if name.startswith("test_")]
    assert not found, "; ".join(found)


# Where a name is quoted

TABLES = {
    "jaxsr/methods/__init__.py": METHODS,
    "jaxsr/operators/__init__.py": OPERATORS,
    "jaxsr/metrics/__init__.py": METRICS | DISTANCES,
    "jaxsr/nets/__init__.py": ARCHITECTURES,
}
NAMES = {name for table in TABLES.values() for name in table}
KERNELS = {"nearest", "bilinear", "bicubic"}  # methods of the same name, see _interpolates
# Why a place may quote names of a table all the same -> the places, each with its names.
ALLOWED = {
    "it is a table of its own": {
        "experiments/evaluation/suites.py": "*",
        "experiments/evaluation/variants.py": "*",
        "jaxsr/learned/restorers.py": "*",
        "jaxsr/operators/similarity.py": "*",
        "ports/formats.py": "*",
    },
    "default of a setting": {
        "experiments/evaluation/plan.py": "bicubic pulse",
        "experiments/explore.py": "downsample nearest",  # a column, nearest, too
        "experiments/exploration/conditions.py": "downsample pulse",
        "experiments/exploration/options.py": "iagan inpainting",
        "jaxsr/methods/auto.py": "iagan laren pulse rls_plus",
        "experiments/restoration/fitting.py": "downsample",
        "experiments/restoration/options.py": "downsample",
        "experiments/restoration/scores.py": "psnr ssim",
    },
    "it is about these": {
        "jaxsr/learned/faces.py": "gfpgan gpen",
        "jaxsr/learned/upscalers.py": "rrdb srvgg vdsr",
        "jaxsr/loading.py": "stylegan2",  # the toy prior
        "jaxsr/training/flow.py": "pulse",  # whose transform of w is judged beside the flow
        "jaxsr/training/gan_loop.py": "stylegan2",
        "experiments/benchmarks/hot.py": "stylegan2",
        "experiments/benchmarks/learned.py": "glean laren",
        "experiments/benchmarks/memory.py": "pulse rls rls_plus rlse",
        "experiments/benchmarks/steps.py": "brgm",
        "experiments/benchmarks/weights.py": "iagan pulse rls rls_plus rlse",
        "experiments/disentangle.py": "downsample laren",
        "experiments/evaluation/gaussianisation.py": "pulse",
        "experiments/train_gan.py": "stylegan2",
        "experiments/train_restorer.py": "downsample laren",
    },
    "it shows or reads this column": {
        "experiments/inspection/tables.py": "grey nearest",
        "jaxsr/training/restorer_loop.py": "psnr",
        "experiments/evaluation/curves.py": "top_octave_share",
        "experiments/evaluation/page.py": "psnr",
        "experiments/evaluation/scores.py": "feature_distance",
        "experiments/judge_prior.py": "psnr",
        "experiments/restoration/faced_records.py": "bicubic",
        "experiments/restoration/pictures.py": "bicubic psnr",
        "experiments/restoration/whole.py": "bicubic",
        "jaxsr/napari_reader.py": "psnr",
    },
    "a file of weights, or a kernel, of the same name": {
        "jaxsr/metrics/embedding.py": "lpips_alex",
        "jaxsr/metrics/networks.py": "lpips_alex niqe",
        "jaxsr/operators/similarity.py": "bicubic bilinear",
        "jaxsr/inspect/proposal.py": "bicubic",
        "jaxsr/resample.py": "bicubic bilinear",
        "ports/metric_networks.py": "lpips_alex",
    },
}


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    with_body = (ast.Module, ast.ClassDef, ast.FunctionDef)
    owners = [node for node in ast.walk(tree) if isinstance(node, with_body) and node.body]
    return {node.body[0].value for node in owners if isinstance(node.body[0], ast.Expr)}


def _interpolates(node: ast.AST) -> list[ast.AST]:
    """Where a kernel of an interpolation is meant: a word of `jax.image.resize` and of
    `jaxsr.resample`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("resize", "enlarged")):
        return node.args
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "kernel":
        return [node.value] if node.value else []
    if isinstance(node, ast.arguments):
        given = [*zip(node.args[::-1], node.defaults[::-1], strict=False)]
        given += zip(node.kwonlyargs, node.kw_defaults, strict=True)
        return [default for arg, default in given if arg.arg == "kernel" and default]
    if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("kernel"):
        return node.comparators
    return []


def _exported(node: ast.AST) -> list[ast.AST]:
    named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    return list(ast.walk(node.value)) if named else []


@functools.cache
def quoted(path: Path) -> set[str]:
    """Names of the tables that a file quotes and that are no word of its own: not in docstrings or
    `__all__`, not the file's name, not a function or class that it defines, not a kernel."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    own = {path.stem} | {node.name for node in tree.body if hasattr(node, "name")}
    skipped = _docstrings(tree) | {each for node in nodes for each in _exported(node)}
    kernels = {each for node in nodes for each in _interpolates(node)}
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value in NAMES - own and node not in skipped
        if not (node in kernels and node.value in KERNELS)
    }


def test_names_of_a_table_are_quoted_in_few_places():
    """One more method, operator, metric or architecture has to be typed into a list that nobody
    knows of; or a place that is allowed to quote a name no longer does."""
    allowed = {where: names for places in ALLOWED.values() for where, names in places.items()}
    wrong = {}
    for path in PRODUCT.values():
        where = str(path.relative_to(ROOT))
        found, told = quoted(path) - set(TABLES.get(where, ())), allowed.pop(where, "").split()
        if told != ["*"] and found != set(told):
            wrong[where] = f"{found - set(told) or 'nothing'} more, {set(told) - found} no longer"
    assert not wrong, (
        f"names of methods, operators, metrics or architectures: {wrong}; read them from the "
        "table, or say in ALLOWED of tests/test_house.py why they stand there"
    )
    assert not allowed, f"no such files: {set(allowed)}"


def test_a_name_that_is_quoted_is_found(tmp_path):
    """The law passes because it sees nothing, or a kernel is taken for a method."""
    path = tmp_path / "made.py"
    path.write_text(
        '"""rls"""\n__all__ = ["mask", "grey"]\n\n\ndef mask(kernel="bicubic"):\n    """pulse"""\n'
        '    chosen = ["brgm", f(x, method="bilinear")]\n    return resize(chosen, "nearest")\n'
    )
    assert quoted(path) == {"brgm", "bilinear"}
