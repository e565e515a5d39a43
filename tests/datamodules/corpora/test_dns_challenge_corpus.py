import pytest
from entries import unstamped

from datamodules.corpora import DNSChallenge
from datamodules.corpus import Entry

READERS = {
    "VocalSet_48kHz_mono/vocalset_female1_excerpts_spoken_f1_row_spoken_48kHz.wav": "VocalSet_48kHz_mono/female1",
    "VocalSet_48kHz_mono/vocalset_male11_scales_belt_m11_scales_belt_a_48kHz.wav": "VocalSet_48kHz_mono/male11",
    "emotional_speech/crema_d/1001_DFA_ANG_XX.wav": "emotional_speech/1001",
    "emotional_speech/crema_d/1001_IEO_SAD_HI.wav": "emotional_speech/1001",
    "french_speech/M-AILABS_Speech_Dataset/fr_FR_190hrs_16k/female/ezwa/keraban/wavs/keraban_f000182.wav": (
        "french_speech/ezwa"
    ),
    "french_speech/M-AILABS_Speech_Dataset/fr_FR_190hrs_16k/female/ezwa/monsieur/wavs/monsieur_f000001.wav": (
        "french_speech/ezwa"
    ),
    "french_speech/M-AILABS_Speech_Dataset/fr_FR_190hrs_16k/mix/sous_les_mers/wavs/mers_f000039.wav": "",
    "german_speech/CC_BY_SA_4.0_249hrs_339spk_German_Wikipedia_16k/data/German_Wikipedia_Asphalt_audio2_48kHz.wav": "",
    "german_speech/M-AILABS_Speech_Dataset/de_DE_16k/male/karlsson/kammmacher/wavs/kammmacher_f000001.wav": (
        "german_speech/karlsson"
    ),
    "read_speech/book_00000_chp_0009_reader_06709_0.wav": "read_speech/06709",
    "read_speech/book_11980_chp_0005_reader_06709_12_seg_1_seg1.wav": "read_speech/06709",
    "read_speech/book_11980_chp_0005_reader_11980_0.wav": "read_speech/11980",
    "russian_speech/M-AILABS_Speech_Dataset/ru_RU_47hrs_48k/male/minaev/oblomov/wavs/oblomov_s000192.wav": (
        "russian_speech/minaev"
    ),
    "spanish_speech/SLR39_48kHz/SLR39_100_11_48kHz.wav": "spanish_speech/100",
    "spanish_speech/SLR39_48kHz/SLR39_native-f-Mexico-190-45-62-NA-mgh8170_s120_48kHz.wav": "spanish_speech/mgh8170",
    "spanish_speech/SLR61_48kHz/SLR61_es_ar_female_arf_03397_01665251952_48kHz.wav": "spanish_speech/arf_03397",
    "spanish_speech/SLR61_es-es_esw_02485_00146903919_48kHz.wav": "spanish_speech/esw_02485",
    "vctk_wav48_silence_trimmed/p225/p225_001_mic1.wav": "vctk_wav48_silence_trimmed/p225",
    "vctk_wav48_silence_trimmed/s5/s5_010_mic2.wav": "vctk_wav48_silence_trimmed/s5",
}
NOT_SPEECH = [
    "datasets_fullband/noise_fullband/XA7f2.wav",
    "datasets_fullband/noise_fullband/read_speech/XA7f2.wav",
    "datasets_fullband/impulse_responses/SLR26/simulated_rirs_48k/smallroom/Room001-00001.wav",
    "datasets_fullband/dev_testset/noisy_testclips/emotional_speech/ms_realrec_emotional_a.wav",
    "datasets/clean/read_speech/book_00000_chp_0009_reader_06709_0.wav",
]


@pytest.mark.parametrize(
    "above",
    ["", "clean_fullband/", "datasets_fullband/clean_fullband/", "Track1_Headset/mnt/dnsv5/clean/"],
    ids=["plain", "inner", "fourth challenge", "fifth challenge"],
)
def test_speech_is_of_its_reader_in_all_known_layouts(lay_out, above):
    root = lay_out([above + path for path in READERS] + NOT_SPEECH)
    assert unstamped(DNSChallenge(str(root)).entries()) == [
        Entry(above + path, READERS[path], "" if READERS[path] else "train") for path in sorted(READERS)
    ]


def test_a_second_copy_of_the_same_file_is_not_used(lay_out):
    vctk = (
        "clean_fullband/mnt/dnsv5/clean/vctk_wav48_silence_trimmed/mnt/input/clean_fullband/vctk_wav48_silence_trimmed"
    )
    root = lay_out(
        [
            f"{vctk}/p225/p225_001_mic1.wav",
            "clean_fullband/read_speech/book_1_chp_2_reader_3_4.wav",
            "clean_fullband/read_speech/read_speech/book_1_chp_2_reader_3_4.wav",
            "clean_fullband/read_speech/read_speech/book_1_chp_2_reader_3_5.wav",
        ]
    )
    assert unstamped(DNSChallenge(str(root)).entries()) == [
        Entry(f"{vctk}/p225/p225_001_mic1.wav", "vctk_wav48_silence_trimmed/p225"),
        Entry("clean_fullband/read_speech/book_1_chp_2_reader_3_4.wav", "read_speech/3"),
        Entry("clean_fullband/read_speech/read_speech/book_1_chp_2_reader_3_5.wav", "read_speech/3"),
    ]


def test_noise_alone_is_an_error(lay_out):
    with pytest.raises(ValueError, match="no audio in these folders"):
        DNSChallenge(str(lay_out(NOT_SPEECH))).entries()
