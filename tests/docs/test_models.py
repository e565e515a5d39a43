"""Every MODEL that the documents name is loaded, or refused with what is missing."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from lincae.autoencoders.controls import Identity
from lincae.cli.main import COMMANDS
from lincae.cli.models import CONTROLS, load_model
from lincae.settings import settings_of

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
OPTIONS = r"(?:--model|--like|--model\.init_from)[ =](\S+)"


def named_models():
    """What stands for a model in the tables of sources and in the command lines, in the order of the pages."""
    for page in PAGES:
        text = re.sub(r"\\\n\s*", " ", page.read_text())
        for table in re.findall(r"\| (?:MODEL|source) \| what it is \|\n\|[-|]+\|\n((?:\|.*\n)+)", text):
            for row in table.splitlines():
                yield from re.findall(r'`"?([^`"]+)"?`', row.split("|")[1])
        for line in re.findall(r"^(?:\$ )?lincae (.*)", text, re.MULTILINE):
            words = shlex.split(line, comments=True)
            if words[0] in ("evaluate", "retrofit", "export"):
                stop = next((n for n, word in enumerate(words) if n and word.startswith("-")), len(words))
                yield from words[1 : min(stop, 2) if words[0] != "evaluate" else stop]
            yield from re.findall(OPTIONS, line)


MODELS = sorted({model for model in named_models() if model not in COMMANDS} - {"NAME=MODEL", "SOURCE"})


def test_the_pages_name_models_of_all_kinds():
    for kind in ("runs/lin-cae", "identity", "lin-cae", "stable-audio-vae:FOLDER", "package.module.Class"):
        assert kind in MODELS


@pytest.mark.parametrize("model", MODELS)
def test_a_documented_model_is_loaded_or_refused_with_what_is_missing(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    name, _, place = model.rpartition("=") if "/" not in model.partition("=")[0] else ("", "", model)
    if place.startswith("runs/"):  # a run of the exact control in its place
        file = Path(place) if place.endswith(".ckpt") else Path(place, "checkpoints", "last.ckpt")
        file.parent.mkdir(parents=True)
        config = {"model": {"init_args": {"autoencoder": settings_of(Identity(512))}}}
        torch.save({"config": config, "state_dict": {}}, file)
        loaded = load_model(model, 44_100)
        assert isinstance(loaded.model, Identity)
        assert loaded.name.startswith(name or Path(place.partition("/checkpoints")[0]).name)
    elif place in CONTROLS:
        assert load_model(model, 44_100).name == model
    else:
        with pytest.raises((ValueError, OSError, ImportError)) as refused:
            load_model(model, 44_100)
        assert place.rpartition(":")[2].split(".")[0] in str(refused.value)
