"""Every `lincae ...` line of the documents' code blocks, given to the parser of its command, which then stops."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from lincae.cli import training
from lincae.cli.main import COMMANDS, main

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
PLACEHOLDERS = {"NAME": "sources", "STEPS": "1"}


class ParsedError(Exception):
    """A command line passed."""


def command_lines(page):
    """The words after `lincae` or `lightning`, of bash blocks and of what stands after `$ ` in others."""
    for kind, block in re.findall(r"```(\w*)\n(.*?)```", page.read_text(), re.DOTALL):
        variables = {}
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            if not (kind == "bash" or line.startswith("$ ")):
                continue
            if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
                variables["$" + assigned[1]] = assigned[2]
                continue
            for name, value in variables.items():
                line = line.replace(name, value)
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.match(r"\w+=", words[0]):
                del words[0]
            if words and words[0] in ("lincae", "lightning"):
                words = [re.sub(r"[A-Z]+", lambda word: PLACEHOLDERS.get(word[0], word[0]), word) for word in words]
                end = next((place for place, word in enumerate(words) if word in ("|", "&&", ";", ">", "&")), None)
                yield [word for word in words[1:end] if not re.fullmatch(r"\$\w+", word)]  # variables of loops


LINES = list(dict.fromkeys((page.name, shlex.join(words)) for page in PAGES for words in command_lines(page)))


def test_most_commands_are_documented():
    named = {line.split()[0] for _, line in LINES}
    assert len(LINES) > 50
    assert named <= COMMANDS.keys()
    assert COMMANDS.keys() - named <= {"validate"}


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page}: {line[:60]}" for page, line in LINES])
def test_a_documented_command_line_is_one(page, line, monkeypatch, capsys):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *arguments, **settings):
        parsed = parse(parser, *arguments, **settings)
        if not type(parser).__module__.startswith("argparse"):
            return parsed
        raise ParsedError

    def stop(*_):
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.setattr(training.TrainingCLI, "_parse_ckpt_path", lambda cli: None)
    monkeypatch.setattr(training.TrainingCLI, "before_instantiate_classes", stop)
    monkeypatch.chdir(PROJECT)
    try:
        with pytest.raises(ParsedError):
            main(shlex.split(line))
    except SystemExit:
        pytest.fail(f"{page}: lincae {line}: {capsys.readouterr().err}")
