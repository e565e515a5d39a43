"""The benchmark of inference, where all ways must agree on what they compute."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "inference.py"


@pytest.mark.slow
def test_it_times_ways_that_decode_the_same_sound():
    command = [sys.executable, str(SCRIPT), "--seconds", "0.2", "--runs", "1", "--device", "cpu", "--no-bf16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    results = json.loads(done.stdout.splitlines()[-1])
    assert set(results["ways"]) == {"linear-cae, float32", "float32"}
    assert results["ways"]["linear-cae, float32"]["snr"] > 80  # the same noise and weights
    for way in results["ways"].values():
        for task in ("encode", "decode"):
            assert 0 < way[task]["min"] <= way[task]["median"]
            assert way[task]["ratio"] > 0
