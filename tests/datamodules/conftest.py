from pathlib import Path

import numpy as np
import pytest
import soundfile


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
