"""What has to be installed: declared where it is imported, and named as it can be had."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
OURS = {"lincae", "callbacks", "datamodules"}


def normal(requirement: str) -> str:
    """A package's name, as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


REQUIRED = {normal(each) for each in PYPROJECT["dependencies"]}
OPTIONAL = {normal(each) for extra in EXTRAS.values() for each in extra} - {"lincae"}


def imported(file: Path) -> set[str]:
    """Packages that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} - OURS - sys.stdlib_module_names


def test_whatever_is_imported_is_declared():
    distributions = {"umap": ["umap-learn"], **packages_distributions()}  # the tests do without that one
    undeclared = {
        f"{file.relative_to(PROJECT)} imports {package}"
        for file in (file for room in OURS for file in (PROJECT / room).rglob("*.py"))
        for package in imported(file)
        if not {normal(name) for name in distributions.get(package, [package])} & (REQUIRED | OPTIONAL)
    }
    assert undeclared == set()


def lines() -> list[tuple[str, str]]:
    """Every line in code and documents that says how to install something."""
    files = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
    files += [
        file for room in sorted({*OURS, "benchmarks", "configs"}) for file in sorted((PROJECT / room).rglob("*.*"))
    ]
    texts = ((file, file.read_text()) for file in files if file.suffix in (".md", ".py", ".yaml"))
    return [
        (str(file.relative_to(PROJECT)), match[1])
        for file, text in texts
        if file.name != "CHANGELOG.md"
        for match in re.finditer(r"pip install ([^`\n#()]+)", text)
    ]


@pytest.mark.parametrize(("file", "arguments"), lines())
def test_what_is_to_be_installed_can_be(file, arguments):
    """`lincae` is on no index: it is installed from a clone, `-e '.[EXTRA]'`."""
    words = re.sub(r"['\",]", " ", arguments.split(" or ")[0]).split()
    for word in (word for word in words if not word.startswith("-")):
        if word.startswith("."):
            assert {*filter(None, word.removeprefix(".").strip("[].").split(","))} <= EXTRAS.keys()
        elif word.startswith("{"):
            assert word == "{method.package}"  # of `lincae.report.neighbours.METHODS`, which its tests look at
        else:
            assert normal(word) in REQUIRED | OPTIONAL | {"linear-cae"}, f"{file}: pip install {arguments}"
