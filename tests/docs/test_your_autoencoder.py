"""The documents' foreign model, taken from the page: class, retrofit, report, and use of the result."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lincae.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "your-autoencoder.md"


@pytest.mark.slow
def test_the_documented_model_is_retrofitted(tmp_path, monkeypatch):
    python, use = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (command,) = re.findall(r"^lincae (retrofit .*)$", PAGE.read_text(), re.MULTILINE)[:1]
    (tmp_path / "my_codec.py").write_text(python)
    (tmp_path / "music").mkdir()
    rng = np.random.default_rng(0)
    for number in range(32):
        soundfile.write(tmp_path / "music" / f"{number}.wav", 0.1 * rng.standard_normal(4000), 16_000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")  # of the trainings, which run in other folders
    from my_codec import MyCodec

    torch.save(MyCodec().state_dict(), "my_codec.pt")
    main([*command.split(), "--steps=2", "--excerpts=1"])
    page = tmp_path / "retrofitted" / "evaluation" / "report" / "index.html"
    assert all(name in page.read_text() for name in ("before", "control", "after"))
    names: dict = {}
    exec(use, names)
    assert names["mix"].shape == (1, 16_000)
    assert isinstance(names["model"].autoencoder, MyCodec)
