"""Lines of figures, and what is read of them."""

import json
import math
from types import SimpleNamespace

import pytest
import torch

from callbacks import FiguresFile
from lincae.report.runs import last_line


def validate(folder, step, figures, sanity_checking=False, is_global_zero=True):
    trainer = SimpleNamespace(
        default_root_dir=str(folder),
        global_step=step,
        callback_metrics={name: torch.tensor(value) for name, value in figures.items()},
        sanity_checking=sanity_checking,
        is_global_zero=is_global_zero,
    )
    FiguresFile().on_validation_end(trainer, None)


def test_every_validation_is_a_line_of_figures(tmp_path):
    validate(tmp_path / "run", 10, {"val/mss": 2.0, "train/loss": 1.0})
    validate(tmp_path / "run", 20, {"val/mss": 1.5, "val/snr": math.inf})
    lines = [json.loads(line) for line in (tmp_path / "run" / "figures.jsonl").read_text().splitlines()]
    assert lines == [{"step": 10, "val/mss": 2.0}, {"step": 20, "val/mss": 1.5, "val/snr": None}]
    step, figures = last_line(tmp_path / "run" / "figures.jsonl")
    assert (step, figures["val/mss"]) == (20, 1.5)
    assert math.isnan(figures["val/snr"])


@pytest.mark.parametrize("settings", [{"sanity_checking": True}, {"is_global_zero": False}])
def test_neither_a_sanity_check_nor_another_process_writes(tmp_path, settings):
    validate(tmp_path, 0, {"val/mss": 2.0}, **settings)
    assert last_line(tmp_path / "figures.jsonl") == (0, {})


def test_half_a_line_is_not_read(tmp_path):
    validate(tmp_path, 10, {"val/mss": 2.0})
    with (tmp_path / "figures.jsonl").open("a") as file:
        file.write('{"step": 20, "val')
    assert last_line(tmp_path / "figures.jsonl") == (10, {"val/mss": 2.0})
