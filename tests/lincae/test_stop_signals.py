"""Signals that ask a training to stop."""

import multiprocessing
import os
import signal

import pytest

from lincae.stop_signals import STOP_SIGNALS, StopSignals, leave_signals_to_the_trainer


@pytest.fixture(autouse=True)
def handlers():
    """Puts back what other tests rely on."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_is_noted(number):
    signals = StopSignals()
    signals.catch()
    assert signals.received is None
    os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == number


def test_a_second_interrupt_acts_at_once():
    signals = StopSignals()
    signals.catch()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_an_ignored_interrupt_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals = StopSignals()
    signals.catch()
    os.kill(os.getpid(), signal.SIGINT)
    assert signals.received is None


def worker(ready, go_on):
    leave_signals_to_the_trainer(0)
    ready.set()
    go_on.wait(60)


def test_a_worker_outlives_signals_to_all_processes_of_a_job():
    context = multiprocessing.get_context("fork")
    ready, go_on = context.Event(), context.Event()
    process = context.Process(target=worker, args=(ready, go_on))
    process.start()
    assert ready.wait(60)
    for number in STOP_SIGNALS:
        os.kill(process.pid, number)
    go_on.set()
    process.join(60)
    assert process.exitcode == 0
