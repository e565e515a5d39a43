"""What is compiled, and how often."""

import csv
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch._inductor import metrics

from lincae import compilation
from lincae.cli.main import main
from lincae.compilation import why_not

TINY = Path(__file__).parents[1] / "configs" / "tiny.yaml"
GPU = torch.device("meta")
"""Any device but a CPU."""


class Named(nn.Module):
    def networks(self):
        return []


def test_a_gpu_with_a_compiler_compiles_unasked(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    assert why_not(Named(), GPU) is None


def test_a_compiler_that_does_not_work_is_told_in_one_line(monkeypatch):
    def broken(function):
        raise RuntimeError("no C compiler found\nlots of\ndetails")

    monkeypatch.setattr(torch, "compile", broken)
    assert why_not(Named(), GPU) == "the compiler does not work on meta (no C compiler found)"


def test_a_cpu_and_an_autoencoder_without_networks_do_not_compile_unasked():
    assert "on a CPU" in why_not(Named(), torch.device("cpu"))
    assert "Linear has no networks()" in why_not(nn.Linear(1, 1), GPU)


@pytest.fixture
def train(music, tmp_path, monkeypatch):
    """A function that trains `tiny.yaml` in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        main(["fit", "--config", str(TINY), f"--data.train={music}", *arguments])

    return run


def test_the_line_of_a_training_that_does_not_compile(train, monkeypatch):
    told = []
    monkeypatch.setattr(compilation, "rank_zero_info", told.append)
    train("--trainer.max_steps=1")
    assert len(told) == 1
    assert told[0].startswith("The networks run uncompiled: on a CPU")


@pytest.mark.slow
def test_a_compiled_training_has_the_losses_of_an_eager_one(train, tmp_path):
    """With the compiler and the processor that are there. Rounding differs, and each step carries it on."""
    losses = {}
    for wanted in ("false", "true"):
        torch._dynamo.reset()
        metrics.reset()
        train(f"--model.compile={wanted}", "--trainer.max_steps=5", f"--trainer.default_root_dir={wanted}")
        assert (metrics.generated_kernel_count > 0) == (wanted == "true")
        with (tmp_path / wanted / "csv" / "version_0" / "metrics.csv").open() as table:
            losses[wanted] = [float(row["train/loss"]) for row in csv.DictReader(table) if row["train/loss"]]
    assert len(losses["false"]) == 5
    assert losses["true"] == pytest.approx(losses["false"], rel=1e-3)


def test_fifty_steps_make_one_graph_of_each_network(train, monkeypatch):
    """And one more of the denoiser, for the teacher; three validations, of other shapes, make none."""
    torch._dynamo.reset()
    counter = CompileCounter()
    plain = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: plain(self, backend=counter, fullgraph=True))
    train("--model.compile=true", "--trainer.max_steps=50")
    assert counter.frame_count == len(["encoder", "pyramid", "connect", "student", "teacher"])
