import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "start.py"


@pytest.mark.filterwarnings("ignore")
def test_every_cost_of_a_start_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--files=48"])
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # and put back
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found = json.loads(capsys.readouterr().out)
    assert found.pop("files") == 48
    assert all(seconds > 0 for seconds in found.values())
    assert found["second start, s"] < found["first start, s"] * 2
