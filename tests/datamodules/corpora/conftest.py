from collections.abc import Iterable
from pathlib import Path

import pytest


@pytest.fixture
def lay_out(tmp_path):
    """Makes empty files below a folder and returns the folder: recipes go by names, not by audio."""

    def make(paths: Iterable[str]) -> Path:
        for path in paths:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path

    return make
