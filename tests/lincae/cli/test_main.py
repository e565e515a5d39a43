"""The command `lincae` itself: its help, typing errors, and readers that have gone."""

import importlib
import subprocess
import sys

import pytest

from lincae.cli import training
from lincae.cli.main import COMMANDS, TRAINER, main

MODULE = [sys.executable, "-m", "lincae.cli.main"]


def test_the_help_has_a_line_for_every_command_and_loads_no_library(tmp_path):
    code = "import sys; from lincae.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    *help, modules = done.stdout.splitlines()
    assert {"torch", "lightning", "numpy", "jsonargparse"} & set(modules.split()) == set()
    listed = [line.split()[0] for line in help if line.startswith("  ")]
    assert sorted(listed) == sorted(COMMANDS)


def test_every_command_is_there():
    for name in COMMANDS.keys() - TRAINER.keys():
        assert callable(importlib.import_module(f"lincae.cli.{name}").main)
    assert training.TrainingCLI.subcommands().keys() == TRAINER.keys()


@pytest.mark.parametrize(
    ("typed", "meant"), [("ecnode", "encode"), ("vaildate", "validate"), ("evalute", "evaluate"), ("xyz", "--help")]
)
def test_a_typing_error_names_the_closest_commands(typed, meant, capsys):
    with pytest.raises(SystemExit) as end:
        main([typed, "--data", "x"])
    told = capsys.readouterr()
    assert (end.value.code, told.out) == (2, "")
    assert typed in told.err
    assert meant in told.err


def test_a_command_has_to_be_named(capsys):
    with pytest.raises(SystemExit) as end:
        main([])
    told = capsys.readouterr()
    assert (end.value.code, told.out) == (2, "")
    assert all(name in told.err for name in COMMANDS)


def unread(command, cwd, **streams):
    """The exit status, and what is on standard error, of a command whose output nobody reads."""
    process = subprocess.Popen([*MODULE, *command], cwd=cwd, stdout=subprocess.PIPE, text=True, **streams)
    process.stdout.close()
    errors = process.stderr.read() if process.stderr else ""
    return process.wait(120), errors


@pytest.mark.parametrize("command", [["--help"], ["encode", "--help"]])
def test_help_that_nobody_reads_ends_as_other_tools_do(command, tmp_path):
    assert unread(command, tmp_path, stderr=subprocess.PIPE) == (141, "")


@pytest.mark.parametrize("errors", [subprocess.PIPE, subprocess.STDOUT])
def test_a_command_whose_output_nobody_reads_ends_quietly_after_its_work(errors, identity, sound, tmp_path):
    status, told = unread(["encode", sound("a.wav"), "-o", "z", "--model", identity], tmp_path, stderr=errors)
    assert (status, told) == (141, "")
    assert [path.name for path in (tmp_path / "z").iterdir()] == ["a.safetensors"]


def test_a_refusal_that_nobody_reads_keeps_its_status(tmp_path):
    assert unread(["ecnode"], tmp_path, stderr=subprocess.STDOUT)[0] == 2
