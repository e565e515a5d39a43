"""The benchmark of a step: the published way beside ours, and the whole script at small sizes."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from lincae.mixing import CircularShift, Mixture
from lincae.published.names import published_tensors
from lincae.streams import Draws

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "step.py"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import step

    return step


@pytest.fixture
def cost(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import cost

    return cost


def test_the_published_way_has_our_losses_and_gradients(bench):
    options = Namespace(device="cpu", clips=2, small=True)
    ways = {name: bench.Steps(bench.WAYS[name], options) for name in ("published", "plain")}
    losses = {}
    for name, steps in ways.items():
        steps.watch.start()
        draws = Draws(0, [0])
        loss = steps.loss(Mixture(steps.clips, CircularShift()(2, draws)), draws)
        loss.backward()
        losses[name] = loss.item()
    ours = ways["plain"].model
    grads = {name.replace("inner.", ""): p.grad for name, p in ours.named_parameters()}
    gradients = published_tensors(grads, ours.sizes)
    theirs = dict(ways["published"].model.network.named_parameters())
    assert losses["published"] == pytest.approx(losses["plain"], rel=1e-5)
    for name, gradient in gradients.items():
        assert (theirs[name].grad - gradient).norm() < 1e-3 * gradient.norm(), name


def test_the_counted_cost_of_a_convolution_and_of_the_reference(cost):
    conv = torch.nn.Conv2d(3, 5, 3, padding=1, device="meta")
    x = torch.empty(2, 3, 8, 8, device="meta", requires_grad=True)
    assert cost.count(lambda: [conv(x)]) == (2 * 2 * 64 * 3 * 5 * 9, 2 * 2 * 2 * 64 * 3 * 5 * 9)
    ours, published = cost.step_cost(), cost.step_cost(published=True)
    assert cost.total(ours) / 1e12 == pytest.approx(36.75, abs=0.05)  # counted by hand
    assert cost.total(published) / 1e12 == pytest.approx(39.1, abs=0.05)
    assert published["encoder"] == pytest.approx([2 * flops for flops in ours["encoder"]], rel=0.01)
    # the pyramid's 1x1 convolutions: as published the teacher has its own, for four blocks a level and one at the end
    positions = (64 * 1024, 64 * 256, 32 * 128, 16 * 64, 8 * 32)
    maps = [2 * 40 * width**2 * area for width, area in zip((64, 128, 256, 256, 256), positions, strict=True)]
    shared = 4 * sum(maps) + maps[0]
    assert cost.total(published) - cost.total(ours) == pytest.approx(sum(ours["encoder"]) + shared, rel=0.01)


@pytest.mark.slow
def test_the_script_prints_what_it_measured():
    command = [sys.executable, str(SCRIPT), "--small", "--device", "cpu", "--ways", "published", "float32", "bf16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    results = json.loads(done.stdout.splitlines()[-1])["results"]
    assert list(results) == ["published", "float32", "bf16"]
    for way in results.values():
        assert way["losses"][0] == pytest.approx(results["published"]["losses"][0], rel=1e-2)
        parts = [part["median"] for name, part in way["seconds"].items() if name != "step"]
        assert sum(parts) == pytest.approx(way["seconds"]["step"]["median"], rel=0.2)
        assert way["seconds"]["step"]["min"] <= way["seconds"]["step"]["median"]
