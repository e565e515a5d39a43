"""The figures of every validation in a file of the run, whatever its logger."""

from __future__ import annotations

import json
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from lincae.report.results import finite


class FiguresFile(Callback):
    """Appends a line to `figures.jsonl` in the run's folder after each validation: `step` and all figures by name.

    A run that is resumed goes on in the same file; of two lines for a step the later one counts.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "figures.jsonl").open("a") as stream:
            stream.write(json.dumps(finite({"step": trainer.global_step, **figures})) + "\n")
