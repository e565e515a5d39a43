"""What all commands share: limits of numbers, and how they refuse."""

import argparse

import pytest

from lincae.cli.command_line import number, refusals, refuse


def test_a_number_has_a_least_value():
    assert [number(int, 1)("1"), number(float, 1)("12.5")] == [1, 12.5]
    with pytest.raises(argparse.ArgumentTypeError, match=r"'0\.5' is not a number of 1 or more"):
        number(float, 1)("0.5")


@pytest.mark.parametrize("text", ["3.1", "nan", "inf", "-inf", "-1", "one", ""])
def test_numbers_beyond_limits_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=rf"'{text}' is not a number from 0 to 3"):
        number(float, 0, 3)(text)


def test_a_refusal_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit, match=r"^error: first second$") as stopped:
        refuse("first\n   second\n")
    assert stopped.value.code == 2
    assert capsys.readouterr() == ("", "error: first second\n")


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, RuntimeError, ModuleNotFoundError])
def test_errors_that_a_message_explains_are_refusals(error, capsys):
    with pytest.raises(SystemExit) as stopped, refusals():
        raise error("give another")
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: give another\n"


@pytest.mark.parametrize("error", [TypeError, AssertionError, ImportError, KeyboardInterrupt])
def test_other_errors_pass(error):
    with pytest.raises(error, match="mistake"), refusals():
        raise error("mistake")
