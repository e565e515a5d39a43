import multiprocessing
import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile

BAD_FILES = runpy.run_path(str(Path(__file__).with_name("bad_audio.py")))["BAD_FILES"]


@pytest.fixture
def write_noise(tmp_path):
    """Writes white noise of rms 0.1 to a path below tmp_path and returns it as (T, channels)."""

    def write(path: str, seconds: float = 1.0, rate: int = 16_000, channels: int = 1, seed: int = 0) -> np.ndarray:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)).astype(np.float32)
        soundfile.write(file, noise, rate, subtype="FLOAT" if Path(path).suffix == ".wav" else None)
        return noise

    return write


@pytest.fixture
def told_by_two():
    """Runs a function (rank, *arguments, queue of answers) in two processes; what each answers, sorted."""

    def run(function, *arguments):
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        processes = [context.Process(target=function, args=(rank, *arguments, answers)) for rank in range(2)]
        for process in processes:
            process.start()
        told = sorted(answers.get(timeout=60) for _ in processes)
        for process in processes:
            process.join(60)
        return told

    return run


@pytest.fixture(scope="session")
def bad_audio():
    """Name -> (builder, reason at the scan, reason at full decoding); a builder takes the path to write to."""
    return BAD_FILES


@pytest.fixture(params=BAD_FILES)
def bad_file(request, tmp_path):
    """Each bad file in turn: its path, the reason at the scan and the reason at full decoding."""
    build, scan, decoding = BAD_FILES[request.param]
    build(tmp_path / request.param)
    return str(tmp_path / request.param), scan, decoding
