"""`lincae fit` as a user runs it: real files, real processes."""

import csv
import re
import struct
from pathlib import Path

import pytest
import torch
import yaml

from lincae.cli.main import main

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def logged(folder: Path, name: str, version: int = 0) -> dict[int, float]:
    """Step -> value of one figure."""
    with (folder / "csv" / f"version_{version}" / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row.get(name)}


FIGURES = [
    "val/reconstruction/mss",
    "val/shuffled/mss",
    "val/decoder/homogeneity_snr",
    "val/decoder/homogeneity_mss/a0.50",
    "val/encoder/homogeneity_error",
    "val/decoder/additivity_mss",
    "val/encoder/additivity_error",
    "val/separation/mss",
]
STEPS = [
    "train/loss",
    "train/gain_low",
    "train/gain_high",
    "train/step_size",
    "train/learning_rate",
    "train/gradient_norm",
    "train/capped_rows",
    "train/data_wait",
    "train/clips_per_second",
]


def test_a_folder_of_mixed_files_trains_and_every_epoch_logs_how_linear_it_is(fit, music, tmp_path):
    done = fit(f"--data.train={music}", "--trainer.max_steps=12", "--data.steps_per_epoch=5")
    assert "broken.wav" in done.stderr
    assert "2 of 5 audio files are not used" in done.stderr
    assert "1 are below the lowest sample rate allowed (e.ogg)" in done.stderr
    for name in FIGURES:
        assert list(logged(tmp_path, name)) == [4, 9, 11], name
    for name in STEPS:
        assert list(logged(tmp_path, name)) == list(range(12)), name
    assert set(logged(tmp_path, "data/files_unreadable").values()) == {1}
    assert (
        len(re.findall(r"Validation took \d+\.\d s; all so far took \d+\.\d% of the training's time", done.stderr)) == 3
    )
    shares = logged(tmp_path, "train/validation_share")
    assert all((0 < share < 1) if step >= 5 else share == 0 for step, share in shares.items())


def test_a_run_stopped_by_what_schedules_do_not_see_continues_where_it_was(fit, music, tmp_path):
    data = f"--data.train={music}"
    stop = ["--callbacks.stop=callbacks.StopAfter", "--callbacks.stop.steps=20"]
    fit(data, *stop)
    first = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    fit(data, "--ckpt_path=last")
    second = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert (first["global_step"], second["global_step"]) == (20, 40)
    resumed = {name: logged(tmp_path, name, version=1) for name in ("train/learning_rate", "train/gain_high")}

    fit(data, "--trainer.default_root_dir=whole", "--trainer.logger.save_dir=whole")
    whole = tmp_path / "whole"
    for name, values in resumed.items():
        assert list(values) == list(range(20, 40))
        assert values == {step: value for step, value in logged(whole, name).items() if step >= 20}
    assert list(logged(tmp_path, "train/ema_updates", version=1).values())[-1] == 3  # before the update of step 40
    once = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    assert first["callbacks"]["AveragedWeights"]["updates"] == 2
    assert second["callbacks"]["AveragedWeights"]["updates"] == 4
    for name in ("state_dict", "current_model_state"):
        for key, value in once[name].items():
            torch.testing.assert_close(second[name][key], value, rtol=0, atol=0)


def test_a_second_run_does_not_touch_the_first(fit, music, tmp_path):
    arguments = [f"--data.train={music}", "--trainer.max_steps=2"]
    fit(*arguments)
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    done = fit(*arguments, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "already holds a run" in done.stderr
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before


def test_parts_are_switched_from_the_command_line(fit, music, tmp_path):
    fit(
        f"--data.train={music}",
        "--trainer.max_steps=2",
        "--callbacks.gain=null",
        "--callbacks.polarity=callbacks.Polarity",
        "--callbacks.peak_limit.ceiling=0.5",
        "--model.gain_schedule.high=1.5",
        "--model.optimizer=torch.optim.AdamW",
        "--model.optimizer.lr=3e-4",
        "--model.autoencoder.sizes.widths=[8,12]",
    )
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["callbacks"]["gain"] is None
    assert config["callbacks"]["polarity"]["class_path"] == "callbacks.Polarity"
    assert config["callbacks"]["peak_limit"]["init_args"] == {"ceiling": 0.5}
    assert logged(tmp_path, "train/gain_high")[0] == 1.5
    assert logged(tmp_path, "train/learning_rate")[1] == pytest.approx(3e-4, rel=0.5)
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]["autoencoder.encoder.blocks.1.conv1.weight"].shape[0] == 12
    assert "exp_avg_sq" in checkpoint["optimizer_states"][0]["state"][0]


@pytest.mark.parametrize(
    ("argument", "misspelt"),
    [
        ("--callbacks.gain.probabilty=0.5", "probabilty"),
        ("--model.gain_schedule.hihg=2", "hihg"),
        ("--data.batchsize=2", "batchsize"),
        ("--trainer.max_step=2", "max_step"),
        ("--model.autoencoder.sizes.width=[8,8]", "width"),
    ],
)
def test_a_misspelt_key_is_refused_by_name(argument, misspelt, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fit", "--config", str(TINY), argument])
    assert misspelt in capsys.readouterr().err


def test_a_missing_folder_is_named_with_the_cure(fit, tmp_path):
    done = fit("--data.train=nowhere", check=False)
    assert "nowhere" in done.stderr
    assert "no such folder" in done.stderr
    done = fit(check=False)
    assert "--data.train=FOLDER" in done.stderr


def test_augmentations_in_a_wrong_order_are_refused(fit, music, tmp_path):
    done = fit(f"--data.train={music}", "--callbacks.late=callbacks.KSources", check=False)
    assert done.returncode != 0
    assert "KSources must come before PeakLimit" in done.stderr


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        pytest.param({}, 1, id="no mode"),
        pytest.param({"WANDB_MODE": "offline"}, 0, id="offline", marks=pytest.mark.slow),
    ],
)
def test_wandb_without_a_key_goes_offline_in_one_loud_line(fit, music, tmp_path, mode, lines):
    """In an empty home there is no key; the run must hold the figures of every epoch all the same."""
    home = tmp_path / "home"
    home.mkdir()
    logger = "lightning.pytorch.loggers.WandbLogger"
    done = fit(
        f"--data.train={music}",
        "--trainer.max_steps=4",
        "--data.steps_per_epoch=2",
        f"--trainer.logger={logger}",
        "--trainer.logger.project=lincae",
        HOME=str(home),
        **mode,
    )
    assert done.stderr.count("NO W&B KEY FOUND") == lines
    epochs = [record for record in wandb_history(tmp_path) if "val/decoder/homogeneity_snr" in record]
    assert len(epochs) == 2
    identity = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["wandb_id"]
    assert identity in next((tmp_path / "wandb").glob("offline-run-*")).name


@pytest.mark.slow
def test_a_resumed_run_keeps_its_wandb_identity(fit, music, tmp_path):
    arguments = [
        f"--data.train={music}",
        "--trainer.logger=lightning.pytorch.loggers.WandbLogger",
        "--trainer.logger.offline=true",
        "--trainer.max_steps=4",
        "--data.steps_per_epoch=2",
    ]
    fit(*arguments, "--callbacks.stop=callbacks.StopAfter", "--callbacks.stop.steps=2")
    fit(*arguments, "--ckpt_path=last")
    runs = {path.name.rsplit("-", 1)[1] for path in (tmp_path / "wandb").glob("offline-run-*")}
    assert len(runs) == 1


def wandb_history(folder: Path) -> list[dict[str, str]]:
    """The logged rows of the only offline run in a folder, read from its file.

    The file is a LevelDB log behind 7 bytes: blocks of 32 KiB with records of checksum (4 bytes), length (2), kind (1)
    and data; kind 1 is a whole record, 2, 3 and 4 the first, middle and last part of one.
    """
    from wandb.proto import wandb_internal_pb2

    content = next((folder / "wandb").glob("offline-run-*/run-*.wandb")).read_bytes()
    history, data, place = [], b"", 7
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # no room for a header in this block
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        data += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            data = b""
            if record.HasField("history"):
                history.append({"/".join(i.nested_key) or i.key: i.value_json for i in record.history.item})
    return history
