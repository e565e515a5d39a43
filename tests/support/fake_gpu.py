"""A GPU that is not there: CUDA tensors that have shapes and no numbers, and a list of where the host waits for them.

Operations on tensors of several devices raise, as on a GPU. Where the host asks for a number it gets 0, or True,
and the place is listed. A shape that depends on numbers, such as that of a selection by a mask, raises.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CUDAAccelerator
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils.data.dataloader import DataLoader, _BaseDataLoaderIter

from datamodules import AudioDataModule
from lincae.checkpoint_io import AtomicCheckpointIO

NOTHING = {torch.bool: True, torch.int64: 0, torch.int32: 0}
GPU = torch.device("cuda", 0)
ROOT = Path(__file__).parents[2]
NAMED = (*(str(ROOT / folder) for folder in ("lincae", "callbacks", "datamodules", "tests/lincae")), "/lightning/")


class FakeGPU(TorchDispatchMode):
    """Answers whatever the host asks, and lists the functions in which it waits for the device to do so.

    Those are reads, and copies between host and device other than out of pinned memory.

    Attributes:
        watched: what is running; nothing is listed while it is None.
        waits: what was running, and the function.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watched: str | None = None
        self.waits: set[tuple[str, str]] = set()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Tensors that are made meanwhile are fake, and real ones become so."""
        with FakeTensorMode(allow_non_fake_inputs=True), self:
            yield

    @contextmanager
    def watch(self, name: str) -> Iterator[None]:
        """List waits under a name."""
        self.watched = name
        try:
            yield
        finally:
            self.watched = None

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        settings = settings or {}
        name = function._schema.name.removeprefix("aten::")
        tensors = [value for value in arguments if isinstance(value, Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        if name == "_to_copy" and settings.get("device") is not None:
            devices.add(settings["device"].type)
        if name in ("index", "index_put", "index_put_"):
            devices |= {index.device.type for index in arguments[1] if index is not None}
        reads = name in ("_local_scalar_dense", "equal", "allclose", "is_nonzero") and "cuda" in devices
        copies = name in ("_to_copy", "copy_", "index", "index_put", "index_put_") and len(devices) > 1
        queued = settings.get("non_blocking") and tensors[0].device.type == "cpu"  # out of pinned memory
        if self.watched and (reads or (copies and not queued)):
            self.waits.add((self.watched, place()))
        if name == "_local_scalar_dense" and getattr(tensors[0], "constant", ...) is None:  # on the host, too
            return NOTHING.get(tensors[0].dtype, 0.0)
        if reads:
            return True
        return function(*arguments, **settings)


def place() -> str:
    """The innermost function of ours or of Lightning that is running."""
    frame = sys._getframe(2)
    while frame:
        file = frame.f_code.co_filename
        if any(name in file for name in NAMED):
            return f"{Path(file).stem}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"


def backward(tensors: Tensor | Sequence[Tensor], *unused: Any, **settings: Any) -> None:
    """Stands in for `torch.autograd.backward` of one scalar, whose engine asks a driver for its streams."""
    (loss,) = [tensors] if isinstance(tensors, Tensor) else tensors
    order: list[Any] = []
    seen, stack = {loss.grad_fn}, [(loss.grad_fn, iter(loss.grad_fn.next_functions))]
    while stack:
        node, inputs = stack[-1]
        following = next((each for each, _ in inputs if each is not None and each not in seen), None)
        if following is None:
            order.append(stack.pop()[0])
        else:
            seen.add(following)
            stack.append((following, iter(following.next_functions)))
    gradients: dict[Any, list[Tensor | None]] = {loss.grad_fn: [torch.ones_like(loss)]}
    for node in reversed(order):
        given = gradients.pop(node, None)
        if given is None:
            continue
        with torch.no_grad():
            if hasattr(node, "variable"):
                leaf = node.variable
                leaf.grad = given[0] if leaf.grad is None else leaf.grad + given[0]
                continue
            made = node(*given, *[None] * (len(node._input_metadata) - len(given)))
        for (following, number), gradient in zip(
            node.next_functions, made if isinstance(made, tuple) else (made,), strict=True
        ):
            if following is not None and gradient is not None:
                wanted = following._input_metadata[number]
                gradient = gradient.sum_to_size(wanted.shape).to(wanted.dtype)
                slots = gradients.setdefault(following, [])
                slots += [None] * (number + 1 - len(slots))
                slots[number] = gradient if slots[number] is None else slots[number] + gradient


class Generator(torch.Generator):
    """A generator of the CPU that passes for one of another device, and for which no numbers are drawn."""

    def __new__(cls, device: torch.device | str = "cpu") -> "Generator":
        return super().__new__(cls)


def apply(module: nn.Module, function: Any, recurse: bool = True) -> nn.Module:
    """Stands in for `nn.Module._apply`, which swaps a parameter for its copy elsewhere: fake ones cannot be swapped."""
    for child in module.children() if recurse else ():
        child._apply(function)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            moved = function(parameter.detach())
            module._parameters[name] = nn.Parameter(moved, parameter.requires_grad)
    module._buffers |= {name: function(buffer) for name, buffer in module._buffers.items() if buffer is not None}
    return module


def write_nothing(self: AtomicCheckpointIO, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
    """Stands in for the writing of a checkpoint, whose numbers are not there."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).touch()


def really(function: Any) -> Any:
    """The function on real tensors of the CPU, such as those of files."""

    def run(*arguments: Any, **settings: Any) -> Any:
        with _disable_current_modes():
            return function(*arguments, **settings)

    return run


@contextmanager
def fake_gpu() -> Iterator[FakeGPU]:
    """Torch and Lightning find a GPU, whose tensors are fake; trainers run on it, data are read as ever."""
    run, gpu = Trainer._run, FakeGPU()

    def run_on_it(*arguments: Any, **settings: Any) -> Any:
        with gpu.on():
            return run(*arguments, **settings)

    replaced: list[tuple[Any, str, Any]] = [
        (torch, "Generator", Generator),
        (torch.autograd, "backward", backward),
        (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        (torch.cuda, "is_bf16_supported", lambda: True),
        (CUDAAccelerator, "is_available", staticmethod(lambda: True)),
        (CUDAAccelerator, "parse_devices", staticmethod(lambda devices: [0])),
        (CUDAAccelerator, "setup_device", lambda self, device: None),
        (CUDAAccelerator, "setup", lambda self, trainer: None),
        (CUDAAccelerator, "teardown", lambda self: None),
        (nn.Module, "_apply", apply),
        (Tensor, "__deepcopy__", lambda tensor, memo: tensor.detach().clone()),
        (AtomicCheckpointIO, "save_checkpoint", write_nothing),
        (AudioDataModule, "prepare_data", really(AudioDataModule.prepare_data)),
        (AudioDataModule, "setup", really(AudioDataModule.setup)),
        (DataLoader, "__iter__", really(DataLoader.__iter__)),
        (_BaseDataLoaderIter, "__next__", really(_BaseDataLoaderIter.__next__)),
        (Trainer, "_run", run_on_it),
    ]
    with ExitStack() as stack:
        for owner, name, stand_in in replaced:
            stack.enter_context(patch.object(owner, name, stand_in))
        yield gpu
