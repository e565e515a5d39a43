import numpy as np
import pytest
import soundfile
import torch

from datamodules.corpus import Corpus
from datamodules.index import Demands, scan
from datamodules.reader import CropReader
from datamodules.validation import ClipDataset, EvenCrops, TrackDataset, stems_of_tracks

RATE, SAMPLES = 16_000, 1_000


def write(path, sound):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE, subtype="FLOAT")


def ramp(first, samples):
    """Samples that tell where they are: n / 10^5."""
    return np.arange(first, first + samples) / 1e5


def even(root, count, silence=1e-3):
    files = scan("validation", Corpus(str(root)), Demands(RATE, SAMPLES)).files
    return EvenCrops([[file] for file in files], count, CropReader(RATE, SAMPLES), silence)


def starts(crops):
    return [round(float(crops[index][0, 0]) * 1e5) for index in range(crops.count)]


def test_one_file_is_cut_into_crops_at_equal_distances(tmp_path):
    write(tmp_path / "a.wav", ramp(100, 40_000))
    found = starts(even(tmp_path, 8))
    step = (40_000 - SAMPLES + 1) / 8
    assert found == [100 + int(step * (number + 0.5)) for number in range(8)]


def test_files_get_equal_numbers_of_crops_or_one_or_none(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.wav", ramp(100_000 * (number + 1), 30_000))
    assert [start // 100_000 for start in starts(even(tmp_path, 6))] == [1, 1, 2, 2, 3, 3]
    assert [start // 100_000 for start in starts(even(tmp_path, 3))] == [1, 2, 3]
    assert [start // 100_000 for start in starts(even(tmp_path, 2))] == [1, 2]
    assert len(set(starts(even(tmp_path, 7)))) == 7


def test_a_crop_looks_for_sound_within_its_share_of_the_file(tmp_path):
    sound = ramp(100_000, 40_000)
    sound[18_000:26_000] = 0  # the second half's middle is at 29,500 and the first half's at 9,750
    sound[8_000:12_000] = 0
    write(tmp_path / "a.wav", sound)
    first, second = starts(even(tmp_path, 2))
    assert first == 100_000 + 39_001 // 8  # a quarter into the first half
    assert second == 100_000 + 3 * 39_001 // 4


def test_silence_is_kept_where_there_is_nothing_else(tmp_path):
    write(tmp_path / "a.wav", np.zeros(RATE))
    crop = ClipDataset(even(tmp_path, 1))[0]
    assert crop["index"] == 0
    assert torch.equal(crop["audio"], torch.zeros(SAMPLES))


def test_a_broken_part_is_avoided_and_a_broken_file_is_an_error(tmp_path):
    sound = ramp(100_000, 40_000)
    sound[20_000] = np.nan
    write(tmp_path / "a.wav", sound)
    assert starts(even(tmp_path, 1)) == [100_000 + 39_001 // 4]
    write(tmp_path / "a.wav", np.full(RATE, np.nan))
    with pytest.raises(RuntimeError, match=r"a.wav is not_finite"):
        even(tmp_path, 1)[0]


@pytest.fixture
def tracks(tmp_path):
    """Two tracks whose drums are silent for the second half; sample n of stem s is (s + 1) n / 10^6."""
    for track in ("A - one", "B - two"):
        for number, stem in enumerate(("bass", "drums", "vocals")):
            sound = (number + 1) * np.arange(1, 20_001) / 1e6
            if stem == "drums":
                sound[9_000:] = 0
            write(tmp_path / track / f"{stem}.wav", sound[: 20_000 - 1_000 * number])
        write(tmp_path / track / "mixture.wav", np.ones(20_000))
    return tmp_path


def scan_tracks(root):
    return stems_of_tracks(scan("tracks", Corpus(str(root), patterns=["**/*/*"]), Demands(RATE, SAMPLES)).files)


def test_stems_are_cut_at_one_place_where_most_of_them_sound(tracks):
    names, files = scan_tracks(tracks)
    assert names == ["bass", "drums", "vocals"]
    assert [[file.path for file in track] for track in files][1] == [f"B - two/{name}.wav" for name in names]
    dataset = TrackDataset(EvenCrops(files, 4, CropReader(RATE, SAMPLES), 1e-3))
    assert len(dataset) == 4
    for index in range(4):
        item = dataset[index]
        bass, drums, vocals = item["stems"]
        assert item["index"] == index
        torch.testing.assert_close(vocals, 3 * bass)
        if index % 2 == 0:  # the first half of a track, with drums
            torch.testing.assert_close(drums, 2 * bass)
        else:
            assert not drums.any()
            assert bass.any()


def test_tracks_with_other_stems_or_none_are_errors(tracks):
    (tracks / "B - two" / "drums.wav").rename(tracks / "B - two" / "other.wav")
    with pytest.raises(
        ValueError, match=r"track 'B - two' .*'other'.* but 'A - one' has \['bass', 'drums', 'vocals'\]"
    ):
        scan_tracks(tracks)
    for file in tracks.glob("*/*"):
        if file.stem != "mixture":
            file.unlink()
    with pytest.raises(ValueError, match="no stems"):
        scan_tracks(tracks)


def test_sources_of_a_made_up_track_lie_far_apart(tmp_path):
    for number in range(4):
        write(tmp_path / f"{number}.wav", ramp(100_000 * (number + 1), 30_000))
    dataset = TrackDataset(even(tmp_path, 8), parts=4)
    assert len(dataset) == 2
    stems = torch.stack([dataset[index]["stems"] for index in range(2)])
    assert stems.shape == (2, 4, SAMPLES)
    assert (stems[:, :, 0]).int().tolist() == [[1, 2, 3, 4], [1, 2, 3, 4]]
    assert len(stems[:, :, 0].unique()) == 8


def test_sets_that_cannot_be_read_are_left_out_with_a_warning(tmp_path, write_noise):
    for number in range(4):
        write_noise(f"{number}.flac", seed=number)
    crops = even(tmp_path, 4)
    assert crops.readable() is crops
    for broken in (0, 2):
        (tmp_path / f"{broken}.flac").write_text("broken")
    with pytest.warns(UserWarning, match=r"[02]\.flac is unreadable.*Other validation audio") as caught:
        left = crops.readable()
    assert len(caught) == 2
    assert [files[0].path for files in left.sets] == ["1.flac", "3.flac"]
    assert len(left) == 4
    assert all(torch.isfinite(left[index]).all() for index in range(4))
    for other in (1, 3):
        (tmp_path / f"{other}.flac").write_text("broken")
    with pytest.raises(RuntimeError, match=r"0\.flac is unreadable"):
        crops.readable()
