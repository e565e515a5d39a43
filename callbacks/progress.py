"""The progress bar of a training."""

from __future__ import annotations

from lightning.pytorch.callbacks import TQDMProgressBar

SHOWN = ("train/loss", "train/clips_per_second")


class Progress(TQDMProgressBar):
    """One bar per epoch, with the steps taken and planned, the loss and the clips per second.

    Args:
        refresh_rate: batches between updates of the bar.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def get_metrics(self, trainer, pl_module) -> dict[str, int | str | float | dict[str, float]]:
        """Step, loss, clips per second, and replaced crops once there are any.

        Lightning's own entries (`prog_bar=True`) are fetched from the device at each batch; these at each update.
        """
        logged = trainer.callback_metrics
        shown = {name.split("/")[-1]: logged[name].item() for name in SHOWN if name in logged}
        tally = getattr(trainer.datamodule, "tally", None)  # of another data module there is none
        return {"step": f"{trainer.global_step}/{trainer.max_steps}", **shown, **(tally.crops if tally else {})}
