"""What a machine has or lacks: bf16, cores, and the parts of POSIX that Windows has not."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import soundfile
import torch
from jsonargparse import Namespace

import lincae
from lincae import Autoencoder
from lincae.autoencoders.controls import Identity
from lincae.cli.training import prepare_precision
from lincae.machine import cores, has_bf16

PROJECT = Path(lincae.__file__).parents[1]
SUPPORT = Path(__file__).parents[1] / "support"


def on_windows(code: str, *arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess:
    """Runs a program in which our packages find only what Windows has."""
    command = [sys.executable, "-c", f"import windows, sys\n{code}", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), str(PROJECT)])}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False)


def modules() -> list[str]:
    """All modules of the three packages."""
    files = (file for room in ("lincae", "callbacks", "datamodules") for file in sorted((PROJECT / room).rglob("*.py")))
    parts = (file.relative_to(PROJECT).with_suffix("").parts for file in files)
    return [".".join(each).removesuffix(".__init__") for each in parts]


def test_every_module_can_be_imported_where_posix_is_missing():
    code = "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = on_windows(code, *modules())
    assert done.returncode == 0, done.stderr[-2000:]


def test_models_are_used_where_posix_is_missing_and_what_needs_it_says_so(tmp_path):
    Autoencoder(Identity(512)).save_pretrained(tmp_path / "model")
    for number in range(2):
        (tmp_path / "tracks" / str(number)).mkdir(parents=True)
        for stem in ("bass", "drums"):
            audio = 0.6 * torch.rand(44100, generator=torch.Generator().manual_seed(number)) - 0.3
            soundfile.write(tmp_path / "tracks" / str(number) / f"{stem}.wav", audio.numpy(), 44100, subtype="FLOAT")
    code = """
import multiprocessing.context
from lincae.cli.main import main
del multiprocessing.context._concrete_contexts["fork"]
main(["encode", "tracks/0/bass.wav", "--model", "model", "-o", "bass.safetensors"])
main(["decode", "bass.safetensors", "--model", "model", "-o", "bass.wav"])
evaluate = "evaluate model --data tracks --protocol stems --seconds 0.5 -o measured"
for command in (evaluate, "data check tracks", "data prepare tracks -o shards", "sweep sweep --count 1 -o swept"):
    try:
        main(command.split())
    except SystemExit as end:
        print(f"status {end.code}", file=sys.stderr)
"""
    done = on_windows(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    decoded, original = (soundfile.read(tmp_path / name)[0] for name in ("bass.wav", "tracks/0/bass.wav"))
    assert abs(decoded - original).max() < 1e-4
    refusals = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(refusals) == done.stderr.count("status 2") == 4
    assert all("Linux" in line for line in refusals)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("capabilities", "bf16"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False}, False),
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bw": True, "avx512_vl": True}, False),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": True}, True),
        ({"architecture": "x86_64", "avx512_f": True, "amx_bf16": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": False}, False),
        ({"architecture": "arm64", "neon": True, "bf16": True}, True),
    ],
)
def test_bf16_is_for_cpus_that_have_its_instructions(capabilities, bf16, monkeypatch):
    """AVX-512 alone, as of Skylake and Cascade Lake, has none: PyTorch calls all of these AVX512."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    config = Namespace(trainer=Namespace(precision="bf16-mixed", accelerator="cpu"))
    with nullcontext() if bf16 else pytest.warns(UserWarning, match="bf16-mixed"):
        prepare_precision(config)
    assert config.trainer.precision == ("bf16-mixed" if bf16 else "32-true")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux says what its CPU has")
def test_the_instructions_are_those_that_linux_sees():
    flags = Path("/proc/cpuinfo").read_text().split()
    assert has_bf16() == bool({"avx512_bf16", "amx_bf16", "bf16"} & {*flags})


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    assert 1 <= cores() <= os.cpu_count()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3})
    assert cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS and Windows have none
    assert cores() == os.cpu_count()
