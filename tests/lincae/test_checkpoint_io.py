"""Writing checkpoints: whole or not there."""

import os
import resource

import pytest
import torch

from lincae.checkpoint_files import CheckpointError
from lincae.checkpoint_io import AtomicCheckpointIO


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("not to be pickled")


@pytest.fixture
def stored(tmp_path):
    """A checkpoint, saved, with no other file beside it."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = {"global_step": 3, "config": {"a": [1, None]}, "state_dict": {"w": torch.arange(6.0).view(2, 3)}}
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    return path


def test_what_is_saved_is_loaded(stored):
    checkpoint = AtomicCheckpointIO().load_checkpoint(stored)
    torch.testing.assert_close(checkpoint.pop("state_dict")["w"], torch.arange(6.0).view(2, 3), rtol=0, atol=0)
    assert checkpoint == {"global_step": 3, "config": {"a": [1, None]}}
    assert list(stored.parent.iterdir()) == [stored]


def test_saving_replaces_an_earlier_checkpoint(stored):
    AtomicCheckpointIO().save_checkpoint({"global_step": 4}, stored)
    assert AtomicCheckpointIO().load_checkpoint(stored) == {"global_step": 4}
    assert list(stored.parent.iterdir()) == [stored]


@pytest.mark.parametrize(
    ("failing", "error", "raised"),
    [
        ("pickling", RuntimeError, RuntimeError),
        ("fsync", OSError, CheckpointError),
        ("replace", KeyboardInterrupt, KeyboardInterrupt),
    ],
)
def test_a_save_that_fails_leaves_the_earlier_checkpoint(stored, monkeypatch, failing, error, raised):
    before = stored.read_bytes()
    checkpoint = {"state_dict": {"w": torch.ones(100_000)}, "global_step": 4}
    if failing == "pickling":
        checkpoint["last"] = Unpicklable()
    else:

        def fail(*arguments):
            assert [path for path in stored.parent.iterdir() if path != stored], "written beside the checkpoint"
            raise error(5, "Input/output error")

        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(raised):
        AtomicCheckpointIO().save_checkpoint(checkpoint, stored)
    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]


@pytest.fixture
def small_disk():
    """A limit on the size of files, 20 kB, as the system enforces it; writes beyond it fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["last.ckpt", "other.ckpt"])
def test_a_disk_that_takes_no_more_is_named_and_leaves_the_earlier_checkpoint(stored, small_disk, name):
    before = stored.read_bytes()
    checkpoint = {"state_dict": {"w": torch.ones(100_000)}}
    with pytest.raises(CheckpointError, match=rf"checkpoints/{name}: File too large\. Earlier .* are whole: make room"):
        AtomicCheckpointIO().save_checkpoint(checkpoint, stored.with_name(name))
    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]


def test_a_damaged_checkpoint_is_not_loaded(stored):
    """`torch.load` alone would take the changed numbers."""
    content = bytearray(stored.read_bytes())
    place = content.index(torch.arange(6.0).numpy().tobytes())
    content[place] ^= 1
    stored.write_bytes(content)
    assert torch.load(stored, weights_only=True)["state_dict"]["w"][0, 0] != 0
    with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged: the checksum of .*--ckpt_path=last"):
        AtomicCheckpointIO().load_checkpoint(stored)
