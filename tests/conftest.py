"""Audio on disk and the command line, for tests of the whole."""

import multiprocessing
import os
import shlex
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pytest
import soundfile
import torch
from commands import TINY, Command
from commands import run as run_command
from together import one_of_several

torch.set_num_threads(1)


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """All that a nest of mappings and lists holds, by its place; tensors as their bytes."""
    if isinstance(value, torch.Tensor):
        return {name: (value.dtype, value.shape, value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())}
    if not isinstance(value, dict | list | tuple):
        return {name: value}
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return {place: leaf for key, each in inner for place, leaf in leaves(each, f"{name}/{key}").items()}


@pytest.fixture(scope="session")
def training_state() -> Callable[[Path], dict[str, Any]]:
    """Reads all of a checkpoint but the trainer's counters of its loops and how the run was started, bit by bit."""

    def read(path: Path) -> dict[str, Any]:
        checkpoint = torch.load(path, weights_only=True)
        return leaves({name: value for name, value in checkpoint.items() if name not in ("loops", "config")})

    return read


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests have counted with `record_property`, such as the kills that a training survived."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {value} {name}")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Headers that tests read are not remembered in the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wav, flac, mp3 and ogg files of different rates, lengths and channel counts, and a corrupt one."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    shapes = {"a.wav": (44_100, 1, 4), "b/c.flac": (48_000, 2, 5), "d.mp3": (44_100, 2, 6), "e.ogg": (22_050, 1, 7)}
    for name, (rate, channels, seconds) in shapes.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        time = np.arange(rate * seconds)[:, None] / rate
        tone = 0.2 * np.sin(2 * np.pi * rng.uniform(200, 900, channels) * time)
        soundfile.write(path, tone + 0.02 * rng.standard_normal(tone.shape), rate)
    (folder / "broken.wav").write_text("this is not audio")
    return folder


@pytest.fixture(scope="session")
def fork_server(object_store: "ObjectStore") -> Any:
    """Makes processes that have the training's libraries loaded, which takes seconds, but have run nothing.

    There is one such server for all of a process, so it must know the object store from its start.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["callbacks", "datamodules", "lightning.pytorch.loggers", "lincae.cli.training"])
    return context


@pytest.fixture
def start(fork_server: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Command]:
    """Starts a command of `lincae`, in an empty working directory, on one thread."""

    def launch(*arguments: str, **environment: str) -> Command:
        output = [tmp_path_factory.mktemp("printed") / name for name in ("stdout", "stderr")]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        environment = {**inherited, "OMP_NUM_THREADS": "1", "WANDB_SILENT": "true", **environment}
        process = fork_server.Process(
            target=run_command,
            args=(arguments, str(tmp_path), environment, [str(path) for path in output]),
            name=shlex.join(["lincae", *arguments]),
        )
        process.start()
        return Command(process, output)

    return launch


@pytest.fixture(scope="session")
def together(fork_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Any]]:
    """Runs a function in several processes of one group at a time, and gives what it returns in each."""

    def run(processes: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        folder = tmp_path_factory.mktemp("together")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        shared = (processes, port, str(folder), function, *arguments)
        group = [fork_server.Process(target=one_of_several, args=(rank, *shared)) for rank in range(processes)]
        for process in group:
            process.start()
        for process in group:
            process.join(120)
        waiting = [rank for rank, process in enumerate(group) if process.exitcode is None]
        for rank in waiting:
            group[rank].kill()
        assert not waiting, f"processes {waiting} wait for others"
        assert [process.exitcode for process in group] == [0] * processes
        return [torch.load(folder / f"rank={rank}.pt") for rank in range(processes)]

    return run


@pytest.fixture
def fit(start: Callable[..., Command]) -> Callable[..., CompletedProcess]:
    """Runs `lincae fit`, by default with the tiny configuration."""

    def run(*arguments: str, config: str = str(TINY), check: bool = True, **environment: str):
        done = start("fit", "--config", config, *arguments, **environment).wait()
        if check and done.returncode:
            raise AssertionError(f"{done.args} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done

    return run


class ObjectStore:
    """A local S3 server. Calling it makes an empty bucket and gives its URL."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = boto3.client("s3", endpoint_url=address)

    def __call__(self, bucket: str) -> str:
        self._client.create_bucket(Bucket=bucket)
        return f"s3://{bucket}"

    def upload(self, file: os.PathLike | str, url: str) -> None:
        """Puts a file, or a folder with all that is in it, at a URL."""
        for path in [*Path(file).rglob("*"), Path(file)]:
            if path.is_file():
                bucket, _, key = f"{url}/{path.relative_to(file)}".removeprefix("s3://").partition("/")
                self._client.put_object(Bucket=bucket, Key=key.removesuffix("/."), Body=path.read_bytes())


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """An S3 server on the loopback address, for processes that this one starts, too."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        assert server.stderr
        address = next(line.split()[-1] for line in server.stderr if "Running on" in line)
        threading.Thread(target=server.stderr.read, daemon=True).start()  # or its pipe would fill
        os.environ |= {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
        yield ObjectStore(address)
        server.terminate()


@pytest.fixture
def flaky_proxy(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    """Stands before the S3 server and answers a number of requests with 503 before it lets any through."""

    @contextmanager
    def stand(failures: int) -> Iterator[SimpleNamespace]:
        count = SimpleNamespace(requests=0)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                count.requests += 1
                if count.requests <= failures:
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                forwarded = urllib.request.Request(object_store.address + self.path, headers=dict(self.headers))
                with urllib.request.urlopen(forwarded, timeout=10) as answer:
                    content = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        if name.lower() not in ("transfer-encoding", "connection"):
                            self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
            yield count
            monkeypatch.setenv("AWS_ENDPOINT_URL", object_store.address)
            proxy.shutdown()

    return stand
