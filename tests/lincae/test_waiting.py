"""Where a training step makes the host wait for the device."""

import sys
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lincae.cli.main import main

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "configs" / "tiny.yaml"
READS = {"item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "nonzero", "unique"}
WAITING = {"_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal", "_unique2", "is_pinned"}


def place() -> str:
    """The innermost function of ours, of Lightning or of an optimiser that is running."""
    frame = sys._getframe(2)
    while frame:
        file = frame.f_code.co_filename
        if file.startswith((str(ROOT / "lincae"), str(ROOT / "callbacks"))) or "lightning" in file or "optim" in file:
            return f"{Path(file).stem}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"


class Reads(TorchFunctionMode):
    """Lists where Python asks for the numbers of a tensor, or makes one of a number, which is copied to the device."""

    def __init__(self):
        super().__init__()
        self.places = set()

    def __torch_function__(self, function, types, arguments=(), settings=None):
        name = getattr(function, "__name__", "")
        if name in READS or (function is torch.tensor and (settings or {}).get("device") is not None):
            self.places.add(place())
        return function(*arguments, **(settings or {}))


class Operations(TorchDispatchMode):
    """Lists where operations run whose result the host has to know."""

    def __init__(self):
        super().__init__()
        self.places = set()

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        if function._schema.name.removeprefix("aten::") in WAITING:
            self.places.add(place())
        return function(*arguments, **(settings or {}))


@contextmanager
def watched_steps(monkeypatch, chosen):
    """Gives the places where chosen optimiser steps wait, once the training is over."""
    places = set()
    advance = _TrainingEpochLoop.advance

    def watched(loop, data):
        if loop.global_step not in chosen:
            return advance(loop, data)
        with Operations() as operations, Reads() as reads:
            advance(loop, data)
        places.update(operations.places | reads.places)

    monkeypatch.setattr(_TrainingEpochLoop, "advance", watched)
    yield places


def test_the_host_waits_for_the_verdict_on_the_gradient_and_for_nothing_else(music, tmp_path, monkeypatch):
    """With the callbacks of the default configuration, clipping and averaged weights, between two
    lines of the log and two updates of the progress bar."""
    monkeypatch.chdir(tmp_path)
    settings = ["--callbacks.progress=callbacks.Progress", "--trainer.enable_progress_bar=true"]
    settings += ["--trainer.max_steps=30", "--trainer.log_every_n_steps=50", "--trainer.gradient_clip_val=1.0"]
    with watched_steps(monkeypatch, range(1, 9)) as places:
        main(["fit", "--config", str(TINY), f"--data.train={music}", *settings])
    on_the_host = {
        "combined_loader.__next__",
        "optimizer._get_value",
    }  # samples of a batch; the optimiser's step counts
    assert places - on_the_host == {"finite_loss.on_before_optimizer_step"}
