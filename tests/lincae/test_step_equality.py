"""What makes a step fast leaves its mathematics alone: losses and gradients beside a plain float32 step.

The plain step encodes every row, gives student and teacher connections of their own, and the teacher builds a graph.
"""

import weakref
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import parameters_to_vector
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.consistency.loss import pseudo_huber
from lincae.mixing import Batch, CircularShift, Mixture
from lincae.networks.blocks import recompute_blocks
from lincae.step import take_step
from lincae.streams import Draws

SAMPLES = 1216  # 16 frames, 2 latents
PROGRESS = torch.tensor(0.3)


@pytest.fixture
def model(spectrogram, sizes, awaken):
    torch.manual_seed(0)
    sizes = replace(sizes, widths=(8, 16, 16), strides=((4, 2), (2, 4)), attention=(False, False, True), unet_blocks=1)
    return awaken(ConsistencyAutoencoder(spectrogram, sizes), seed=3)


@pytest.fixture
def batch(normal):
    draws = Draws(11, [4, 7])
    return Batch(Mixture(0.3 * normal(4, SAMPLES), CircularShift()(4, draws)), draws)


def plain_losses(model, batch):
    mixture, draws = batch.mixture, batch.draws
    clean = model.spectrogram(mixture.targets)
    encoded = model.encoder(clean)
    latents = mixture.matrix @ encoded[rows_of_sources(mixture)].flatten(1)
    index = model.levels.sample(draws.uniform("noise level", len(clean), 2))
    levels = [model.levels(index), model.levels((index - model.step(PROGRESS)).clamp_min(0))]
    noise = draws.normal("noise", *clean.shape)
    maps = model.pyramid(latents.view(len(clean), *encoded.shape[1:]))
    student, teacher = (
        model.denoiser(clean + t.view(-1, 1, 1, 1) * noise, t, model.denoiser.network.connect(maps)) for t in levels
    )
    return pseudo_huber(student, teacher.detach()) / (levels[0] - levels[1])


def rows_of_sources(mixture):
    """The rows of the matrix that are the clips themselves."""
    return [int((mixture.matrix == unit).all(dim=1).nonzero()) for unit in torch.eye(len(mixture.sources))]


def taken(model, losses):
    """Losses and the gradient of their mean, one vector."""
    model.zero_grad()
    losses.mean().backward()
    return losses.detach(), parameters_to_vector([p.grad.contiguous() for p in model.parameters()])


def fast(model, batch):
    take_step(model, batch, PROGRESS).backward()
    gradient = parameters_to_vector([p.grad.contiguous() for p in model.parameters()])
    model.zero_grad()
    return batch.losses, gradient


def assert_as_plain(model, batch, run, tolerance):
    """Losses within the tolerance of their mean, gradients within it of their length."""
    losses, gradient = taken(model, plain_losses(model, batch))
    model.zero_grad()
    fast_losses, fast_gradient = run()
    assert (fast_losses - losses).abs().max() < tolerance * losses.mean()
    assert (fast_gradient - gradient).norm() < tolerance * gradient.norm()


def test_a_step_is_the_plain_one(model, batch):
    assert_as_plain(model, batch, lambda: fast(model, batch), 1e-4)


def test_channels_last(model, batch):
    def run():
        model.to(memory_format=torch.channels_last)
        return fast(model, batch)

    assert_as_plain(model, batch, run, 1e-4)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled(model, batch, backend, recompute):
    def run():
        torch._dynamo.reset()
        if recompute:
            recompute_blocks(model)
        for network in model.networks():
            network.compile(backend=backend, fullgraph=True)
        return fast(model, batch)

    assert_as_plain(model, batch, run, 1e-4)


class Held(TorchDispatchMode):
    """Counts the bytes of all tensors that are made meanwhile, and their most at a time."""

    def __init__(self):
        super().__init__()
        self.storages, self.bytes, self.most = {}, 0, 0

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        made = function(*arguments, **(settings or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and id(tensor.untyped_storage()) not in self.storages:
                storage = tensor.untyped_storage()
                key, size = id(storage), storage.nbytes()
                self.storages[key] = weakref.ref(storage, lambda _, key=key, size=size: self.release(key, size))
                self.bytes += size
                self.most = max(self.most, self.bytes)
        return made

    def release(self, key, size):
        del self.storages[key]
        self.bytes -= size


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_recomputed_blocks_give_the_same_step_in_less_memory(model, batch, precision):
    """Bit for bit. More clips than elsewhere here, so that activations count and weights do not."""
    draws = Draws(11, range(4))
    batch = Batch(Mixture(batch.mixture.sources.repeat(2, 1), CircularShift()(8, draws)), draws)

    def run():
        with Held() as held, torch.autocast("cpu", precision, enabled=precision != torch.float32):
            return *fast(model, batch), held.most

    losses, gradient, most = run()
    assert recompute_blocks(model) == len([name for name, _ in model.named_modules() if name.endswith("norm1")])
    again, gradient_again, less = run()
    assert torch.equal(again, losses)
    assert torch.equal(gradient_again, gradient)
    print(f"at most {most / 1e6:.1f} MB of tensors at a time, recomputed {less / 1e6:.1f}")
    assert less < 0.6 * most


@pytest.mark.slow
def test_memory_of_a_step_at_reference_size():
    """Counted on tensors that hold no numbers: twenty clips, bf16, weights and optimiser not counted."""
    model = ConsistencyAutoencoder()
    mixture = Mixture(torch.zeros(20, 34_304), torch.eye(20).repeat(2, 1))
    most = []
    with FakeTensorMode(allow_non_fake_inputs=True):
        for _ in range(2):
            draws = Draws(11, range(20))
            with Held() as held, torch.autocast("cpu", torch.bfloat16):
                take_step(model, Batch(mixture, draws), PROGRESS).backward()
            model.zero_grad()
            most.append(held.most / 2**30)
            recompute_blocks(model)
    print(f"at most {most[0]:.1f} GiB of tensors at a time, recomputed {most[1]:.1f}")
    assert most[1] < 0.6 * most[0]


@pytest.mark.parametrize("channels_last", [False, True])
def test_bf16(model, batch, channels_last):
    """Eight bits of mantissa: 0.4 % in each operation."""

    def run():
        if channels_last:
            model.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            return fast(model, batch)

    assert_as_plain(model, batch, run, 0.05)
