"""The LightningModule: one training step for any autoencoder, and the schedules over a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer, RAdam
from torch.optim.lr_scheduler import LambdaLR

from lincae.compilation import Compilation
from lincae.devices import usable
from lincae.ema import EMA, AveragedWeights
from lincae.evaluation import DecodedClips
from lincae.host_memory import keep_freed_memory
from lincae.initial_weights import misfits, take_weights
from lincae.mixing import Batch
from lincae.networks.blocks import recompute_blocks
from lincae.pretrained import load_pretrained
from lincae.provenance import provenance
from lincae.schedules import GainSchedule, LearningRateSchedule
from lincae.step import take_step
from lincae.weight_order import order_weights

OptimizerCallable = Callable[[Iterable], Optimizer]


def reference_optimizer(parameters: Iterable) -> Optimizer:
    """RAdam with the reference's settings."""
    return RAdam(parameters, lr=1e-4, betas=(0.9, 0.999))


def mean_over_processes(value: Tensor, processes: int) -> Tensor:
    """The mean of a number over all processes, queued on the device.

    The logger's `sync_dist` has a barrier before, where the host would wait.
    """
    if processes == 1:
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / processes


class ImplicitLinearity(LightningModule):
    """Trains an autoencoder to decode mixed latents into equally mixed audio (Lin-CAE, arXiv 2510.23530).

    It knows the autoencoder only through `encode`, `decode` and `training_loss`, and augmentations only through the
    batch's `Mixture`. All schedules are functions of progress = optimiser steps taken / total steps.

    Args:
        autoencoder: a module with the methods of `lincae.autoencoders.protocol.LatentAutoencoder`. On the command line
            it may be left out beside `init_from`, whose it is then.
        optimizer: makes the optimiser from the parameters; its learning rate is the schedule's peak.
        learning_rate_schedule: factor on that rate over training.
        gain_schedule: range of random gains over training; the gain callback asks for it.
        ema: settings of the averaged weights.
        init_from: whose weights training starts from, in place of random ones; see `lincae.pretrained.load_pretrained`.
        total_steps: planned optimiser steps; the trainer's `max_steps` if not given.
        extend: resume with another length than the checkpoint's, which bends every schedule where it goes on.
        compile: compile the autoencoder's `networks()` for the steps of training; None does so on a GPU where a
            compiler works.
        channels_last: keep 4-D weights in channels-last order in training; None does so on a GPU.
        recompute: save memory by computing residual blocks again in the backward pass, of which only inputs are kept.

    Raises:
        MisconfigurationException: without an autoencoder, or with one that has nothing to recompute; on a device
            without float64; when training starts without `max_steps`, or with one that contradicts `total_steps` or the
            checkpoint that is resumed; when the weights of that, or of `init_from`, are of another model.
    """

    autoencoder: Any  # an nn.Module with the protocol's methods

    def __init__(
        self,
        autoencoder: nn.Module | None = None,
        optimizer: OptimizerCallable = reference_optimizer,
        learning_rate_schedule: LearningRateSchedule = LearningRateSchedule(),  # noqa: B008 (frozen)
        gain_schedule: GainSchedule = GainSchedule(),  # noqa: B008 (frozen)
        ema: EMA = EMA(),  # noqa: B008 (frozen)
        init_from: str | None = None,
        total_steps: int | None = None,
        extend: bool = False,
        compile: bool | None = None,
        channels_last: bool | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if autoencoder is None:
            raise MisconfigurationException(
                "there is no model to train: name one under model.autoencoder, or one to go on from with "
                "--model.init_from=SOURCE"
            )
        self.autoencoder = autoencoder
        self.make_optimizer = optimizer
        self.learning_rate_schedule, self.gain_schedule, self.ema = learning_rate_schedule, gain_schedule, ema
        self.init_from, self.total_steps, self.extend = init_from, total_steps, extend
        self.compilation, self.channels_last = Compilation(compile), channels_last
        if recompute and not recompute_blocks(autoencoder):
            raise MisconfigurationException(
                f"{type(autoencoder).__name__} has no residual blocks to compute again: leave model.recompute false"
            )
        self.config: dict[str, Any] | None = None

    @property
    def progress(self) -> float:
        """Share of the planned optimiser steps that were taken, in [0, 1]."""
        return self.global_step / self.planned_steps

    @property
    def planned_steps(self) -> int:
        """The optimiser steps over which the schedules run.

        Raises:
            MisconfigurationException: without the trainer's `max_steps`, or if it contradicts `total_steps`.
        """
        max_steps = self.trainer.max_steps
        if max_steps is None or max_steps < 1:
            raise MisconfigurationException(
                "the schedules need the length of the training: set --trainer.max_steps to 1 or more"
            )
        if self.total_steps not in (None, max_steps):
            raise MisconfigurationException(
                f"model.total_steps is {self.total_steps} but trainer.max_steps is {max_steps}: schedules would not "
                "end with the training. Set both to the same number, or leave total_steps out"
            )
        return max_steps

    @property
    def _training_device(self) -> torch.device:
        """Where the module will be when it trains."""
        return self.trainer.strategy.root_device

    @property
    def gain_range(self) -> tuple[float, float]:
        """The current range of random gains."""
        return self.gain_schedule(self.progress)

    def log(self, name: str, value: Any, *arguments: Any, **settings: Any) -> None:
        """As Lightning's, which copies a number to the device and waits there: it is written there instead."""
        if isinstance(value, int | float):
            value = torch.full((), float(value), device=self.device)
        super().log(name, value, *arguments, **settings)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Encode the sources, mix the latents, and let the decoder produce the mixed waveforms."""
        loss = take_step(self.autoencoder, batch, torch.full((), self.progress, device=self.device))
        self._log_step(loss, batch)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Reconstruct the clips, or the mixes of the tracks; callbacks compare further decodes with these.

        In float32 whatever the precision of training, since callbacks run outside autocast: else figures of linearity
        would measure the rounding between them.
        """
        audio = batch["audio"] if "audio" in batch else batch["stems"].sum(dim=1)
        with torch.autocast(self.device.type, enabled=False):
            return {"clips": DecodedClips.of(self.autoencoder, audio, batch["index"])}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.make_optimizer(self.parameters())
        self._optimizer_settings = [
            {name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups
        ]
        total = self.planned_steps
        scheduler = LambdaLR(optimizer, lambda step: self.learning_rate_schedule(step / total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_callbacks(self) -> list[Callback]:
        try:
            usable(self._training_device)  # before any audio is looked at
        except ValueError as error:
            raise MisconfigurationException(f"trainer.accelerator: {error}, with --trainer.accelerator=cpu") from error
        if self.trainer.state.fn != "fit":
            return []
        order_weights(self.autoencoder, self.channels_last, self._training_device)  # before they are averaged
        self._averaged = AveragedWeights(self.ema, self.planned_steps)
        return [self._averaged, self.compilation]

    def on_fit_start(self) -> None:
        if self._training_device.type == "cpu":
            keep_freed_memory()
        if self.init_from is not None and self.trainer.ckpt_path is None:  # a resumed run has its own weights
            try:
                take_weights(self.autoencoder, load_pretrained(self.init_from).autoencoder, self.init_from)
            except (ValueError, OSError) as error:
                raise MisconfigurationException(f"--model.init_from: {error}") from error
            self._averaged.restart(self)

    def on_train_start(self) -> None:
        if self.trainer.ckpt_path is not None:
            self._apply_optimizer_settings()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # Lightning counts the steps of the log apart from its optimiser steps, and one too many after a resume.
        self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.global_step

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if gradients := [p.grad for p in self.parameters() if p.grad is not None]:  # none where a step is skipped
            self.log("train/gradient_norm", torch.nn.utils.get_total_norm(gradients))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["total_steps"] = self.planned_steps
        checkpoint["config"] = self.config
        checkpoint["provenance"] = provenance()
        checkpoint["latent_std"] = self._averaged.latent_std

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._trainer is None or self.trainer.state.fn != "fit":
            return
        found = misfits(self.state_dict(), checkpoint["state_dict"])
        if found:
            raise MisconfigurationException(
                f"the checkpoint's weights do not fit the model: {found}. Resume it with its sizes"
            )
        planned, taken = checkpoint.get("total_steps"), checkpoint["global_step"]
        if planned != self.planned_steps:
            self._extend(planned, taken)

    def _extend(self, planned: int | None, taken: int) -> None:
        """Allow another length than a checkpoint's, if that was asked for."""
        now = self.planned_steps
        if not self.extend or planned is None:
            raise MisconfigurationException(
                f"the checkpoint's schedules are planned for {planned} steps, this run for {now}: resume with "
                f"--trainer.max_steps={planned}, or bend them to the new length with --model.extend=true"
            )
        if now <= taken:
            raise MisconfigurationException(f"{now} steps is no extension of a training that has taken {taken}")
        rank_zero_warn(
            f"EXTENDED from {planned} to {now} steps, after step {taken}: progress goes from {taken / planned:.3f} to "
            f"{taken / now:.3f}, and with it every schedule. This is not the run that was planned for {now} steps"
        )

    def _apply_optimizer_settings(self) -> None:
        """A checkpoint holds the optimiser's settings, peak rates and current rates; those of this run win."""
        (scheduler,) = (config.scheduler for config in self.trainer.lr_scheduler_configs)
        scheduler.base_lrs = [settings["lr"] for settings in self._optimizer_settings]
        rates = [peak * self.learning_rate_schedule(self.progress) for peak in scheduler.base_lrs]
        for group, settings, rate in zip(
            self.trainer.optimizers[0].param_groups, self._optimizer_settings, rates, strict=True
        ):
            group.update(settings, initial_lr=settings["lr"], lr=rate)
        scheduler._last_lr = rates

    def _log_step(self, loss: Tensor, batch: Batch) -> None:
        assert batch.latents is not None  # the step is taken
        low, high = self.gain_range
        self.log("train/loss", mean_over_processes(loss.detach(), self.trainer.world_size))
        self.log_dict(
            {
                "train/latent_std": batch.latents.std(),
                "train/gain_low": low,
                "train/gain_high": high,
                "train/learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
                "train/ema_updates": float(self._averaged.updates),
            }
        )
        schedules = getattr(self.autoencoder, "schedules", None)
        if schedules is not None:
            self.log_dict({f"train/{name}": value for name, value in schedules(self.progress).items()})
