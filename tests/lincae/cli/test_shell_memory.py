"""What the shell's commands hold in memory grows by the audio alone."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from lincae import Autoencoder
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.networks.sizes import NetworkSizes

RATE = 16_000

PEAK = """
import re, sys
from pathlib import Path
from lincae.cli.main import main
main(sys.argv[1:])
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""
"""`ru_maxrss` would not do: a process inherits there what the one that started it held."""


def peak(*arguments):
    """Bytes that a command holds at most."""
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


@pytest.mark.slow
def test_memory_grows_by_the_audio_alone(tmp_path):
    """By a half more in a decode: one channel is joined from its chunks before it goes to its place."""
    sizes = NetworkSizes(widths=(4, 8), strides=((2, 2),), attention=(False, True), latents=3, bottleneck=8)
    Autoencoder(SpectralAutoencoder(sizes=sizes, sample_rate=RATE)).save_pretrained(tmp_path / "model")
    encoding, decoding = [], []
    for minutes in (1, 16):
        noise = 0.1 * np.random.default_rng(0).standard_normal((60 * minutes * RATE, 2)).astype(np.float32)
        soundfile.write(tmp_path / "a.wav", noise, RATE)
        z, model = tmp_path / f"{minutes}.safetensors", tmp_path / "model"
        encoding.append(peak("encode", tmp_path / "a.wav", "-o", z, "--model", model))
        decoding.append(peak("decode", z, "-o", tmp_path / f"{minutes}.flac"))
    audio = 15 * 60 * RATE * 2 * 4
    assert encoding[1] - encoding[0] < 1.25 * audio
    assert decoding[1] - decoding[0] < 1.75 * audio
