"""Signals that ask a training to stop: noticed at once, obeyed at the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType

STOP_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGINT") if hasattr(signal, name)]
"""Of a scheduler that takes the machine back, of one that warns before a time limit (not on Windows), of Ctrl-C."""

EXIT_STATUS = {each: 130 if each == signal.SIGINT else 75 for each in STOP_SIGNALS}
"""75, `EX_TEMPFAIL`: run the same again. 130: as shells report Ctrl-C."""


class StopSignals:
    """Notes the first signal that comes. A second Ctrl-C acts at once.

    Attributes:
        received: that signal; None so far.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def catch(self) -> None:
        """From now on. A signal that is ignored stays so, as Ctrl-C is in the background."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals are the main thread's
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)


def leave_signals_to_the_trainer(worker: int) -> None:
    """For a loader's worker: a scheduler signals all processes of a job, but only the trainer knows when to stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
