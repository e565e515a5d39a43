"""What several processes exchange in each step of a training, with the callbacks of the default configuration."""

import pytest
from collectives import exchanges_of_steps
from commands import TINY

STEPS = 6
GRADIENTS, LOSS, BUFFERS, SPREAD = 1, 1, 1, 1
"""What nobody waits for on a GPU: the gradients, the loss for the log, buffers before the forward pass, and the spread
of latents where the averaged weights are updated, as in the last step."""


@pytest.fixture(scope="module")
def exchanged(together, music, tmp_path_factory):
    """For a training that logs no step, and one without `FiniteLoss`: the operations of each step in each process."""
    settings = ["--config", str(TINY), f"--data.train={music}", "--data.group_size=2", f"--trainer.max_steps={STEPS}"]
    settings += ["--trainer.devices=2", "--trainer.strategy=ddp"]
    trainings = []
    for more in (["--trainer.log_every_n_steps=0"], ["--trainer.log_every_n_steps=50", "--callbacks.finite_loss=null"]):
        folder = tmp_path_factory.mktemp("run")
        places = [f"--trainer.default_root_dir={folder}", f"--trainer.logger.save_dir={folder}"]
        trainings.append([*settings, *places, *more])
    return together(2, exchanges_of_steps, trainings)


def test_all_processes_take_all_steps_where_none_is_logged(exchanged):
    assert [len(logless) for logless, _ in exchanged] == [STEPS, STEPS]


def test_verdicts_and_signals_are_one_exchange_of_a_step(exchanged):
    for steps, _ in exchanged:
        usual = {"allgather_": 1, "allreduce_": GRADIENTS + LOSS, "broadcast_": BUFFERS}
        assert steps[2:] == (STEPS - 3) * [usual] + [{**usual, "allgather_": 1 + SPREAD}]


def test_signals_are_still_exchanged_where_there_are_no_verdicts(exchanged):
    for _, steps in exchanged:  # after the last step comes a validation
        assert steps[2:-1] == (STEPS - 3) * [{"allreduce_": GRADIENTS + LOSS + 1, "broadcast_": BUFFERS}]
