"""Files choose no code: what a configuration, a checkpoint or latents name is imported only if the user named it."""

import json
import subprocess
import sys

import pytest
import soundfile
import torch

from lincae import Autoencoder
from lincae.autoencoders.controls import Identity
from lincae.checkpoint import load_autoencoder
from lincae.cli.main import main
from lincae.pretrained import load_pretrained
from lincae.settings import TRUSTED, build

STRANGER = """
import pathlib
pathlib.Path(__file__).with_name("imported").touch()
from lincae.autoencoders.controls import Identity

class Model(Identity):
    def __init__(self, frame: int = 512) -> None:
        super().__init__(frame)

def make() -> Model:
    return Model(256)
"""


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """A package `stranger` that nobody has named; gives whether it was imported."""
    monkeypatch.delenv(TRUSTED, raising=False)
    monkeypatch.delitem(sys.modules, "stranger", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "stranger.py").write_text(STRANGER)
    yield (tmp_path / "site" / "imported").exists
    sys.modules.pop("stranger", None)


def losses(inner):
    """An autoencoder of lincae's with something else inside."""
    parts = {"class_path": "torch.nn.Identity"}
    settings = {"encoder": parts, "decoder": parts, "losses": [inner], "sample_rate": 8000, "stride": 1}
    return {"class_path": "lincae.autoencoders.reconstruction.ReconstructionAutoencoder", "init_args": settings}


def parallel(inner):
    """An argument of PyTorch's that may be of any type."""
    return {"class_path": "torch.nn.DataParallel", "init_args": {"module": inner}}


CALL = {"class_path": "subprocess.check_call", "init_args": {"popenargs": ["touch", "called"]}}
FILES = {
    "class": {"class_path": "stranger.Model"},
    "text": "stranger.Model",
    "function": {"class_path": "stranger.make"},
    "inside": losses({"class_path": "stranger.Model"}),
    "text inside": losses("stranger.Model"),
    "YAML inside": losses('{"class_path": "\\x73tranger.Model"}'),
    "any type": parallel({"class_path": "stranger.Model"}),
}


@pytest.mark.parametrize("case", FILES)
def test_nothing_is_imported_because_a_file_names_it(case, imported):
    with pytest.raises(ValueError, match=rf"stranger.*{TRUSTED}=stranger"):
        build(FILES[case])
    assert not imported()


@pytest.mark.parametrize(
    "name", ["subprocess.check_call", "lincae.stft.torch.hub", "lincae.autoencoders.controls.torch.load", "os.system"]
)
@pytest.mark.parametrize("place", [parallel, losses])
def test_nothing_that_is_imported_already_is_called(name, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(TRUSTED, raising=False)
    with pytest.raises(ValueError, match=name):
        build(place({**CALL, "class_path": name}))
    assert not list(tmp_path.iterdir())


def test_what_is_named_in_the_environment_or_imported_is_built(imported, monkeypatch):
    monkeypatch.setenv(TRUSTED, "other,stranger")
    assert build(FILES["class"]).frame == 512
    monkeypatch.delenv(TRUSTED)
    assert build(FILES["class"]).frame == 512  # it is imported by now
    assert imported()


@pytest.fixture
def saved(tmp_path):
    """A saved folder, and a checkpoint, whose files are then made to name a stranger."""
    Autoencoder(Identity(512)).save_pretrained(tmp_path / "saved")
    file = tmp_path / "saved" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "autoencoder": FILES["class"]}))
    config = {"model": {"init_args": {"autoencoder": FILES["class"]}}}
    torch.save({"config": config, "state_dict": {}}, tmp_path / "run.ckpt")
    return tmp_path


def test_the_file_is_named(saved, imported):
    with pytest.raises(ValueError, match=r"saved/config\.json.*stranger\.Model"):
        load_pretrained(saved / "saved")
    with pytest.raises(ValueError, match=r"run\.ckpt.*stranger\.Model"):
        load_autoencoder(saved / "run.ckpt")
    assert not imported()


def test_latents_choose_no_class(saved, imported, capsys):
    soundfile.write(saved / "a.wav", torch.zeros(4000).numpy(), 44_100)
    main(["encode", str(saved / "a.wav"), "-o", str(saved), "--model", "stranger.make"])  # named here, so trusted here
    assert imported()
    (saved / "site" / "imported").unlink()
    sys.modules.pop("stranger")
    for source, model in (("a.safetensors", []), ("a.safetensors", ["--model", "stranger.make"])):
        done = [str(saved / source), "-o", str(saved / "out.wav"), *model]
        if model:
            main(["decode", *done])
        else:
            with pytest.raises(SystemExit, match=r"stranger\.make") as end:
                main(["decode", *done])
            assert end.value.code == 2
            assert "--model stranger.make" in capsys.readouterr().err
        assert imported() == bool(model)


def test_what_a_command_line_names_may_be_saved_and_read_again_in_other_processes(imported, saved):
    """As `lincae retrofit` does: the class is named once, and trainings read it from a folder."""
    model = load_pretrained("stranger.make").autoencoder
    Autoencoder(model).save_pretrained(saved / "mine")
    code = f"from lincae.pretrained import load_pretrained; print(load_pretrained({str(saved / 'mine')!r}))"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(saved / 'site')!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Model" in found.stdout
