"""Hashes of what figures depend on."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lincae.cli.contents import code_of, object_hash
from lincae.cli.models import weights_hash
from lincae.stft import Spectrogram

ROOT = Path(__file__).parents[3]


class Wrapped:
    """A codec that is no module itself."""

    def __init__(self, bias=0.0, scale=1.0, table=(1, 2)):
        self.net, self.scale, self.table = nn.Linear(2, 2), scale, {"values": [*table]}
        nn.init.constant_(self.net.weight, 1.0)
        nn.init.constant_(self.net.bias, bias)
        self.again = self


def test_a_model_is_known_by_its_weights_and_by_its_settings():
    assert object_hash(Wrapped()) == object_hash(Wrapped())
    changed = [Wrapped(bias=1.0), Wrapped(scale=2.0), Wrapped(table=(1, 3)), Wrapped(table=(1, 2, 3))]
    assert len({object_hash(each) for each in [Wrapped(), *changed]}) == 5
    assert weights_hash(Spectrogram(alpha=0.65)) == weights_hash(Spectrogram(alpha=0.5))  # what this is more than
    assert object_hash(Spectrogram(alpha=0.65)) != object_hash(Spectrogram(alpha=0.5))


class Holding:
    """A model with something in an attribute."""

    def __init__(self, thing):
        self.thing = thing

    def scaled(self, x):
        return self.thing * x


def holdings():
    """Models whose attributes differ, of kinds that say little of themselves."""
    things = [torch.tanh, torch.relu, {"a", "b", "c"}, {"a", "b", "d"}, np.array(["a", "b"]), np.array(["a", "c"])]
    things += [np.array([1, None]), np.array([2, None]), torch.eye(2).to_sparse(), (2 * torch.eye(2)).to_sparse()]
    things += [partial(torch.clamp, min=0), partial(torch.clamp, min=1), {torch.tanh: 1}, {torch.relu: 1}]
    things += [Holding(2).scaled, Holding(3).scaled, np.random.default_rng(0)]
    return [Holding(thing) for thing in things]


def test_a_model_is_known_in_another_process_too():
    hashes = [object_hash(each) for each in holdings()]
    assert len({*hashes}) == len(hashes)
    code = f"from {__name__} import *; print(*[object_hash(each) for each in holdings()])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert other.stdout.split() == hashes


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes files of a package and gives the hash of the code of `pack.top`."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pack").mkdir()

    def write(**sources):
        for name, text in sources.items():
            (tmp_path / "pack" / f"{name}.py").write_text(text)
        __import__("pack.top")
        return code_of(["pack.top"])

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "pack"]:
        del sys.modules[name]


SOURCES = {
    "__init__": "from pack.beside import one\nfrom pack.unused import other\n",
    "top": "import json, einops\nfrom pack import one\nfrom .below import deep\ndef f():\n    from pack import late\n",
    "beside": "one = 1\n",
    "unused": "other = 1\n",
    "below": "deep = 1\n",
    "late": "late = 1\n",
}


def test_code_is_followed_through_imports_and_no_further(package):
    first = package(**SOURCES)
    assert first.packages.keys() == {"einops"}
    for name, counts in {"beside": True, "below": True, "late": True, "unused": False}.items():
        changed = package(**SOURCES | {name: SOURCES[name].replace("1", "2")})
        assert (changed.sha256 != first.sha256) == counts, name
        assert package(**SOURCES) == first


def test_comments_docstrings_and_layout_are_no_code(package):
    code = 'def f(a):\n    """Docstring."""\n    return a + 1\n'
    first = package(**SOURCES, more=code) and package(**SOURCES | {"below": code})
    other = code.replace("Docstring", "Another").replace("a + 1", "(a  +  1)  # a comment")
    assert package(**SOURCES | {"below": other}) == first
    assert package(**SOURCES | {"below": code.replace("+ 1", "+ 2")}) != first
