"""The paper's training data, each corpus in miniature as it is distributed: trained on, prepared, trained on again."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from jsonargparse import ArgumentParser
from lightning import LightningDataModule

from lincae.cli.configs import CONFIGS, find_config, load_config
from lincae.cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore")

TINY = Path(__file__).with_name("tiny.yaml")
SHARES = {"mtg_jamendo": 0.60, "moisesdb": 0.20, "m4singer": 0.09, "dns_challenge": 0.08, "e_gmd": 0.03}


def write(file: Path, rate: int = 44_100, channels: int = 1) -> None:
    """A fifth of a second of noise, each file its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list("/".join(file.parts[-4:]).encode()))
    soundfile.write(file, 0.1 * rng.standard_normal((rate // 5, channels)), rate)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """All six corpora of the configuration, with what is not to be read among them."""
    root = tmp_path_factory.mktemp("corpora")
    rows = ["TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"]
    for number in range(4):
        write(root / f"mtg_jamendo/0{number}/10{number}.mp3", channels=2)
        rows.append(
            f"track_{number}\tartist_{number // 2}\talbum_1\t0{number}/10{number}.mp3\t0.2\tgenre---a\tgenre---b"
        )
        song = root / f"moisesdb/moisesdb_v0.1/song{number}"
        tracks = [
            {"id": name, "extension": "wav", "trackType": kind} for name, kind in (("d", "kick"), ("c", "click track"))
        ]
        for track in tracks:
            write(song / f"drums/{track['id']}.wav", channels=2)
        data = {"artist": f"artist {number}", "stems": [{"stemName": "drums", "tracks": tracks}]}
        (song / "data.json").write_text(json.dumps(data))
        write(root / f"m4singer/Alto-{number}#新的/0000.wav", 48_000)
        clean = root / "dns_challenge/datasets_fullband/clean_fullband/read_speech"
        write(clean / f"book_1_chp_1_reader_0{number}_1.wav", 48_000)
        write(root / f"dns_challenge/datasets_fullband/noise_fullband/noise{number}.wav", 48_000)
    (root / "mtg_jamendo/raw_30s.tsv").write_text("\n".join(rows) + "\n")
    rows = [
        "drummer,session,id,style,bpm,beat_type,time_signature,duration,split,midi_filename,audio_filename,kit_name"
    ]
    for split in ("train", "validation", "test"):
        write(root / f"e_gmd/drummer1/session1/{split}.wav")
        rows.append(f"drummer1,s,{split},funk,138,beat,4-4,0.2,{split},a.midi,drummer1/session1/{split}.wav,Kit")
    (root / "e_gmd/e-gmd-v1.0.0.csv").write_text("\n".join(rows) + "\n")
    for stem in ("bass", "drums", "other", "vocals", "mixture"):
        write(root / f"musdb18hq/train/Meaxic - Take A Step/{stem}.wav", channels=2)
    return root


@pytest.fixture(scope="module")
def shards(corpora, tmp_path_factory):
    """The same, prepared by the command."""
    root = tmp_path_factory.mktemp("shards")
    main(["data", "prepare", "five-corpora.yaml", "--root", str(corpora), "-o", str(root), "--processes", "2"])
    return root


def data_module(root):
    """The configuration's data module, on its folders below a root."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    data = load_config(find_config("five-corpora.yaml"))["data"]
    data["init_args"] |= {"root": str(root), "samples": 2_432, "num_workers": 0}
    module = parser.instantiate_classes(parser.parse_object({"data": data})).data
    module.setup("fit")
    return module


def held_out(data):
    """The files of the validation clips."""
    return [file for files in data._validation_sets[0].crops.sets for file in files]


def test_shares_are_the_papers():
    train = yaml.safe_load((CONFIGS / "five-corpora.yaml").read_text())["data"]["init_args"]["train"]
    assert {name: corpus["init_args"]["weight"] for name, corpus in train.items()} == SHARES


def test_sources_alone_are_read_and_nobody_is_heard_on_both_sides(corpora):
    data = data_module(corpora)
    crops = [data._crops(number).file for number in range(2_000)]
    counts = {name: sum(file.corpus == name for file in crops) for name in SHARES}
    for name, share in SHARES.items():
        assert abs(counts[name] - 2_000 * share) < 4 * (2_000 * share * (1 - share)) ** 0.5
    read = {file.path for file in crops}
    assert not any("click" in path or "noise" in path or path.endswith("c.wav") for path in read)
    assert {path for path in read if path.startswith("drummer1")} == {"drummer1/session1/train.wav"}
    held = held_out(data)
    assert {file.corpus for file in held} == set(SHARES)
    assert not {(file.corpus, file.group or file.path) for file in held} & {
        (file.corpus, file.group or file.path) for file in crops
    }
    assert data.stems == ["bass", "drums", "other", "vocals"]


def test_shards_hold_the_same_places(corpora, shards):
    files, prepared = data_module(corpora), data_module(shards)
    assert prepared.stems == files.stems
    assert [file.path for file in held_out(prepared)] == [file.path for file in held_out(files)]
    for number in range(300):
        one, other = files._crops(number), prepared._crops(number)
        assert (one.file.corpus, one.file.path, one.start) == (other.file.corpus, other.file.path, other.start)
        assert np.abs(files.reader(one) - prepared.reader(other)).max() <= 0.51 / 32_768


@pytest.mark.parametrize("place", ["corpora", "shards"])
def test_the_configuration_trains_with_a_tiny_network(fit, request, tmp_path, place):
    tiny = yaml.safe_load(TINY.read_text())
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny | {"extends": "five-corpora.yaml"}))
    root = request.getfixturevalue(place)
    fit(f"--data.root={root}", "--trainer.max_steps=2", config="tiny.yaml")
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
