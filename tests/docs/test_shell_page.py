"""Every command and the example of the page on the shell, and those of the README, run on a small run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.cli.main import COMMANDS, main
from lincae.networks.sizes import NetworkSizes
from lincae.settings import settings_of
from lincae.stft import Spectrogram

PROJECT = Path(__file__).parents[2]
MARK = "<!-- run by tests/docs/test_shell_page.py -->\n"


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """The run and the sounds that the pages name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    sizes = NetworkSizes(widths=(4, 8), strides=((2, 2),), attention=(False, True), latents=3, bottleneck=8)
    autoencoder = SpectralAutoencoder(Spectrogram(hop=64, window=256), sizes)
    weights = {f"autoencoder.{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    config = {"model": {"init_args": {"autoencoder": settings_of(autoencoder)}}}
    for folder in ("runs/demo/lin-cae/checkpoints", "album"):
        Path(folder).mkdir(parents=True)
    torch.save({"config": config, "state_dict": weights}, "runs/demo/lin-cae/checkpoints/last.ckpt")
    for seed, name in enumerate(("bass.wav", "drums.wav", "vocals.wav", "mixture.wav", "album/track.mp3")):
        soundfile.write(name, 0.1 * np.random.default_rng(seed).standard_normal((9000, 2)), 44_100)


def run(commands):
    for line in commands.splitlines():
        name, *arguments = shlex.split(line)
        assert name == "lincae"
        assert arguments[0] in COMMANDS
        main(arguments)


def test_the_commands_of_the_page(capsys):
    page = (PROJECT / "docs" / "shell.md").read_text()
    first, example, last = re.search(
        rf"{MARK}```bash\n(.*?)```.*?```python\n(.*?)```\n\n```bash\n(.*?)```", page, re.DOTALL
    ).groups()
    run(first)
    for file in ("decoded/track.wav", "mix.wav", "rest.wav"):
        assert soundfile.info(file).frames == 9000
    exec(example)
    assert torch.equal(2 * load_file("quiet.safetensors")["latents"], load_file("latents/track.safetensors")["latents"])
    run(last)
    assert soundfile.info("quiet.flac").channels == 2

    out = capsys.readouterr().out
    for block in re.findall(r"^\$ .*\n((?:[^$`].*\n)+)", page, re.MULTILINE):
        told = re.sub(r"-?\d+\.\d+ dB, MSS \d\.\d+", "NUMBERS", block)
        assert told in re.sub(r"-?\d+\.\d+ dB, MSS \d\.\d+", "NUMBERS", out)


def test_the_page_names_every_option(capsys):
    page = (PROJECT / "docs" / "shell.md").read_text()
    for command in ("encode", "decode", "mix", "separate", "export"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--output"}
        assert {option for option in options if option not in page} == set()


def test_the_commands_of_the_readme():
    run(re.search(rf"{MARK}```bash\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL).group(1))
    assert soundfile.info("mix.wav").frames == soundfile.info("decoded/track.wav").frames == 9000
