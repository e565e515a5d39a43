"""Evaluations made by hand, as `lincae evaluate` writes them."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from lincae.report.latents import write_latents
from lincae.report.results import Results, write_results
from lincae.report.sounds import write_excerpt_sounds

GAINS, CURVE = [0.25, 0.5, 0.75, 1.1], [-1.0, -0.5, 0.25, 0.5, 0.75, 1.0, 1.1, 2.0]
STEMS = ("bass", "drums", "lead-vocals", "other")


class Toy(nn.Module):
    """Latents are the waveform; the decoder multiplies by a constant."""

    margin = 0

    def __init__(self, factor: float = 1.0, sample_rate: int = 16_000) -> None:
        super().__init__()
        self.factor, self.sample_rate = factor, sample_rate

    def encode(self, audio):
        return audio[:, None]

    def sample_noise(self, latents, draws, steps=1):
        return None

    def decode(self, latents, noise, steps=1):
        return self.factor * latents[:, 0]


def of_clips(curve=CURVE) -> list[str]:
    """Names of the figures of the protocol `clips`."""
    homogeneity = ["decoder/homogeneity_mss", "decoder/homogeneity_snr", "encoder/homogeneity_error"]
    mixing = ["mixing/truth_si_sdr", "mixing/mix_rate"]
    return [
        *(f"reconstruction/{figure}" for figure in ("mss", "snr", "si_sdr")),
        *(f"{name}/{figure}" for name in ("shuffled", "floor") for figure in ("mss", "snr")),
        *(name + suffix for suffix in ("", "_centered", "_dcentered") for name in homogeneity),
        *(f"{name}{suffix}/a{a:.2f}" for suffix in ("", "_centered") for name in homogeneity for a in curve),
        *mixing,
        *(f"{name}/r{ratio:.2f}" for name in mixing for ratio in (0.1, 0.5, 0.9)),
        *("kad_logmel", "fad_logmel", "a figure/of the future"),
    ]


def of_stems() -> list[str]:
    """Names of the figures of the protocol `stems`."""
    additivity = [f"decoder/additivity{t}_{f}" for t in ("", "_self", "_sum") for f in ("mss", "snr")]
    return [
        *of_clips(),
        *(n + s for s in ("", "_centered", "_dcentered") for n in [*additivity, "encoder/additivity_error"]),
        *(f"{name}/k{stems}" for name in [*additivity, "encoder/additivity_error"] for stems in (2, 3, 4)),
        *(f"separation/{stem}_{f}" for stem in STEMS for f in ("mss", "si_sdr", "mss_all", "leakage_dbfs", "inactive")),
        *("separation/mss", "separation/si_sdr", "separation_sum/bass_mss", "removal/si_sdr", "removal/tax"),
    ]


def made_up(names, seed: int, excerpts: int = 7) -> Results:
    """Random figures of so many excerpts, all different."""
    normal = torch.randn(len(names), excerpts, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    clips = dict(zip(names, (10.0 ** (normal.clamp(-2, 2) / 2)).tolist(), strict=True))
    results = Results(f"{seed:064x}", 16_000, 32_000)
    results.clips = clips
    results.figures = {name: sum(values) / excerpts for name, values in clips.items()}
    results.intervals = {name: (0.8 * mean, 1.3 * mean) for name, mean in results.figures.items()}
    results.counts = dict.fromkeys(names, excerpts)
    results.excerpts = [(f"album/track {number}", 32_000 * number) for number in range(excerpts)]
    return results


def absent(results: Results, name: str) -> None:
    """No excerpt has a figure."""
    results.figures[name] = math.nan
    results.intervals[name] = (math.nan, math.nan)
    results.clips[name] = [math.nan] * len(results.excerpts)
    results.counts[name] = 0


def protocol(kind: str = "clips", **settings) -> dict:
    """Settings as in `results.json`."""
    return {
        "protocol": kind,
        "data": "music",
        "seconds": 2.0,
        "excerpts": None,
        "batch_size": 4,
        "gains": GAINS,
        "curve": CURVE,
        "embeddings": {"logmel": "e" * 64},
        "noise_seed": 1,
        "device": "cpu",
        "versions": {"lincae": "0.1.0", "torch": "2.11.0"},
        **settings,
    }


def write_sounds(folder: Path, models=("lin-cae", "baseline"), seconds: float = 0.5) -> None:
    """Sounds and latents of four stems under the models, at 16 and 24 kHz in turn, with a made-up map."""
    autoencoders, stems = {}, {}
    for number, name in enumerate(models):
        autoencoders[name] = Toy(1 - 0.5 * (number % 2), (16_000, 24_000)[number % 2])
        time = torch.arange(int(seconds * autoencoders[name].sample_rate)) / autoencoders[name].sample_rate
        stems[name] = {stem: 0.3 * torch.sin(2 * math.pi * 220 * (k + 1) * time) for k, stem in enumerate(STEMS)}
    write_excerpt_sounds(folder, "album/track <1>", 12.5, autoencoders, stems)
    write_latents(folder, "album/track <1>", 12.5, autoencoders, stems)
    latents = json.loads((folder / "latents.json").read_text())
    frames = [[float(k), float(k * k % 7)] for k in range(20)]
    latents["maps"] = {"tsne": {name: {"sources": dict.fromkeys(STEMS, frames), "mix": frames} for name in models}}
    (folder / "latents.json").write_text(json.dumps(latents))


@pytest.fixture(name="made_up")
def make_made_up():
    """A function that makes random figures of some names."""
    return made_up


@pytest.fixture(name="protocol")
def make_protocol():
    """A function that makes settings as in `results.json`."""
    return protocol


@pytest.fixture
def sounds():
    """A function that writes sounds and latents of made-up stems under models into a folder."""
    return write_sounds


@pytest.fixture(scope="session")
def everything(tmp_path_factory) -> dict[str, Path]:
    """Evaluations with every figure, of clips and of stems, these with sounds and latents; kind -> `results.json`."""
    files = {}
    for kind, names in (("clips", of_clips()), ("stems", of_stems())):
        folder = tmp_path_factory.mktemp(kind)
        found = {name: made_up(names, number) for number, name in enumerate(("lin-cae", "baseline"))}
        absent(found["lin-cae"], "mixing/mix_rate")
        found["lin-cae"].figures["floor/snr"] = math.nan  # although the excerpts have it: one of them diverged
        found["lin-cae"].unreadable = ["album/track 3 at sample 96000: no <audio> & nothing else"]
        write_results(folder, found, protocol(kind))
        files[kind] = folder / "results.json"
    write_sounds(files["stems"].parent)
    return files


@pytest.fixture
def evaluation(tmp_path: Path):
    """A function that writes `FOLDER/results.json` with a few made-up figures and gives the file."""

    def make(folder: str, models=("lin-cae", "baseline"), kind: str = "clips", seed: int = 1, **settings) -> Path:
        names = ["reconstruction/mss", "reconstruction/snr"]
        found = {name: made_up(names, seed + number) for number, name in enumerate(models)}
        write_results(tmp_path / folder, found, protocol(kind, **settings))
        return tmp_path / folder / "results.json"

    return make
