"""A wheel, as `pip install .` makes one: everything works from any directory, without the clone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What a wheel of this project puts into `site-packages`."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for room in ("lincae", "callbacks", "datamodules", "configs"):
        shutil.copytree(PROJECT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(PROJECT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--quiet", "-w", "wheels"]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = (source / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    shutil.rmtree(source)
    return folder


@pytest.fixture
def lincae(installed, tmp_path):
    """A function that runs a command there, and gives what it printed."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "lincae.cli.main", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


@pytest.mark.slow
def test_every_file_of_the_project_is_in_the_wheel(installed):
    for room in ("lincae", "callbacks", "datamodules", "configs"):
        for file in (file for file in (PROJECT / room).rglob("*.*") if "__pycache__" not in file.parts):
            if file.is_file():
                assert (installed / file.relative_to(PROJECT)).read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_commands_find_their_configurations_from_any_directory(lincae, tmp_path):
    assert yaml.safe_load(lincae("fit", "--config=lincae.yaml", "--print_config"))["trainer"]["max_steps"] == 800_000
    assert "annealing" in lincae("experiment", "--help")
    assert "--output" in lincae("demo", "--help")
    quick = ["--trainer.max_steps=1", "--data.clip_count=16", "--data.track_count=2", "--data.validation_clips=2"]
    quick += ["--data.validation_tracks=2", "--data.validation_batch_size=2", f"--data.root={tmp_path}/data"]
    lincae("sweep", "sweep.yaml", "--count=1", "-o", "swept", "--", "--config=demo-deterministic.yaml", *quick)
    assert (tmp_path / "swept" / "results.json").is_file()
