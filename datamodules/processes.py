"""Work on many files in processes of their own, which are never waited for in vain and never outlive this one."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing import connection, parent_process
from typing import Any, Protocol, TypeVar

from lincae.machine import forks

Result = TypeVar("Result")


class File(Protocol):
    """What is worked on: anything that has a path."""

    @property
    def path(self) -> str: ...


Batch = TypeVar("Batch", bound=Sequence[File])


def in_processes(
    work: Callable[[Batch], Iterable[Result]], batches: Iterable[Batch], processes: int
) -> Generator[Result]:
    """Does each batch of files in a process of its own, and yields the results as they come.

    The processes are forks. They end when the iterator is closed or fails, and when this process is killed.

    Args:
        work: yields one result for each file of a batch, in the order of the files.
        batches: the files.
        processes: batches that are worked on at the same time.

    Raises:
        RuntimeError: if a process dies; it names the file and the signal or exit status. If the system has no forks.
        Exception: what `work` raises, with the traceback of its process as a note.
    """
    ready: Any
    context, waiting = forks(), iter(batches)
    running: dict[Any, tuple[Any, Iterator[File]]] = {}  # by the end of the pipe from which results come
    try:
        while True:
            while len(running) < processes and (batch := next(waiting, None)) is not None:
                reader, writer = context.Pipe(duplex=False)
                process = context.Process(target=work_through, args=(work, batch, writer), daemon=True)
                process.start()
                writer.close()  # here; once its process has closed it too, the pipe is at an end
                running[reader] = process, iter(batch)
            if not running:
                return
            for ready in connection.wait(list(running)):
                process, files = running[ready]
                try:
                    result = ready.recv()
                except EOFError:
                    del running[ready]
                    process.join()
                    if process.exitcode:
                        raise RuntimeError(death(process.exitcode, next(files, None))) from None
                    continue
                if isinstance(result, Exception):
                    raise result
                next(files)
                yield result
    finally:
        for process, _ in running.values():
            process.kill()
            process.join()


def work_through(work: Callable[[Batch], Iterable[Result]], batch: Batch, results: Any) -> None:
    """What a process does: sends the result of each file, or at last an exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and decides
    with open(os.devnull, "wb") as silence:
        os.dup2(silence.fileno(), 2)  # libmpg123 mutters there, about files that it does not name
    threading.Thread(target=leave_with_parent, daemon=True).start()
    try:
        for result in work(batch):
            results.send(result)
    except Exception as error:
        error.add_note(traceback.format_exc())
        results.send(error)


def leave_with_parent() -> None:
    """Ends this process once the one that started it is gone, even if that was killed."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


def death(exitcode: int, file: File | None) -> str:
    """How a process died.

    Args:
        exitcode: as of `multiprocessing.Process`: minus the number of a signal, or an exit status.
        file: what it worked on; None if it was through.
    """
    cause = f"was killed by {signal.Signals(-exitcode).name}" if exitcode < 0 else f"died with exit status {exitcode}"
    memory = " (the machine may be out of memory: use fewer --processes)" if exitcode == -signal.SIGKILL else ""
    cure = "" if memory else ". Put this file aside if it happens again"
    return f"the process that worked on {file.path if file else 'the end of a batch'} {cause}{memory}{cure}"
