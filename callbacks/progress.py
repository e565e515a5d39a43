"""The progress bar of a training."""

from __future__ import annotations

from lightning.pytorch.callbacks import TQDMProgressBar


class Progress(TQDMProgressBar):
    """One bar per epoch, with the steps taken and planned, the loss and the clips per second.

    Args:
        refresh_rate: batches between updates of the bar.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def get_metrics(self, trainer, pl_module) -> dict[str, int | str | float | dict[str, float]]:
        """Step, loss, clips per second without the names of their groups, and replaced crops once there are any."""
        shown = {name.split("/")[-1]: value for name, value in trainer.progress_bar_metrics.items()}
        tally = getattr(trainer.datamodule, "tally", None)  # of another data module there is none
        return {"step": f"{trainer.global_step}/{trainer.max_steps}", **shown, **(tally.crops if tally else {})}
