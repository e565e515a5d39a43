"""Functions that run in several processes of one group."""

import os
from collections.abc import Callable
from pathlib import Path

import torch


def one_of_several(rank: int, processes: int, port: int, folder: str, function: Callable, *arguments) -> None:
    """Runs a function in one of several processes, as torchrun starts them; what it returns goes to a file."""
    sizes = dict.fromkeys(["WORLD_SIZE", "LOCAL_WORLD_SIZE"], str(processes)) | {"GROUP_RANK": "0"}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update(address | sizes | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
    torch.save(function(*arguments), Path(folder) / f"rank={rank}.pt")
