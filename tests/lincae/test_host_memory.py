"""Memory that is kept is not fetched from the system again."""

import resource

from lincae.host_memory import keep_freed_memory

SIZE = 2**28
PAGES = SIZE // resource.getpagesize()


def faults_of_ten_blocks() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        bytes([1]) * SIZE
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_blocks_after_the_first_find_their_pages_ready():
    assert keep_freed_memory()
    assert faults_of_ten_blocks() < 2 * PAGES  # without it, ten times as many as one block has
