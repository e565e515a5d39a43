"""Bad audio in the log."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from lincae.mixing import Batch


class RejectedAudio(Callback):
    """Logs what was of no use so far: `data/files_<reason>` in the scan, `data/crops_<reason>` in training.

    A data module without a `tally` rejects nothing that could be logged.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        tally = getattr(trainer.datamodule, "tally", None)
        if tally is None:
            return
        for what, counts in (("files", tally.files), ("crops", tally.crops)):
            for reason, count in counts.items():
                pl_module.log(f"data/{what}_{reason}", float(count))
