"""Which checkpoints there are, which are whole, and which is the newest."""

import random

import pytest
import torch

from lincae.checkpoint_files import (
    CheckpointError,
    damage,
    link_last,
    newest_first,
    newest_whole,
    path_of,
    read_checkpoint,
    remove_older,
    remove_partial,
    steps_in,
)


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of three steps and files that are none."""
    for step in (9, 10, 100):
        torch.save({"global_step": step, "w": torch.arange(300.0)}, path_of(tmp_path, step))
    for name in ("step=x.ckpt", "step=1.ckpt.copy", ".step=101.ckpt.partial", "notes.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_checkpoints_are_ordered_by_their_steps(folder):
    assert steps_in(folder) == [9, 10, 100]
    assert [path.name for path in newest_first(folder)] == ["step=100.ckpt", "step=10.ckpt", "step=9.ckpt"]
    assert newest_first(folder / "nowhere") == []


def test_a_link_is_no_checkpoint_of_its_own_and_a_copy_is_the_newest(folder):
    link_last(path_of(folder, 10))
    assert len(newest_first(folder)) == 3
    (folder / "last.ckpt").unlink()
    (folder / "last.ckpt").write_bytes(path_of(folder, 10).read_bytes())
    assert newest_first(folder)[0].name == "last.ckpt"


def test_the_link_moves_to_the_newest_also_from_a_file_or_to_what_was_moved(folder):
    (folder / "last.ckpt").write_text("of an earlier version")
    for step in (9, 100):
        link_last(path_of(folder, step))
        assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == step
    moved = folder.rename(folder.with_name("moved"))
    assert torch.load(moved / "last.ckpt", weights_only=True)["global_step"] == 100
    assert not list(moved.glob(".last*"))


@pytest.mark.parametrize(("keep", "left"), [(1, [10, 100]), (2, [9, 10, 100])])
def test_older_ones_are_removed_and_later_ones_left(folder, keep, left):
    remove_older(folder, 10, keep)
    assert steps_in(folder) == left


def test_what_a_killed_process_left_is_removed(folder):
    remove_partial(folder)
    assert not list(folder.glob("*.partial"))
    assert steps_in(folder) == [9, 10, 100]


def test_every_changed_byte_is_found_or_changes_nothing(folder):
    """Padding between the parts of a file has no checksum, and nobody reads it."""
    file = path_of(folder, 9)
    whole, found, harmless = file.read_bytes(), 0, 0
    assert damage(file) is None
    rng = random.Random(0)
    for place in rng.sample(range(len(whole)), 300):
        content = bytearray(whole)
        content[place] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        if damage(file):
            found += 1
        else:
            harmless += 1
            read = torch.load(file, weights_only=True)
            assert read["global_step"] == 9
            assert torch.equal(read["w"], torch.arange(300.0))
    assert found > 150
    assert found + harmless == 300


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1])
def test_a_cut_file_is_damaged(folder, length):
    file = path_of(folder, 9)
    file.write_bytes(file.read_bytes()[:length])
    assert damage(file)
    with pytest.raises(CheckpointError, match=r"step=9\.ckpt is damaged"):
        read_checkpoint(file)


def test_damaged_ones_are_reported_and_passed_over(folder):
    reports = []
    assert newest_whole(folder, reports.append) == path_of(folder, 100)
    assert reports == []
    path_of(folder, 100).write_bytes(b"\0" * 1000)
    assert newest_whole(folder, reports.append) == path_of(folder, 10)
    (report,) = reports
    assert str(path_of(folder, 100)) in report
    for step in (9, 10):
        path_of(folder, step).write_text("")
    with pytest.raises(CheckpointError, match=r"all checkpoints in .* are damaged: step=100\.ckpt, step=10\.ckpt, "):
        newest_whole(folder, reports.append)
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*nowhere; is trainer\.default_root_dir right"):
        newest_whole(folder / "nowhere", reports.append)


def test_a_missing_file_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "nothing.ckpt")
