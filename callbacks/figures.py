"""What every figure callback shares: metrics that collect over validation and are logged at its end."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lincae.evaluation import DecodedClips
from lincae.metrics import ClipTable, Summary


class Loader(IntEnum):
    """The validation data loaders: single clips, and tracks of several stems."""

    CLIPS = 0
    TRACKS = 1


class Figures(Callback):
    """Base of the figure callbacks: a subclass makes its metrics and fills them batch by batch.

    Batches are measured in the batch hooks because the averaged weights are in place only there.
    """

    loader: ClassVar[Loader] = Loader.CLIPS

    def __init__(self) -> None:
        self.metrics: Sequence[ClipTable] = ()

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        """The metrics for a set of so many clips or tracks, whose stems have these names."""
        raise NotImplementedError

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        """Update the metrics with one batch, already encoded and decoded."""
        raise NotImplementedError

    def compute(self) -> dict[str, Tensor]:
        """All figures by name."""
        return {name: value for metric in self.metrics for name, value in metric.compute().items()}

    def summaries(self, groups: Tensor) -> dict[str, Summary]:
        """All figures with their intervals over groups of clips, (clips,), such as tracks."""
        return {name: figure for metric in self.metrics for name, figure in metric.summaries(groups).items()}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule
        clips = data.validation_clips if self.loader == Loader.CLIPS else data.validation_tracks
        self.metrics = [m.to(pl_module.device) for m in self.make_metrics(clips, data.stems)]

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if dataloader_idx == self.loader:
            self.measure(outputs["clips"], batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log_dict({f"val/{name}": value.float() for name, value in self.compute().items()})
