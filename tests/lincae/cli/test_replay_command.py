"""A training that really breaks down, and its step taken again in another process."""

import torch

from lincae.broken_step import BrokenStep
from lincae.cli.replay import main


def test_a_learning_rate_without_measure_is_caught_and_replayed(fit, music, tmp_path, capsys):
    done = fit(
        f"--data.train={music}",
        "--model.optimizer=torch.optim.SGD",
        "--model.optimizer.lr=1e25",
        "--model.learning_rate_schedule.warmup=0",
        "--data.batch_size=6",
        "--data.group_size=3",
        check=False,
    )
    assert done.returncode != 0
    assert "the loss of step 2 is not finite" in done.stderr
    assert not list(tmp_path.rglob("*.ckpt"))
    file = tmp_path / "broken" / "step=2.pt"
    broken = BrokenStep.load(file)
    assert broken.groups == [2, 3]
    assert broken.config["data"]["init_args"]["group_size"] == 3
    assert all(weight.isfinite().all() for weight in broken.weights.values())
    assert max(weight.abs().max() for weight in broken.weights.values()) > 1e20
    assert not torch.isfinite(broken.losses).all()
    main([str(file)])
    printed = capsys.readouterr().out
    assert "all rows are the same, bit for bit" in printed
    assert "not finite, in the order of the step:\n  losses: " in printed  # a square overflows, and nothing before it
    assert str(music) in printed
