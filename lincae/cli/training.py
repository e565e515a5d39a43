"""`lincae fit`, `validate` and their like: Lightning's CLI with named callbacks and one folder per run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import set_parsing_settings
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules import AudioDataModule
from lincae.checkpoint_files import CheckpointError
from lincae.checkpoint_io import AtomicCheckpointIO
from lincae.cli.command_line import refusals, refuse
from lincae.cli.configs import ConfigFile, one_config
from lincae.cli.main import TRAINER
from lincae.cli.resuming import declare_changes, find_checkpoint, read_head, refuse_mixed_runs, run_folder
from lincae.machine import has_bf16
from lincae.module import ImplicitLinearity
from lincae.pretrained import load_pretrained
from lincae.settings import parse as parse_autoencoder
from lincae.settings import settings_of
from lincae.yaml_files import parse_yaml

WANDB_LOGGER = "lightning.pytorch.loggers.WandbLogger"


def main(arguments: Sequence[str]) -> None:
    """Parse the command line, build the parts and run the subcommand."""
    warnings.filterwarnings("ignore", message=".*LeafSpec", module="lightning")  # Lightning's own, nothing to do here
    # Lightning knows no data modules that begin at the trainer's step
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")
    # figures are of the clips of all processes, in each of them
    warnings.filterwarnings("ignore", message=".*sync_dist=True", module="lightning")
    set_parsing_settings(config_read_mode_fsspec_enabled=False)  # `--data.train=s3://...` is no configuration to open
    try:
        TrainingCLI(
            ImplicitLinearity,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={"use_distributed_sampler": False},
            args=list(arguments),
        )
    except (CheckpointError, MisconfigurationException) as error:
        refuse(str(error), error)


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration into the run's folder, and hands it to the module for its checkpoints."""

    def save_config(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        if stage == "fit" and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            folder = Path(trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / self.config_filename
            partial = target.with_suffix(".partial")
            partial.write_text(self.parser.dump(self.config, skip_none=False))
            os.replace(partial, target)


class TrainingCLI(LightningCLI):
    """Callbacks are a mapping from names, so that the command line can change, add and switch them off one by one."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Those of Lightning's that there are steps for."""
        return {name: known for name, known in LightningCLI.subcommands().items() if name in TRAINER}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = self.parser_class(allow_abbrev=False, **kwargs)  # a misspelt key must not pass as an abbreviation
        parser.add_argument(
            "-c", "--config", action=ConfigFile, help="A configuration file, or the name of one in configs/."
        )
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(one_config(args))

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--callbacks",
            type=dict[str, Callback | None],
            default={},
            help="Callbacks by name, in the order in which they run; null switches one off.",
        )

    def _parse_ckpt_path(self) -> None:
        """Resolve `--ckpt_path last`; what a checkpoint stores never overrides the command line."""
        config = self.config[self.config.subcommand]
        if config.get("ckpt_path") is not None:
            find_checkpoint(config)

    @refusals()
    def before_instantiate_classes(self) -> None:
        config, trains = self.config[self.config.subcommand], self.config.subcommand == "fit"
        tries = bool(config.trainer.fast_dev_run)  # it logs and writes nothing
        if trains and not tries:
            separate_sweep_runs(config)
            refuse_mixed_runs(config)
            run_folder(config).mkdir(parents=True, exist_ok=True)
        elif not trains and config.ckpt_path is None:
            refuse("there are no weights to validate: give --ckpt_path=last, or --ckpt_path=FILE")
        self.head: dict[str, Any] = {} if config.ckpt_path is None else read_head(config.ckpt_path)
        complete_autoencoder(config, self.head)
        if tries:
            config.trainer.logger = False
        log_into_run_folder(config)
        prepare_wandb(config, self.head.get("wandb_id") if trains else None)
        check_precision(config)
        prepare_precision(config)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        callbacks = [c for c in (self._get(self.config_init, "callbacks") or {}).values() if c is not None]
        config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        config["plugins"] = [*(config.get("plugins") or []), AtomicCheckpointIO()]
        if SLURMEnvironment.detect():  # by itself it would save in the middle of a step
            config["plugins"].append(SLURMEnvironment(auto_requeue=False))
        return self._instantiate_trainer(config, callbacks)

    def after_instantiate_classes(self) -> None:
        config = self.config.get(str(self.config.subcommand), self.config)
        dumped = self._parser(self.config.subcommand).dump(config, skip_none=False)
        self.model.config = parse_yaml(dumped)
        check_sample_rates(self.model, self.datamodule)
        if isinstance(self.datamodule, AudioDataModule):  # of others, an error may be a mistake in their code
            self.datamodule.setup = refusals()(self.datamodule.setup)  # type: ignore[method-assign]
        if self.head and self.config.subcommand == "fit":
            declare_changes(config.ckpt_path, self.head, self.model.config)


def complete_autoencoder(config: Any, head: Mapping[str, Any]) -> None:
    """Puts the autoencoder of the source that training begins with where the configuration names none.

    Args:
        config: of the run, in which it then stands with all its sizes.
        head: of the checkpoint that is resumed, which knows it; empty if there is none.
    """
    model = config.model.init_args
    if model.get("autoencoder") is not None:
        return
    if model.get("init_from") is None:
        refuse(
            "there is no model to train: name one under model.autoencoder, or one to go on from with "
            "--model.init_from=SOURCE"
        )
    if head.get("config"):
        settings = head["config"]["model"]["init_args"]["autoencoder"]
    else:
        try:
            settings = settings_of(load_pretrained(model.init_from).autoencoder)
        except (ValueError, TypeError, OSError) as error:
            refuse(f"--model.init_from: {error}", error)
    model.autoencoder = parse_autoencoder(settings)[1].autoencoder


def check_sample_rates(model: Any, data: Any) -> None:
    """Refuse audio at another rate than the model's: it would be of another pitch, and nothing else would tell."""
    reader = getattr(data, "reader", None)  # data modules of others may have none
    if reader is not None and reader.sample_rate != model.autoencoder.sample_rate:
        rate = model.autoencoder.sample_rate
        refuse(f"the model works at {rate} Hz and the data at {reader.sample_rate}: set --data.sample_rate={rate}")


def separate_sweep_runs(config: Any) -> None:
    """Give each run that a W&B agent starts a folder of its own, named by the run's id."""
    if os.environ.get("WANDB_SWEEP_ID"):
        config.trainer.default_root_dir = str(run_folder(config) / os.environ["WANDB_RUN_ID"])


def loggers_of(config: Any) -> list[Any]:
    """What stands under `trainer.logger`, whether one or several."""
    loggers = config.trainer.logger
    return loggers if isinstance(loggers, list) else [loggers]


def log_into_run_folder(config: Any) -> None:
    """`save_dir: .` of a logger means the folder of the run, so that runs side by side do not share a log."""
    for logger in loggers_of(config):
        settings = getattr(logger, "init_args", None)
        if settings and settings.get("save_dir") == ".":
            settings.save_dir = str(run_folder(config))


def check_precision(config: Any) -> None:
    """Refuse to hold weights in another precision than float32, which steps and metrics are written for."""
    precision = str(config.trainer.precision or "32-true")
    if precision not in ("32", "32-true", "16", "16-mixed", "bf16", "bf16-mixed"):
        refuse(f"--trainer.precision={precision} is none that trains here: use 32-true, bf16-mixed or 16-mixed")


def prepare_precision(config: Any) -> None:
    """Train in float32 on a CPU without bf16 instructions, where emulating them takes more than ten times as long."""
    wants_bf16 = str(config.trainer.precision).startswith("bf16")
    accelerator = config.trainer.accelerator
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())
    if wants_bf16 and on_cpu and not has_bf16():
        rank_zero_warn(f"NO BF16 ON THIS CPU: training in float32 instead of {config.trainer.precision}")
        config.trainer.precision = "32-true"


def prepare_wandb(config: Any, run: str | None) -> None:
    """Keep W&B's files in the run's folder, continue the run of a resumed checkpoint, go offline without a key."""
    for logger in loggers_of(config):
        if getattr(logger, "class_path", None) != WANDB_LOGGER:
            continue
        folder = run_folder(config)
        folder.mkdir(parents=True, exist_ok=True)
        logger.init_args.save_dir = str(folder)
        if run is not None:
            logger.init_args.id = run
            logger.init_args.resume = "allow"
        obstacle = None if logger.init_args.offline else obstacle_to_wandb()
        if obstacle is not None:
            logger.init_args.offline = True
            logger.init_args.mode = "offline"  # W&B reads its environment only once, and has done so by now
            rank_zero_warn(
                f"{obstacle}: logging offline into {folder}/wandb. Upload the run later with `wandb sync "
                f"{folder}/wandb/offline-run-*`"
            )


def obstacle_to_wandb() -> str | None:
    """Why W&B's server cannot be used, where it is to be: no key, no answer, or a key that it refuses."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        return None
    import wandb

    try:
        return None if wandb.login(prompt=False) else "NO W&B KEY FOUND (`wandb login` asks for one)"
    except wandb.errors.AuthenticationError as error:
        return f"NO W&B SERVER ({error})"
