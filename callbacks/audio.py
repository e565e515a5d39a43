"""Sounds in the logger."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from callbacks.figures import Loader
from lincae.evaluation import DecodedClips


class AudioSamples(Callback):
    """Logs original and decoded validation clips to W&B or TensorBoard, whichever is the logger.

    TensorBoard plays one channel, the mean of all.

    Args:
        clips: how many of the first batch's clips.
    """

    def __init__(self, clips: int = 4) -> None:
        self.clips = clips

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or dataloader_idx != Loader.CLIPS or not trainer.is_global_zero or trainer.sanity_checking:
            return
        clips: DecodedClips = outputs["clips"]
        for i in range(min(self.clips, len(clips.index))):
            for kind, audio in (("original", clips.audio[i]), ("decoded", clips.decoded[i])):
                self._log(
                    trainer, f"audio/{i}/{kind}", clips.playable(audio).float().cpu(), clips.autoencoder.sample_rate
                )

    @staticmethod
    def _log(trainer: Trainer, name: str, audio: Tensor, sample_rate: int) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_audio(name, [audio.numpy()], step=trainer.global_step, sample_rate=[sample_rate])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_audio(
                    name, audio.reshape(1, len(audio), -1).mean(dim=-1), trainer.global_step, sample_rate
                )
