"""What a checkpoint says it was made with."""

import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from lincae.provenance import commit_of, provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_versions_are_those_of_what_is_imported():
    versions = provenance()["versions"]
    assert versions["torch"] == torch.__version__.split("+")[0]
    assert versions["cuda"] == torch.version.cuda
    assert versions["lincae"] == version("lincae")
    assert {"python", "lightning", "numpy", "soundfile"} <= versions.keys()
    assert "pytest" not in versions


def test_what_is_not_installed_has_no_version(monkeypatch):
    """Neither a requirement that somebody left out nor the project itself, imported from a folder, ends a training."""
    here = version

    def absent(name):
        if name in ("wandb", "lincae"):
            raise PackageNotFoundError(name)
        return here(name)

    monkeypatch.setattr("lincae.provenance.version", absent)
    versions = provenance.__wrapped__()["versions"]
    assert versions["wandb"] is versions["lincae"] is None
    assert versions["lightning"] == here("lightning")

    monkeypatch.setattr("lincae.provenance.requires", absent)
    assert provenance.__wrapped__()["versions"]["lincae"] is None


def test_the_commit_is_that_of_the_project_and_says_whether_files_were_changed(tmp_path):
    folder = tmp_path / "project"
    (folder / "inside").mkdir(parents=True)
    assert commit_of(folder) is None
    git(folder, "init")
    (folder / "file").write_text("1")
    git(folder, "add", "file")
    git(folder, "commit", "-m", "first")
    git(folder, "tag", "-a", "v1", "-m", "v1")
    head = git(folder, "rev-parse", "HEAD")
    (folder / "new").write_text("not tracked")
    assert commit_of(folder) == head
    (folder / "file").write_text("2")
    assert commit_of(folder) == f"{head}-dirty"
    assert commit_of(folder / "inside") is None
    assert commit_of(tmp_path / "nowhere") is None
