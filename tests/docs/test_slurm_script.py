"""The SLURM script of the documents, with programs that only note how they are called in the place of SLURM's."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "slurm.sh"


@pytest.mark.parametrize(("status", "requeued"), [(0, False), (75, True), (1, False)])
@pytest.mark.parametrize("begun", [False, True])
def test_a_stopped_job_is_requeued_and_goes_on(tmp_path, status, requeued, begun):
    for name, ending in {"srun": status, "scontrol": 0}.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/bash\necho "$(basename $0)" "$@" >> calls\nexit {ending}\n')
        program.chmod(0o755)
    if begun:
        (tmp_path / "here" / "checkpoints").mkdir(parents=True)
        (tmp_path / "here" / "checkpoints" / "step=9.ckpt").touch()  # `last.ckpt` is missing without links
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "4", "RUN": "here"}
    done = subprocess.run(
        [SCRIPT, "--config", "a b.yaml"], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin", **job}, check=False
    )
    assert done.returncode == status
    training = (
        "srun lincae fit --config a b.yaml --trainer.default_root_dir=here --trainer.num_nodes=2 --trainer.devices=4 "
        "--trainer.strategy=ddp" + " --ckpt_path=last" * begun
    )
    assert (tmp_path / "calls").read_text().splitlines() == [training, *["scontrol requeue 7"] * requeued]
