import multiprocessing
import os
import time

import pytest

from datamodules import storage as module
from datamodules.storage import FolderStorage, ObjectStorage, Range, is_url, storage

CONTENT = bytes(range(256)) * 20
RANGES = [Range("a.pcm", 3, 7), Range("b.pcm", 0, 1), Range("a.pcm", 5000, 5120), Range("a.pcm", 5100, 5200)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.pcm").write_bytes(CONTENT)
    (tmp_path / "b.pcm").write_bytes(b"xyz")
    (tmp_path / "below").mkdir()
    return str(tmp_path)


@pytest.fixture
def bucket(object_store, folder):
    url = object_store("storage")
    for name in ("a.pcm", "b.pcm"):
        object_store.upload(os.path.join(folder, name), f"{url}/{name}")
    return url


@pytest.fixture(params=["folder", "bucket"])
def place(request):
    return request.getfixturevalue(request.param)


def test_objects_are_listed_and_read_wherever_they_lie(place):
    found = storage(place)
    assert found.sizes() == {"a.pcm": len(CONTENT), "b.pcm": 3}
    assert found.read("b.pcm") == b"xyz"
    assert [bytes(content) for content in found.ranges(RANGES)] == [
        CONTENT[3:7],
        b"x",
        CONTENT[5000:],
        CONTENT[5100:],  # an object that ends early gives what it has
    ]
    with pytest.raises(FileNotFoundError):
        found.read("c.pcm")


def test_a_missing_folder_is_empty(tmp_path):
    assert FolderStorage(str(tmp_path / "nowhere")).sizes() == {}


def test_urls_are_told_from_folders():
    assert is_url("s3://bucket/music")
    assert not is_url("/data/music")
    assert isinstance(storage("/data/music"), FolderStorage)


def read_in_child(url, queue):
    try:
        queue.put(bytes(storage(url).ranges(RANGES)[0]))
    except Exception as error:
        queue.put(str(error))


def test_a_forked_process_is_told_and_other_processes_can_read(bucket):
    assert bytes(storage(bucket).ranges(RANGES)[0]) == CONTENT[3:7]
    answers = {}
    for method in ("fork", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=read_in_child, args=(bucket, queue))
        process.start()
        answers[method] = queue.get(timeout=30)
        process.join(10)
    assert "before this process was forked" in answers["fork"]
    assert "forkserver" in answers["fork"]
    assert answers["forkserver"] == CONTENT[3:7]


def test_a_server_that_fails_for_a_while_is_asked_again(bucket, flaky_proxy):
    with flaky_proxy(failures=3) as proxy:
        assert bytes(ObjectStorage(bucket).ranges(RANGES[:1])[0]) == CONTENT[3:7]
    assert proxy.requests == 4


def test_a_server_that_keeps_failing_is_an_error_in_bounded_time(bucket, flaky_proxy, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 2)
    start = time.monotonic()
    with (
        flaky_proxy(failures=100) as proxy,
        pytest.raises(RuntimeError, match=r"storage/a.pcm cannot be read, after up to 2 retries.*credentials"),
    ):
        ObjectStorage(bucket).ranges(RANGES[:1])
    assert proxy.requests == 3
    assert time.monotonic() - start < 10
