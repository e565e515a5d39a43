"""MoisesDB: the recordings from which songs are mixed, split by artist."""

from __future__ import annotations

import glob
import json
import os

from datamodules.corpora.published import PublishedCorpus
from datamodules.corpus import Entry
from datamodules.walking import is_audio

FOLDER = "moisesdb_v0.1"
NO_ARTIST = "unknown artist"


class MoisesDB(PublishedCorpus):
    """240 songs in up to 11 stems, each of one recording or several (Pereira et al. 2023, arXiv 2307.15913).

    The recordings of a stem are files of their own; there is no mixture. `data.json` of each song names them and the
    artist, who is the group. Click tracks are left out. Songs without an artist are one group.
    """

    title = "MoisesDB"
    licence = "non-commercial research"
    source = "music.ai/research"
    layout = f"{FOLDER}/<song>/data.json and {FOLDER}/<song>/<stem>/<recording>.wav, with or without {FOLDER}/"

    def entries(self) -> list[Entry]:
        folder = f"{FOLDER}/" if os.path.isdir(os.path.join(self.path, FOLDER)) else ""
        songs = sorted(glob.glob("*/data.json", root_dir=os.path.join(self.path, folder)))
        if not songs:
            raise self.incomplete(f"{folder}<song>/data.json is missing")
        listed = [entry for song in songs for entry in self.recordings(folder + os.path.dirname(song))]
        return self.present(listed)

    def recordings(self, song: str) -> list[Entry]:
        """The recordings of a song, given by its folder.

        Raises:
            ValueError: if its `data.json` cannot be read.
        """
        file = os.path.join(self.path, song, "data.json")
        try:
            with open(file, encoding="utf-8") as stream:
                data = json.load(stream)
            return [
                Entry(path, data.get("artist") or NO_ARTIST)
                for stem in data["stems"]
                for track in stem["tracks"]
                if is_audio(path := f"{song}/{stem['stemName']}/{track['id']}.{track['extension']}")
                and track["trackType"].replace("_", " ").lower() != "click track"
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} cannot be read ({error!r}). Unpack this song again") from error
