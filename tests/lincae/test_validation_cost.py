"""What a validation of the default configuration costs beside the training of its epoch."""

from pathlib import Path

import pytest
import yaml

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.cli.main import main

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "configs" / "tiny.yaml"


@pytest.fixture
def step_cost(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import cost

    return cost.step_cost()


@pytest.fixture
def segments(monkeypatch):
    """Training segments that are encoded and decoded, in a dictionary."""
    counted = {"encode": 0.0, "decode": 0.0}
    encode, decode = ConsistencyAutoencoder.encode, ConsistencyAutoencoder.decode

    def counting_encode(model, audio):
        counted["encode"] += len(audio) * model.spectrogram.frames(audio.shape[-1]) / 16
        return encode(model, audio)

    def counting_decode(model, latents, noise, steps=1):
        counted["decode"] += steps * len(latents) * model.time_stride * latents.shape[-1] / 16
        return decode(model, latents, noise, steps)

    monkeypatch.setattr(ConsistencyAutoencoder, "encode", counting_encode)
    monkeypatch.setattr(ConsistencyAutoencoder, "decode", counting_decode)
    return counted


def test_the_arithmetic_of_a_validation_is_far_below_three_percent(music, tmp_path, monkeypatch, segments, step_cost):
    """Counted with 2 clips and 2 tracks; the default has 16 times as many clips and 8 times as many tracks.

    An epoch has 25,000 steps, so even at a fiftieth of the speed of training, in float32 and uncompiled, a validation
    stays below the limit.
    """
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", str(TINY), f"--data.train={music}", "--trainer.max_steps=1"])
    assert segments["encode"] > 4 + 4  # the clips and the tracks' stems, besides the step
    default = yaml.safe_load((ROOT / "configs" / "lincae.yaml").read_text())["data"]["init_args"]
    assert (default["validation_clips"], default["validation_tracks"], default["batch_size"]) == (32, 16, 20)
    a_segment = {
        "encode": step_cost["encoder"][0] / 20,
        "decode": (step_cost["pyramid"][0] + step_cost["teacher"][0]) / 40,
    }
    validation = sum(16 * segments[task] * a_segment[task] for task in segments)
    epoch = default["steps_per_epoch"] * sum(map(sum, step_cost.values()))
    print(f"{segments} segments; a validation is at most {validation / epoch:.2%} of its epoch")
    assert validation < 0.03 / 50 * epoch
