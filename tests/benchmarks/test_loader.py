import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import Dataset

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "loader.py"
SAMPLES = 4_096


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("loader_benchmark", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run: its results and the folder of its audio."""
    folder = tmp_path_factory.mktemp("run")
    arguments = "--samples 4096 8192 --workers 0 1 --runs 2 --seconds 0.02 --steps 2 --step-seconds 0.02"
    command = [sys.executable, str(SCRIPT), *arguments.split(), "--files=2", "--minutes=0.1", f"--folder={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), folder / "2-files-of-0.1-minutes"


@pytest.mark.slow
def test_every_case_is_measured(run):
    results, _ = run
    cases = {(row["format"], row["samples"], row["workers"], row["way"]) for row in results["rates"]}
    assert len(cases) == len(results["rates"]) == 4 * 2 * 2 + 3 * 2 * 2
    assert {way for kind, _, _, way in cases if kind == "shards"} == {"ours"}
    for row in results["rates"]:
        assert 0 < row["per_core"][0] <= row["per_core"][1]
        assert 0 < row["per_second"][0] <= row["per_second"][1]
    medians = {tuple(row.values())[:4]: row["per_core"][1] for row in results["rates"]}
    assert [(row["samples"], row["workers"]) for row in results["ratios"]] == [
        (4096, 0),
        (4096, 1),
        (8192, 0),
        (8192, 1),
    ]
    row = results["ratios"][2]
    assert row["flac, ours / published"] == medians["flac", 8192, 0, "ours"] / medians["flac", 8192, 0, "published"]
    assert row["ours, shards / mp3"] == medians["shards", 8192, 0, "ours"] / medians["mp3", 8192, 0, "ours"]
    assert len(results["waits"]) == (4 + 3) * 2
    assert all(row["samples"] == 4096 and 0 <= row["share"] < 1 for row in results["waits"])
    assert results["versions"].keys() == {"python", "libsndfile", "numpy", "soundfile", "torch"}


@pytest.mark.slow
def test_audio_is_what_the_page_says(run):
    _, folder = run
    for kind, subtype in (("wav", "PCM_16"), ("flac", "PCM_16"), ("mp3", "MPEG_LAYER_III")):
        files = sorted((folder / kind).iterdir())
        assert len(files) == 2
        for file in files:
            info = soundfile.info(file)
            assert (info.samplerate, info.channels, info.frames, info.subtype) == (44_100, 2, 6 * 44_100, subtype)
            audio = soundfile.read(file)[0]
            assert np.abs(audio).max() < 1
            assert np.sqrt((audio.reshape(-1, 4_410, 2) ** 2).mean(1)).min() > 0.02  # each tenth of a second
            assert np.corrcoef(audio.T)[0, 1] < 0.9
    # a frame of 1,152 samples at 320 kbit/s has 1,044 or 1,045 bytes
    frames = (folder / "mp3" / "0.mp3").stat().st_size / 1_044.9
    assert frames == pytest.approx(6 * 44_100 / 1_152, abs=4)


@pytest.mark.parametrize("workers", [0, 2])
def test_published_way_reads_means_of_random_places(bench, tmp_path, workers):
    rng = np.random.default_rng(0)
    sounds = []
    for name in ("a.wav", "b.flac"):
        noise = rng.integers(-(2**15), 2**15, (30_000, 2)).astype(np.int16)
        noise[:10_000] = 1  # silent
        soundfile.write(tmp_path / name, noise, 44_100)
        sounds.append(noise.astype(float).mean(1) / 2**15)
    places = []
    for batch in bench.loader(bench.PublishedCrops(tmp_path, SAMPLES), workers, [range(20)] * 4):
        assert batch.shape == (20, SAMPLES)
        assert batch.dtype == torch.float32
        places.append([place(crop.double().numpy(), sounds) for crop in batch])
    assert len({found for batch in places for found in batch}) > 70  # of 80: workers do not draw the same
    assert {file for batch in places for file, _ in batch} == {0, 1}
    starts = [start for batch in places for _, start in batch]
    # uniform where a crop is not silent throughout: from 10000 - 4096 to 30000 - 4096
    assert min(starts) > 10_000 - SAMPLES
    assert np.mean(starts) == pytest.approx((40_000 - 2 * SAMPLES) / 2, abs=4 * 20_000 / np.sqrt(12 * 80))


def place(crop: np.ndarray, sounds: list[np.ndarray]) -> tuple[int, int]:
    """The file and the sample at which a crop begins; fails unless there is exactly one."""
    windows = [np.lib.stride_tricks.sliding_window_view(sound, len(crop)) for sound in sounds]
    tail = [np.flatnonzero(np.abs(window[:, -1] - crop[-1]) < 1e-6) for window in windows]
    (found,) = [
        (file, int(start))
        for file, starts in enumerate(tail)
        for start in starts
        if np.allclose(windows[file][start], crop, rtol=0, atol=1e-6)
    ]
    return found


class Work(Dataset):
    """Items that take a known time: of the processor, and of sleep."""

    def __init__(self, cpu: float, sleep: float) -> None:
        self.cpu, self.sleep = cpu, sleep

    def __getitem__(self, index: int) -> torch.Tensor:
        start = time.thread_time()
        while time.thread_time() - start < self.cpu:
            pass
        time.sleep(self.sleep)
        return torch.zeros(1)


@pytest.mark.slow  # by the clock: not beside other tests
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_rates_count_the_processor_of_all_processes(bench, workers):
    found = bench.rate(bench.loader(Work(cpu=0.001, sleep=0.001), workers, [range(bench.BATCH)] * 20))
    assert 600 < found.per_core < 1_000  # a worker's start takes its share
    assert found.per_second < 500 * max(workers, 1)


def test_batches_until_a_time(bench):
    def slow():
        while True:
            time.sleep(0.01)
            yield [0]

    assert len(list(bench.until(0.0, slow()))) == 1
    assert 2 <= len(list(bench.until(0.1, slow()))) <= 11


@pytest.mark.slow  # by the clock: not beside other tests
@pytest.mark.parametrize(("workers", "low", "high"), [(0, 0.4, 0.65), (1, 0.0, 0.2)])
def test_share_of_waiting(bench, workers, low, high):
    batches = bench.loader(Work(cpu=0, sleep=0.003), workers, [range(bench.BATCH)] * 6)
    assert low <= bench.waited(batches, step_seconds=0.06 if workers == 0 else 0.12) < high
