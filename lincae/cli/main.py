"""The commands `lincae` and `lightning`."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

TRAINER = {
    "fit": "train a model by a configuration, or continue a run with --ckpt_path last",
    "validate": "the metrics of a validation for one checkpoint",
}
"""Commands of Lightning's trainer, in `lincae.cli.training`."""

COMMANDS = {
    **TRAINER,
    "evaluate": "how linear models are and how good they sound, with a page of plots and sounds",
    "report": "finished evaluations on one page",
    "encode": "audio files to files of latents",
    "decode": "files of latents to audio files",
    "mix": "a weighted sum of sounds, made of their latents",
    "separate": "a mix without some of its known parts, made of their latents",
    "export": "a trained model as a folder to keep, share and load",
    "data": "check audio before a training, or prepare it as shards",
    "retrofit": "make the latent space of a trained autoencoder linear",
    "linear": "the best linear autoencoder with as many latents as a model",
    "sweep": "trainings over a search space",
    "experiment": "one question, a few small trainings, a table",
    "demo": "train tiny models on synthetic audio and show what implicit linearity changes",
    "replay": "a training step whose numbers broke, once more",
}
"""Name -> what it does; each but the trainer's is the `main` of the module of that name."""

UNREAD = 141  # as shells report SIGPIPE


class Output(io.TextIOWrapper):
    """A stream of the process that copes with a reader who has gone, such as `head`."""

    def write(self, text: str) -> int:
        """Writes, as `print` does; nothing that handles errors of files takes its end for one of them."""
        try:
            return super().write(text)
        except BrokenPipeError:
            return self._unread()

    def flush(self) -> None:
        """Writes what is left."""
        try:
            super().flush()
        except BrokenPipeError:
            self._unread()

    def _unread(self) -> int:
        """Ends the process if nobody reads its output; errors that nobody reads are lost."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if self.fileno() == 1:
            raise SystemExit(UNREAD)
        return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line: that of the process if none is given."""
    if arguments is not None:
        return run(arguments)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            settings = {key: getattr(stream, key) for key in ("encoding", "errors", "line_buffering", "write_through")}
            same = io.BufferedWriter(io.FileIO(stream.fileno(), "w", closefd=False))  # the old one stays open
            setattr(sys, name, Output(same, **settings))
    try:
        run(sys.argv[1:])
    finally:
        sys.stdout.flush()


def run(arguments: Sequence[str]) -> None:
    """Run the command that the first argument names; options alone are Lightning's."""
    name, *rest = arguments or [""]
    if name in ("-h", "--help"):
        print(usage())
    elif name in TRAINER or name.startswith("-"):
        importlib.import_module("lincae.cli.training").main(arguments)
    elif name in COMMANDS:
        importlib.import_module(f"lincae.cli.{name}").main(rest)
    else:
        refuse(name)


def refuse(name: str) -> NoReturn:
    """Ends with exit status 2 and the commands that may have been meant, or all of them if none was given."""
    if not name:
        print(usage(), file=sys.stderr)
        raise SystemExit(2)
    close = get_close_matches(name, COMMANDS)
    meant = f"Did you mean {' or '.join(close)}? " if close else ""
    print(f"error: there is no command {name!r}. {meant}`lincae --help` lists all", file=sys.stderr)
    raise SystemExit(2)


def usage() -> str:
    """All commands, a line for each."""
    lines = [f"  {name:<12}{line}" for name, line in COMMANDS.items()]
    return "\n".join(
        [
            "usage: lincae COMMAND [ARGUMENT ...]",
            "",
            "Train and use audio autoencoders whose latent space is linear.",
            "",
            *lines,
            "",
            "lincae COMMAND --help lists the arguments of a command.",
        ]
    )


if __name__ == "__main__":
    main()
