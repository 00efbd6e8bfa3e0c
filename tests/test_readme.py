"""README.md: short enough to be read, and in step with the tables of the code."""

import re
import tomllib
from pathlib import Path

from jaxsr.methods import METHODS

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "README.md").read_text().splitlines()


def test_a_newcomer_can_read_it_in_five_minutes():
    """What grows here belongs to a card, a --help or a docstring; only a new method has a line of
    its own."""
    assert len(LINES) - len(METHODS) <= 106
    assert not [line for line in LINES if len(line) > 100]


def test_it_lists_every_method():
    """A method that is not told of is not used."""
    first = next(i for i, line in enumerate(LINES) if line.startswith("| `--method`"))
    shown = LINES[first + 2 : first + 2 + len(METHODS)]
    assert shown == [
        f"| `{name}` | {method.summary} | {method.paper} |" for name, method in METHODS.items()
    ]


def test_it_lists_every_command():
    """Each file at the top of experiments/ is a command."""
    text = "\n".join(LINES)
    assert not [
        path.name for path in (ROOT / "experiments").glob("*.py") if f"`{path.name}`" not in text
    ]


def test_the_address_of_the_project_stands_in_one_place():
    """A project that moves must not leave clone lines behind."""
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    sources = [
        path
        for folder in ("jaxsr", "experiments", "ports", "colab", "tests")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert not [str(path) for path in [*sources, ROOT / "README.md"] if address in path.read_text()]


def test_what_it_links_to_is_there():
    found = re.findall(r"\]\(([^)]+)\)", "\n".join(LINES))
    assert len(found) > 10
    assert not [link for link in found if not (ROOT / link).exists()]
