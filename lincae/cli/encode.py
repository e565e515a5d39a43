"""`lincae encode`: audio files to files of latents."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from datamodules.walking import EXTENSIONS, FOREIGN
from lincae.cli.audio_files import read_headers, read_sound
from lincae.cli.channels import check_channels, encode_channels
from lincae.cli.file_jobs import LATENTS, Advance, check_targets, plan, run_each, stoppable
from lincae.cli.latent_files import LatentHeader, write_latents
from lincae.cli.trained import add_working_options, load_trained
from lincae.cli.wording import counted, duration


def main(arguments: Sequence[str]) -> None:
    """Encode files and folders."""
    parser = argparse.ArgumentParser(
        prog="lincae encode",
        allow_abbrev=False,
        description="Encode audio of any format, rate, length and number of channels.",
    )
    parser.add_argument("input", nargs="+", type=Path, metavar="IN", help="audio file, or folder of such")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder, or for one file FILE.safetensors"
    )
    parser.add_argument("--model", required=True, metavar="SOURCE", help="a run, a saved folder, a .ckpt, or a name")
    add_working_options(parser)
    with stoppable():
        encode(parser.parse_args(arguments))


def encode(options: argparse.Namespace) -> None:
    """Encodes one file after the other, when all of them are known to be readable."""
    jobs = plan(options.input, options.output, EXTENSIONS, [LATENTS], unreadable=FOREIGN)
    check_targets([job.target for job in jobs], options.overwrite)
    headers = read_headers([job.source for job in jobs])
    model, source, sha256 = load_trained(options.model, options)
    check_channels(model, [(job.source, file.channels) for job, file in zip(jobs, headers, strict=True)])

    def work(number: int, advance: Advance) -> None:
        (path, target), file = jobs[number], headers[number]
        sound = read_sound(path, file, model.sample_rate)
        channels, samples = sound.audio.shape
        latents = encode_channels(model, sound.audio, advance(file.frames / file.rate))
        header = LatentHeader(
            model=source,
            sha256=sha256,
            scale_factor=model.scale_factor,
            sample_rate=model.sample_rate,
            samples=samples,
            channels=channels,
            original_rate=file.rate,
            original_samples=sound.frames,
        )
        write_latents(target, latents, header)

    began, seconds = monotonic(), sum(file.frames / file.rate for file in headers)
    run_each(jobs, seconds, work, "encoding")
    print(f"{options.output}: {counted(len(jobs), 'file')}, {duration(seconds)}, in {duration(monotonic() - began)}")
