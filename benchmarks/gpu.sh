#!/usr/bin/env bash
# What docs/performance.md lacks: every measurement that needs a GPU, in about ten minutes on one.
#
#     bash benchmarks/gpu.sh runs/gpu-figures
#
# Writes a file for each into the folder. A part that does not fit into the card's memory says so in its file, and the
# others go on. LINCAE is the command to run instead of `lincae`, PYTHON instead of `python`.
set -u
out=${1:?the folder to write to}
mkdir -p "$out"
python=${PYTHON:-python}
lincae=${LINCAE:-lincae}

measure() { # NAME COMMAND...
    local name=$1
    shift
    echo "$name: $*"
    "$@" >"$out/$name.txt" 2>&1 || echo "  failed: see $out/$name.txt"
}

nvidia-smi >"$out/card.txt"
measure step "$python" benchmarks/step.py --profile
measure step-eager "$python" benchmarks/step.py --ways "published, bf16" bf16 float32 --rounds 1 --steps 5
measure step-cudnn-benchmark "$python" benchmarks/step.py --ways "bf16, compiled" --cudnn-benchmark --rounds 1
for clips in 40 80 160; do
    measure "step-$clips-clips" "$python" benchmarks/step.py --ways "bf16, compiled" --clips "$clips" --rounds 1 --steps 5
done
measure inference "$python" benchmarks/inference.py --compile
# Steps per second of a whole training, its waiting for data, and what a validation takes: the last lines of the log.
measure fit "$lincae" fit --config lincae.yaml --data=datamodules.SyntheticDataModule --data.sample_rate=44100 \
    --data.samples=34304 --data.batch_size=20 --data.steps_per_epoch=150 --trainer.max_steps=300 \
    --trainer.default_root_dir="$out/fit" --trainer.log_every_n_steps=50 \
    --trainer.logger=lightning.pytorch.loggers.CSVLogger --trainer.logger.save_dir="$out/fit" --trainer.logger.name=csv
