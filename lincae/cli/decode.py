"""`lincae decode`: files of latents to audio files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from tqdm import tqdm

from lincae.cli.audio_files import FORMATS, Sound, scaled_down, write_sound
from lincae.cli.channels import decode_channels
from lincae.cli.file_jobs import LATENTS, Advance, Job, check_targets, plan, run_each, stoppable
from lincae.cli.latent_files import LatentHeader, read_latent_header, read_latents
from lincae.cli.trained import Trained, add_decoding_options, add_working_options, load_trained
from lincae.cli.wording import counted, duration
from lincae.pretrained import names_class


def main(arguments: Sequence[str]) -> None:
    """Decode files and folders."""
    parser = argparse.ArgumentParser(
        prog="lincae decode",
        allow_abbrev=False,
        description="Decode what `lincae encode` wrote, to the length, rate and channels of the original.",
    )
    parser.add_argument("input", nargs="+", type=Path, metavar="IN", help="file of latents, or folder of such")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder, or for one file FILE.wav or FILE.flac"
    )
    parser.add_argument("--model", metavar="SOURCE", help="(default: the folder or file that the latents name)")
    parser.add_argument(
        "--format", choices=[suffix[1:] for suffix in FORMATS], help="of files in a folder (default: wav, 32-bit float)"
    )
    parser.add_argument(
        "--rate", choices=["original", "model"], default="original", help="of the audio (default: %(default)s)"
    )
    add_decoding_options(parser)
    add_working_options(parser)
    with stoppable():
        decode(parser.parse_args(arguments))


def decode(options: argparse.Namespace) -> None:
    """Decodes one file after the other, when all of them are known to be latents of the models that are there."""
    jobs = plan(options.input, options.output, [LATENTS], list(FORMATS), options.format and f".{options.format}")
    check_targets([job.target for job in jobs], options.overwrite)
    headers = [read_latent_header(job.source) for job in jobs]
    sources = [options.model or header.model for header in headers]
    models = models_of(jobs, sources, headers, options)

    def work(number: int, advance: Advance) -> None:
        (path, target), header, model = jobs[number], headers[number], models[sources[number]].model
        model.scale_factor = header.scale_factor
        audio = decode_channels(model, read_latents(path), header.channels, header.samples, options, advance)
        rate, samples = model.sample_rate, header.samples
        if options.rate == "original":
            rate, samples = header.original_rate, header.original_samples
        gain = write_sound(target, Sound(audio, samples), model.sample_rate, rate)
        if gain < 1:
            tqdm.write(scaled_down(target, gain))

    began, seconds = monotonic(), sum(header.seconds for header in headers)
    run_each(jobs, seconds, work, "decoding")
    print(f"{options.output}: {counted(len(jobs), 'file')}, {duration(seconds)}, in {duration(monotonic() - began)}")


def models_of(
    jobs: Sequence[Job], sources: Sequence[str], headers: Sequence[LatentHeader], options: argparse.Namespace
) -> dict[str, Trained]:
    """The model of each source.

    Raises:
        ValueError: if latents are of another model than their source is now, or name a class for it.
        FileNotFoundError: if a source cannot be found.
    """
    models: dict[str, Trained] = {}
    for job, source, header in zip(jobs, sources, headers, strict=True):
        if source not in models:
            if not options.model and names_class(source):
                raise ValueError(
                    f"{job.source} names the class {source} for its model, and nothing is imported because a file "
                    f"names it. If you trust that class, give it: --model {source}"
                )
            try:
                models[source] = load_trained(source, options)
            except FileNotFoundError as error:
                cure = "" if options.model else f"{job.source} names its model so; give it with --model SOURCE: "
                raise FileNotFoundError(f"{cure}{error}") from error
        model, _, sha256 = models[source]
        if (sha256, model.sample_rate) != (header.sha256, header.sample_rate):
            raise ValueError(
                f"{job.source} holds latents of another model: their weights' hash is {header.sha256[:12]}, that of "
                f"{source} is {sha256[:12]}. Give the model that encoded them, {header.model} then, with --model"
            )
    return models
