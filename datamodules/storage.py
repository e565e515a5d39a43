"""Where prepared shards lie: a folder, read by memory-map, or an object store, read by byte ranges."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeVar

Answer = TypeVar("Answer")

CONNECT_SECONDS, REQUEST_SECONDS = 10, 60
RETRIES, RETRY_SECONDS = 8, 300
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=200), timedelta(seconds=20)  # doubling, with jitter
REQUESTS_IN_FLIGHT = 32


class Range(NamedTuple):
    """Bytes [start, stop) of an object."""

    name: str
    start: int
    stop: int


class Storage(Protocol):
    """A flat folder of objects."""

    def sizes(self) -> dict[str, int]:
        """Bytes of each object. Empty where the folder does not exist."""

    def read(self, name: str) -> bytes:
        """A whole object. Raises FileNotFoundError if there is none of that name."""

    def ranges(self, ranges: Sequence[Range]) -> list[memoryview]:
        """The bytes of each range, fewer where an object ends early."""


def is_url(path: str) -> bool:
    """Whether a path is the address of an object store, such as `s3://bucket/folder`."""
    return "://" in path


@cache
def storage(root: str) -> Storage:
    """The storage at a folder or URL (`s3://`, `gs://`, `az://`)."""
    return ObjectStorage(root) if is_url(root) else FolderStorage(root)


class FolderStorage:
    """Objects are files, which are mapped into memory as they are first read."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._maps: dict[str, memoryview] = {}

    def sizes(self) -> dict[str, int]:
        if not os.path.isdir(self.root):
            return {}
        with os.scandir(self.root) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def read(self, name: str) -> bytes:
        with open(os.path.join(self.root, name), "rb") as file:
            return file.read()

    def ranges(self, ranges: Sequence[Range]) -> list[memoryview]:
        return [self._map(name)[start:stop] for name, start, stop in ranges]

    def _map(self, name: str) -> memoryview:
        if name not in self._maps:
            with open(os.path.join(self.root, name), "rb") as file:
                self._maps[name] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._maps[name]


class ObjectStorage:
    """Objects below a URL, through `obstore`, with time limits and bounded retries at doubling intervals.

    Credentials, region and endpoint come from the provider's usual environment variables (`AWS_ACCESS_KEY_ID`,
    `AWS_REGION`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME`, ...). The client
    lives in threads that a forked process would not have, so it is made once in each process that reads.
    """

    _process: int | None = None  # where a client was first made; a fork inherits the number

    def __init__(self, root: str) -> None:
        self.root = root
        self._client = self._connect()
        self._threads = ThreadPoolExecutor(REQUESTS_IN_FLIGHT)

    def _connect(self) -> Any:
        self._refuse_fork()
        try:
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{self.root} needs the package obstore: pip install obstore") from error
        ObjectStorage._process = os.getpid()
        return from_url(
            self.root,
            client_options={
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=REQUEST_SECONDS),
                "allow_http": os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_SECONDS),
                "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": LONGEST_PAUSE, "base": 2},
            },
        )

    def sizes(self) -> dict[str, int]:
        return self._ask(lambda: {item["path"]: item["size"] for page in self._client.list() for item in page}, "")

    def read(self, name: str) -> bytes:
        return self._ask(lambda: bytes(self._client.get(name).bytes()), name)

    def ranges(self, ranges: Sequence[Range]) -> list[memoryview]:
        self._refuse_fork()
        return list(self._threads.map(self._range, ranges))

    def _range(self, wanted: Range) -> memoryview:
        name, start, stop = wanted
        return memoryview(self._ask(lambda: self._client.get_range(name, start=start, end=stop), name))

    def _refuse_fork(self) -> None:
        if ObjectStorage._process not in (None, os.getpid()):
            raise RuntimeError(
                f"an object store was opened before this process was forked, so {self.root} would never answer here: "
                "start processes with the multiprocessing context 'forkserver' or 'spawn'"
            )

    def _ask(self, question: Callable[[], Answer], name: str) -> Answer:
        from obstore.exceptions import BaseError

        self._refuse_fork()
        try:
            return question()
        except BaseError as error:
            raise RuntimeError(
                f"{self.root}/{name} cannot be read, after up to {RETRIES} retries: {str(error).splitlines()[0]}. "
                "Check the address, the credentials in the environment, and the network"
            ) from error
