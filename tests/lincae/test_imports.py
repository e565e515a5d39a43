"""Who may import whom."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lincae

PROJECT = Path(lincae.__file__).parents[1]
TORCH_LEVEL = ("networks", "consistency", "autoencoders", "mixing", "schedules", "streams", "stft", "published")


def files(room: str) -> list[Path]:
    """The Python files of a module or package, given by its path without suffix."""
    place = PROJECT / room
    found = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert found
    assert all(file.exists() for file in found)
    return found


def imports(file: Path) -> set[str]:
    """All modules that a file imports, wherever in it, and what it imports from them."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports would escape these tests"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def offenders(room: str, *forbidden: str, exempt: str | None = None) -> dict[str, list[str]]:
    """Files of a room that import a forbidden package or a part of it, outside the exempt folder."""
    found = {}
    for file in files(room):
        if exempt is not None and file.is_relative_to(PROJECT / exempt):
            continue
        bad = [name for name in imports(file) if any(f"{name}.".startswith(f"{package}.") for package in forbidden)]
        if bad:
            found[str(file.relative_to(PROJECT))] = bad
    return found


def test_the_reader_of_imports(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("import a.b as c\ndef f():\n    from d.e import g\nif True:\n    import h, i\n")
    assert imports(file) == {"a.b", "d.e", "d.e.g", "h", "i"}


def test_the_library_knows_neither_callbacks_nor_datamodules():
    assert offenders("lincae", "callbacks", "datamodules", exempt="lincae/cli") == {}


@pytest.mark.parametrize("room", TORCH_LEVEL)
def test_the_mathematics_knows_no_lightning(room):
    assert offenders(f"lincae/{room}", "lightning", "pytorch_lightning", "lincae.module", "lincae.ema") == {}


@pytest.mark.parametrize("room", ["callbacks", "datamodules"])
def test_rooms_do_not_know_the_command_line(room):
    assert offenders(room, "lincae.cli") == {}


def test_only_the_command_line_knows_the_command_line():
    assert offenders("lincae", "lincae.cli", exempt="lincae/cli") == {}


LOADED = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(*modules: str) -> set[str]:
    """What a fresh interpreter has loaded after these imports."""
    command = [sys.executable, "-c", LOADED, json.dumps(modules)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


def library(*rooms: str) -> list[str]:
    """Names of the modules of `lincae`, of these rooms or of all but the command line."""
    paths = [file.relative_to(PROJECT).with_suffix("").parts for file in files("lincae")]
    modules = [parts for parts in paths if parts[-1] != "__init__" and parts[1] != "cli"]
    return [".".join(parts) for parts in modules if not rooms or parts[1] in rooms]


def test_importing_the_mathematics_loads_no_lightning_and_no_wandb():
    """Nor does anything that it imports."""
    assert not loaded_by("lincae", *library(*TORCH_LEVEL)) & {
        "lightning",
        "wandb",
        "callbacks",
        "datamodules",
        "lincae.cli",
    }


def test_importing_the_library_loads_no_command_line_and_no_wandb():
    unwanted = {"wandb", "lightning.pytorch.cli", "callbacks", "datamodules", "lincae.cli"}
    assert not loaded_by("lincae", *library()) & unwanted


def test_importing_the_package_loads_nothing_else():
    assert not loaded_by("lincae") & {"torch", "lincae.inference", "huggingface_hub"}


def test_using_a_trained_model_loads_no_training():
    unwanted = {"lightning", "wandb", "torchmetrics", "callbacks", "datamodules", "lincae.module", "lincae.cli"}
    assert not loaded_by("lincae.inference") & unwanted
