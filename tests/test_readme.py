"""README.md: short enough to be read, and in step with the tables of the code."""

import re
import tomllib
from pathlib import Path

from jaxsr.methods import METHODS

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "README.md").read_text().splitlines()


def test_a_newcomer_can_read_it_in_five_minutes():
    """What grows here belongs to a card, a --help or a docstring."""
    assert len(LINES) <= 120
    assert not [line for line in LINES if len(line) > 100]


def test_its_methods_are_those_of_the_table():
    """README must not promise a method that is gone, or another paper's. A method that is added
    need not stand here: every --help has it."""
    shown = [line for line in LINES if re.match(r"\| `\w+` \|", line)]
    told = {
        f"| `{name}` | {method.summary} | {method.paper} |": method.paper
        for name, method in METHODS.items()
    }
    assert not [line for line in shown if line not in told]
    papers = {told[line] for line in shown}
    for paper in ("arXiv:2311.16923", "ICASSP 2024", "arXiv:2208.02861"):
        assert any(paper in other for other in papers), f"README names no method of {paper}"


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
