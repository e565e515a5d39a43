"""Bad audio in the log."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from lincae.mixing import Batch


class RejectedAudio(Callback):
    """Logs `data/rejected_<reason>`: how many files and crops the data module had to replace so far."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        for reason, count in trainer.datamodule.rejected.items():
            pl_module.log(f"data/rejected_{reason}", float(count))
