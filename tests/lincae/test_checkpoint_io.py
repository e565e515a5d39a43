"""Writing checkpoints: whole or not there."""

import os

import pytest
import torch

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
    ("failing", "error"), [("pickling", RuntimeError), ("fsync", OSError), ("replace", KeyboardInterrupt)]
)
def test_a_save_that_fails_leaves_the_earlier_checkpoint(stored, monkeypatch, failing, error):
    before = stored.read_bytes()
    checkpoint = {"state_dict": {"w": torch.ones(100_000)}, "global_step": 4}
    if failing == "pickling":
        checkpoint["last"] = Unpicklable()
    else:

        def fail(*arguments):
            assert [path for path in stored.parent.iterdir() if path != stored], "written beside the checkpoint"
            raise error("no space left on device")

        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(error):
        AtomicCheckpointIO().save_checkpoint(checkpoint, stored)
    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]
