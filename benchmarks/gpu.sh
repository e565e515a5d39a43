#!/usr/bin/env bash
# What docs/performance.md lacks: the measurements that need a GPU, in at most eight minutes on an H200.
#
#     bash benchmarks/gpu.sh runs/gpu-figures
#     SMALL=1 bash benchmarks/gpu.sh /tmp/dry        all parts at the sizes of a test, also on a CPU
#
# Writes a file for each part into the folder as soon as it is measured, what says most first. A part that fails, or takes
# longer than its limit in seconds, says so in its file, and the others go on. PYTHON is the command to run in place of
# `python`; it needs the packages of pyproject.toml, and lincae need not be installed. Where there is no package index:
# `pip download -d wheels jsonargparse[signatures] soundfile soxr wandb rich safetensors huggingface_hub` for that machine's
# Python, and there `pip install --no-index --find-links wheels ...`. `inference` and `published` need `linear-cae`, too.
set -u
out=$(realpath -m "${1:?the folder to write to}")
cd "$(dirname "$0")/.." || exit
mkdir -p "$out"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
python=${PYTHON:-python}
if [ -n "${SMALL:-}" ]; then
    small=(--small) clips=4 audio=(--seconds 2)
    config=(--config tests/configs/tiny.yaml --trainer.max_steps=4 --data.steps_per_epoch=2)
else
    small=() clips=80 audio=()
    config=(--config lincae.yaml --trainer.max_steps=100 --data.steps_per_epoch=50)
    config+=(--data.batch_size=20 --data.validation_clips=8 --data.validation_tracks=4)
fi

measure() { # SECONDS NAME COMMAND...
    local limit=$1 name=$2 status
    shift 2
    echo "$name: $*"
    timeout --kill-after=5 "$limit" "$@" >"$out/$name.txt" 2>&1
    status=$?
    [ $status -eq 0 ] || echo "failed with status $status (124 or 137: longer than $limit s)" | tee -a "$out/$name.txt"
}

step() { # SECONDS NAME ARGUMENTS...
    measure "$1" "$2" "$python" benchmarks/step.py "${small[@]}" --rounds 1 "${@:3}"
}

measure 5 card nvidia-smi
# Group normalisation copies channels-last maps: which order is faster uncompiled?
step 70 step-eager --ways bf16 "bf16, contiguous" --steps 10 --profile
step 130 step-compiled --ways "bf16, compiled" "bf16, compiled, contiguous" --steps 10
# Steps per second of a whole training, its waiting for data, and what a validation takes: the last lines of the log.
measure 90 fit "$python" -m lincae.cli.main fit "${config[@]}" --data=datamodules.SyntheticDataModule \
    --data.root="$out/data" --data.clip_count=100 --data.track_count=4 --data.sample_rate=44100 \
    --trainer.log_every_n_steps=25 --model.compile=false --trainer.default_root_dir="$out/fit" \
    --trainer.logger=lightning.pytorch.loggers.CSVLogger --trainer.logger.save_dir="$out/fit" --trainer.logger.name=csv
step 60 memory --ways bf16 "bf16, recomputed" --clips "$clips" --steps 3
measure 60 inference "$python" benchmarks/inference.py --runs 2 "${audio[@]}"
step 45 published --ways "published, bf16" --steps 5
rm -rf "$out/data"
