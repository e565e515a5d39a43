"""What the processes of a training exchange in each step."""

from collections import Counter
from collections.abc import Sequence

import torch
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch.utils._python_dispatch import TorchDispatchMode

from lincae.cli.main import main


class Exchanges(TorchDispatchMode):
    """Counts operations over all processes."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        space, _, name = function._schema.name.partition("::")
        if space == "c10d":
            self.counts[name] += 1
        return function(*arguments, **(settings or {}))


def exchanges_of_steps(trainings: Sequence[Sequence[str]]) -> list[list[dict[str, int]]]:
    """Trains with each of several lists of arguments, and counts what each batch exchanges, by operation."""
    torch.set_num_threads(1)
    advance, found = _TrainingEpochLoop.advance, []

    def counted(loop, data):
        with Exchanges() as exchanges:
            advance(loop, data)
        found[-1].append(dict(exchanges.counts))

    _TrainingEpochLoop.advance = counted
    for arguments in trainings:
        found.append([])
        main(["fit", *arguments])
    return found
