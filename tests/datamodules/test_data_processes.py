import errno
import multiprocessing
import os
import select
import signal
import time
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import pytest

from datamodules.processes import in_processes


class Item(NamedTuple):
    path: str


BATCHES = [[Item(f"{batch}/{number}") for number in range(5)] for batch in range(7)]


@pytest.fixture
def lifeline():
    """A pipe whose end `wait` sees once no process is left that was forked while it was open."""
    reading, writing = os.pipe()

    def wait(seconds: float = 10.0) -> bool:
        os.close(writing)
        return bool(select.select([reading], [], [], seconds)[0]) and not os.read(reading, 1)

    yield wait
    os.close(reading)


def with_pid(batch):
    for item in batch:
        yield item.path, os.getpid()


@pytest.mark.parametrize("processes", [1, 3, 20])
def test_each_batch_is_done_in_order_in_a_process_of_its_own(processes):
    found = list(in_processes(with_pid, BATCHES, processes))
    assert sorted(path for path, _ in found) == [item.path for batch in BATCHES for item in batch]
    for batch in range(7):
        paths, pids = zip(*[(path, pid) for path, pid in found if path.startswith(f"{batch}/")], strict=True)
        assert paths == tuple(item.path for item in BATCHES[batch])
        assert len(set(pids)) == 1
    assert len({pid for _, pid in found}) == 7
    assert os.getpid() not in {pid for _, pid in found}


def test_as_many_processes_as_asked_for_are_at_work_and_no_more():
    together = multiprocessing.get_context("fork").Barrier(2)

    def work(batch):
        together.wait(60)  # for another one that is at work
        start = time.monotonic()
        time.sleep(0.05)
        yield start, time.monotonic()

    spans = list(in_processes(work, [[item] for item, *_ in BATCHES[:6]], 2))
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) <= 2


def test_an_error_arrives_as_it_was_with_the_traceback_of_its_process():
    def work(batch):
        for item in batch:
            if item.path == "2/1":
                raise OSError(errno.ENOSPC, "No space left on device", item.path)
            yield item

    with pytest.raises(OSError, match=r"No space left on device: '2/1'") as caught:
        list(in_processes(work, BATCHES, 2))
    assert caught.value.errno == errno.ENOSPC
    assert "in work\n" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("die", "message"),
    [
        (lambda: os._exit(7), "died with exit status 7. Put this file aside"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "was killed by SIGTERM. Put this file aside"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL .*out of memory"),
    ],
)
def test_a_dead_process_is_an_error_that_names_the_file(die, message):
    def work(batch):
        for item in batch:
            if item.path == "3/2":
                die()
            yield item

    with pytest.raises(RuntimeError, match=rf"worked on 3/2 {message}"):
        list(in_processes(work, BATCHES, 2))


def stay(batch):
    for item in batch:
        yield item
        time.sleep(60)


def test_processes_end_with_the_iterator(lifeline):
    with closing(in_processes(stay, BATCHES, 3)) as results:
        assert len(list(islice(results, 3))) == 3
    assert lifeline()


def test_processes_end_when_their_parent_is_killed(lifeline):
    def parent():
        for number, _ in enumerate(in_processes(stay, BATCHES, 3), 1):
            if number == 3:
                os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
    assert lifeline()
