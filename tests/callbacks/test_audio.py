"""Sounds in the logger, read back from what the logger wrote."""

import io

import numpy as np
import pytest
import soundfile
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.data import DataLoader

from callbacks import AudioSamples
from lincae.evaluation import DecodedClips
from lincae.streams import Draws

RATE, MARGIN, SAMPLES, FRAME, CLIPS = 8000, 16, 1024, 16, 5


def clip(index: int) -> Tensor:
    """A tone of its own pitch for each clip, (T,)."""
    return 0.8 * torch.sin(0.05 * (index + 1) * torch.arange(SAMPLES))


class HalfLevel:
    """Decodes at half the level."""

    sample_rate, margin = RATE, MARGIN

    def encode(self, audio: Tensor) -> Tensor:
        return audio.unflatten(-1, (FRAME, -1))

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        return None

    def decode(self, latents: Tensor, noise: None, steps: int = 1) -> Tensor:
        return 0.5 * latents.flatten(1)


class Decoding(LightningModule):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return {"clips": DecodedClips.of(HalfLevel(), batch["audio"], batch["index"])}


def loaders() -> list[DataLoader]:
    """Clips in batches of 3, and tracks that no sound is to come from."""
    clips = [{"audio": clip(i), "index": i} for i in range(CLIPS)]
    tracks = [{"audio": torch.zeros(SAMPLES), "index": i} for i in range(3)]
    return [DataLoader(clips, 3), DataLoader(tracks, 3)]


@pytest.mark.parametrize(("clips", "logged"), [(2, 2), (4, 3)])  # never more than the first batch holds
def test_tensorboard_holds_the_first_clips_and_their_decodes(tmp_path, clips, logged):
    trainer = Trainer(
        accelerator="cpu",
        logger=TensorBoardLogger(tmp_path, name="", version="run"),
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[AudioSamples(clips)],
    )
    trainer.validate(Decoding(), loaders(), verbose=False)
    trainer.logger.experiment.flush()
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"audio": 0}).Reload()
    levels = {"original": 1.0, "decoded": 0.5}
    assert set(events.Tags()["audio"]) == {f"audio/{i}/{kind}" for i in range(logged) for kind in levels}
    for i in range(logged):
        for kind, level in levels.items():
            (event,) = events.Audio(f"audio/{i}/{kind}")
            assert (event.sample_rate, event.length_frames) == (RATE, SAMPLES - 2 * MARGIN)
            sound, rate = soundfile.read(io.BytesIO(event.encoded_audio_string))
            assert rate == RATE
            np.testing.assert_allclose(sound, level * clip(i)[MARGIN:-MARGIN], atol=2**-14)


def test_wandb_holds_original_and_decoded_clips_of_every_validation(fit, music, tmp_path):
    fit(
        f"--data.train={music}",
        "--trainer.logger=lightning.pytorch.loggers.WandbLogger",
        "--trainer.logger.offline=true",
        "--trainer.max_steps=2",
        "--data.steps_per_epoch=1",
        "--data.validation_clips=3",  # in batches of 2, of which the first is logged
    )
    (media,) = (tmp_path / "wandb").glob("offline-run-*/files/media/audio/audio")
    sounds = {kind: sorted(media.glob(f"*/{kind}_*.wav")) for kind in ("original", "decoded")}
    assert sorted(path for paths in sounds.values() for path in paths) == sorted(media.rglob("*.wav"))
    for paths in sounds.values():
        assert sorted(path.parent.name for path in paths) == ["0", "0", "1", "1"]
        for path in paths:
            info = soundfile.info(path)
            assert (info.samplerate, info.channels) == (44_100, 1)
            assert info.frames == 2432 - 2 * (512 - 128)  # without the margins
