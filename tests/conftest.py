"""Audio on disk and the command line, for tests of the whole."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

torch.set_num_threads(1)

TINY = Path(__file__).parent / "configs" / "tiny.yaml"


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wav, flac, mp3 and ogg files of different rates, lengths and channel counts, and a corrupt one."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    shapes = {"a.wav": (44_100, 1, 4), "b/c.flac": (48_000, 2, 5), "d.mp3": (44_100, 2, 6), "e.ogg": (22_050, 1, 7)}
    for name, (rate, channels, seconds) in shapes.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        time = np.arange(rate * seconds)[:, None] / rate
        tone = 0.2 * np.sin(2 * np.pi * rng.uniform(200, 900, channels) * time)
        soundfile.write(path, tone + 0.02 * rng.standard_normal(tone.shape), rate)
    (folder / "broken.wav").write_text("this is not audio")
    return folder


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Runs `lincae fit` in a process, in an empty working directory, by default with the tiny configuration."""

    def run(*arguments: str, config: str = str(TINY), check: bool = True, **environment: str):
        command = [sys.executable, "-m", "lincae.cli.main", "fit", "--config", config, *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        env = {**inherited, "OMP_NUM_THREADS": "1", "WANDB_SILENT": "true", **environment}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done

    return run
