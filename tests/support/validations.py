"""Validations in one or several processes, on an autoencoder that no metric is perfect or constant on."""

import warnings
from collections.abc import Sequence

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from callbacks import (
    AdditivityFigures,
    EmbeddingFigures,
    HomogeneityFigures,
    MixingFigures,
    ReconstructionFigures,
    RemovalFigures,
    SeparationFigures,
)
from datamodules import AudioDataModule
from lincae.module import ImplicitLinearity

RATE, SAMPLES, FRAME = 16_000, 2048, 16


class Bent(nn.Module):
    """Latents are frames of audio, a little bent; decodes have noise of their own."""

    sample_rate, margin = RATE, 0

    def encode(self, audio: Tensor) -> Tensor:
        return torch.tanh(2 * audio.unflatten(-1, (FRAME, -1))) + 0.01

    def sample_noise(self, latents, draws, steps=1):
        return draws.normal("noise", *latents.shape)

    def decode(self, latents, noise, steps=1):
        return (0.5 * latents + 0.02 * noise).flatten(1)


def metrics(sounds: str, clips: int, tracks: int, batch_size: int = 2, processes: int = 1) -> dict[str, float]:
    """All that the callbacks of metrics log in one validation, in this process."""
    data = AudioDataModule(
        validation=sounds,
        sample_rate=RATE,
        samples=SAMPLES,
        validation_clips=clips,
        validation_tracks=tracks,
        sources_per_track=3,
        validation_batch_size=batch_size,
        num_workers=0,
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            ReconstructionFigures(),
            HomogeneityFigures(),
            MixingFigures(),
            EmbeddingFigures(),
            AdditivityFigures(curve=True),
            SeparationFigures(by_sum=True),
            RemovalFigures(),
        ],
    )
    trainer.validate(ImplicitLinearity(Bent()), data, verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def metrics_of_all(sounds: str, sets: Sequence[tuple[int, int]], processes: int) -> list[dict[str, float]]:
    """The metrics of several sets of clips and tracks, one after the other."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    return [metrics(sounds, clips, tracks, processes=processes) for clips, tracks in sets]
