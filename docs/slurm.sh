#!/bin/bash
# One training on SLURM, as many times requeued as it takes.
#
#     sbatch docs/slurm.sh --config lincae.yaml --data.train=/data/music --data.group_size=5 --data.batch_size=20
#
#SBATCH --job-name=lin-cae
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4        # a process for each GPU
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=USR1@300          # five minutes before the time is up: save and end with status 75
#SBATCH --open-mode=append

RUN=${RUN:-runs/lin-cae}

resume=()
if compgen -G "$RUN/checkpoints/*.ckpt" >/dev/null; then
    resume=(--ckpt_path=last)
fi

srun lincae fit "$@" \
    --trainer.default_root_dir="$RUN" \
    --trainer.num_nodes="$SLURM_JOB_NUM_NODES" \
    --trainer.devices="$SLURM_NTASKS_PER_NODE" \
    --trainer.strategy=ddp \
    "${resume[@]}"
status=$?

if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
