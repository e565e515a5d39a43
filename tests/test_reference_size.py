"""The paper's configuration, on a CPU, from a folder of mixed files: two real steps. Takes minutes."""

import csv

import pytest
import torch


@pytest.mark.slow
def test_two_steps_of_the_reference_size(fit, music, tmp_path):
    done = fit(
        f"--data.train={music}",
        "--trainer.max_steps=2",
        "--trainer.log_every_n_steps=1",
        "--data.batch_size=2",
        "--data.validation_clips=2",
        "--data.validation_tracks=1",
        "--data.num_workers=1",
        "--callbacks.homogeneity.curve=[0.25,0.5,0.75,1.1]",
        "--trainer.default_root_dir=run",
        "--trainer.logger=lightning.pytorch.loggers.CSVLogger",
        "--trainer.logger.save_dir=run",
        "--trainer.logger.name=csv",
        config="lincae.yaml",
        OMP_NUM_THREADS="2",
    )
    assert "2 of 5 audio files are not used" in done.stderr
    assert "broken.wav" in done.stderr
    with (tmp_path / "run" / "csv" / "version_0" / "metrics.csv").open() as file:
        last = [row for row in csv.DictReader(file) if row["val/encoder/homogeneity_error"]][-1]
    for figure in ("encoder/homogeneity_error", "encoder/additivity_error", "decoder/additivity_mss", "separation/mss"):
        assert float(last[f"val/{figure}"]) > 0
    assert last["val/decoder/homogeneity_mss"]  # which may be nan: after two steps decodes can be silent

    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    raw, averaged = checkpoint["current_model_state"], checkpoint["state_dict"]
    assert sum(value.numel() for value in raw.values()) == 57_658_690
    output = "autoencoder.denoiser.network.conv_out.weight"  # zero-initialised
    assert raw[output].abs().max() > 0
    assert averaged[output].abs().max() > 0
