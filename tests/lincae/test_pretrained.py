"""What a source names, and what is said when it names nothing."""

import dataclasses
import json
import math
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from lincae import Autoencoder
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.cli.main import main
from lincae.pretrained import load_pretrained, write_saved
from lincae.published import write_published
from lincae.settings import settings_of
from lincae.stft import Spectrogram


@pytest.fixture
def model(spectrogram, sizes, awaken):
    return awaken(SpectralAutoencoder(spectrogram, sizes)).eval()


@pytest.fixture
def saved(tmp_path, model):
    folder = tmp_path / "saved"
    folder.mkdir()
    write_saved(folder, model, 33.0)
    return folder


def same_weights(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_was_saved_is_read_bit_by_bit(saved, model):
    autoencoder, scale_factor = load_pretrained(str(saved))
    assert scale_factor == 33.0
    assert not autoencoder.training
    assert same_weights(autoencoder, model)


def test_a_checkpoint_and_its_run_are_the_averaged_weights(fit, music, tmp_path):
    fit(f"--data.train={music}", "--trainer.max_steps=2", "--model.optimizer.lr=0.01")
    file = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    averaged = checkpoint["state_dict"]
    for source in (file, str(file), tmp_path):
        autoencoder, scale_factor = load_pretrained(source)
        assert scale_factor * checkpoint["latent_std"] == pytest.approx(1)
        assert Autoencoder.from_pretrained(source).scale_factor == scale_factor
        for name, value in autoencoder.state_dict().items():
            assert torch.equal(value, averaged[f"autoencoder.{name}"])


@pytest.mark.parametrize("found", [{}, {"latent_std": math.nan}, {"latent_std": 0.0}], ids=["none", "NaN", "silent"])
def test_a_checkpoint_without_a_scale_factor_says_so_and_how_to_get_one(found, model, tmp_path, recwarn):
    file = tmp_path / "step=7.ckpt"
    weights = {f"autoencoder.{name}": tensor for name, tensor in model.state_dict().items()}
    config = {"model": {"init_args": {"autoencoder": settings_of(model)}}}
    torch.save({"config": config, "state_dict": weights, **found}, file)
    assert load_pretrained(file).scale_factor is None
    assert Autoencoder.from_pretrained(file, scale_factor=4.0).scale_factor == 4
    assert not recwarn
    with pytest.warns(UserWarning, match=r"step=7\.ckpt.* times 1.*scale_factor=.*--scale-factor"):
        assert Autoencoder.from_pretrained(file).scale_factor == 1
    main(["export", str(file), str(tmp_path / "exported"), "--scale-factor", "5"])
    assert load_pretrained(tmp_path / "exported").scale_factor == 5


def change(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


BROKEN = {
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), r"config\.json is no configuration"),
    "another JSON": (lambda folder: (folder / "config.json").write_text("[1]"), r"config\.json is no configuration"),
    "no scale": (lambda folder: change(folder, scale_factor=None), r"config\.json is no configuration"),
    "no class": (lambda folder: change(folder, autoencoder={"class_path": "a.B"}), r"config\.json .* cannot be built"),
    "cut off": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9]),
        r"model\.safetensors does not hold the weights",
    ),
    "other sizes": (
        lambda folder: change(folder, autoencoder={"class_path": "lincae.autoencoders.spectral.SpectralAutoencoder"}),
        r"model\.safetensors does not hold the weights",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_folder_that_cannot_be_read_is_named(saved, fault):
    spoil, message = BROKEN[fault]
    spoil(saved)
    with pytest.raises(ValueError, match=message):
        load_pretrained(saved)


def test_missing_weights_are_named(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_pretrained(saved)


def test_the_published_layout_is_read(tmp_path, sizes):
    ours = ConsistencyAutoencoder(Spectrogram(64, 256), dataclasses.replace(sizes, heads=4))
    folder = tmp_path / "2f4c6d21_weights"
    write_published(ours, folder)
    for source in (folder, folder / "autoencoder_inference_model_last.pth"):
        autoencoder, scale_factor = load_pretrained(source)
        assert scale_factor == 40
        assert same_weights(autoencoder, ours)
    assert load_pretrained(folder.rename(tmp_path / "other")).scale_factor is None


NOTHING = {
    "nothing": (FileNotFoundError, r"'nothing' is no file or folder here .* lin-cae-2.*OWNER/NAME"),
    "runs/a/b": (FileNotFoundError, "'runs/a/b' is no file or folder here"),
    "runs/last.ckpt": (FileNotFoundError, r"'runs/last\.ckpt' is no file or folder here"),
    "BernardoTorres/linear_consistency_autoencoders": (
        ValueError,
        "several models: give one of lin-cae, lin-cae-2, m2l",
    ),
    "empty": (ValueError, "empty holds no model: give a folder with config.json, a run's folder"),
    "song.wav": (ValueError, r"song\.wav holds no model"),
}


def test_a_class_path_is_what_the_class_makes():
    autoencoder, scale_factor = load_pretrained("lincae.autoencoders.controls.Identity")
    assert autoencoder.frame == 4096
    assert scale_factor == 1
    with pytest.raises(ValueError, match=r"Origin' names no model: .*missing 2 required"):
        load_pretrained("lincae.mixing.Origin")
    with pytest.raises(ValueError, match="a CircularShift, which is no torch module"):
        load_pretrained("lincae.mixing.CircularShift")


@pytest.mark.parametrize("source", NOTHING)
def test_what_names_nothing_is_refused_with_what_would(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "song.wav").touch()
    error, message = NOTHING[source]
    with pytest.raises(error, match=message):
        load_pretrained(source)


class Hub(BaseHTTPRequestHandler):
    """The Hub's answers about one repository, a folder."""

    folder, sha = None, "5" * 40

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/me/model/tree"):
            listed = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": f.name} for f in self.files()]
            self.answer(json.dumps(listed).encode())
        elif path.startswith("/api/models/me/model"):
            siblings = [{"rfilename": file.name} for file in self.files()]
            self.answer(json.dumps({"id": "me/model", "sha": self.sha, "siblings": siblings}).encode())
        elif path.startswith("/me/model/resolve/"):
            file = self.folder / path.rpartition("/")[2]
            self.answer(file.read_bytes(), {"ETag": f'"{file.name}"', "X-Repo-Commit": self.sha})
        else:
            self.answer(b"", {"X-Error-Code": "RepoNotFound"}, status=404)

    def do_HEAD(self):
        self.do_GET()

    def files(self):
        return sorted(self.folder.iterdir())

    def answer(self, body, headers=(), status=200):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(saved):
    handler = type("HubOfSaved", (Hub,), {"folder": saved})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ASK = """
import sys
from lincae.pretrained import load_pretrained
for source in sys.argv[1:]:
    try:
        autoencoder, scale_factor = load_pretrained(source)
        print(scale_factor, sum(value.double().sum().item() for value in autoencoder.state_dict().values()))
    except FileNotFoundError as error:
        print(error)
"""


def ask(folder, *sources, **environment):
    """What a process without a cache of its own prints for each source."""
    env = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
    command = [sys.executable, "-c", ASK, *sources]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True, cwd=folder)
    return done.stdout.splitlines()


def test_a_repository_is_downloaded_once(hub, model, tmp_path):
    total = sum(value.double().sum().item() for value in model.state_dict().values())
    found, missing, published = ask(tmp_path, "me/model", "me/other", "lin-cae", HF_ENDPOINT=hub)
    assert found == f"33.0 {total}"
    assert missing.startswith("'me/other' is no file or folder here, and there is no repository me/other")
    assert "check the name" in missing
    assert "no repository BernardoTorres/linear_consistency_autoencoders" in published

    again, missing = ask(tmp_path, "me/model", "lin-cae", HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    assert again == found
    assert "'lin-cae' is no file or folder here, has not been downloaded yet, and cannot be" in missing
    assert "offline mode" in missing
    assert "hf download BernardoTorres/linear_consistency_autoencoders --include '0a3afbec_weights/*'" in missing


def test_a_hub_that_never_answers_is_not_waited_for(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (said,) = ask(tmp_path, "lin-cae", HF_ENDPOINT=address, HF_HUB_ETAG_TIMEOUT="1")
    assert "ReadTimeout" in said
    assert "copy the folder, and give it instead" in said


def test_a_hub_that_is_not_there_is_an_error_with_a_cure(tmp_path):
    said = ask(tmp_path, "lin-cae", "m2l", "music2latent", "me/model", HF_ENDPOINT="http://127.0.0.1:9")
    assert all("ConnectError" in line and "Cure: with a network" in line for line in said)
