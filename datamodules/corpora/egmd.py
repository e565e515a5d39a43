"""E-GMD: drums, split as their authors did."""

from __future__ import annotations

import os

from datamodules.corpora.published import PublishedCorpus
from datamodules.corpora.table import read_table
from datamodules.corpus import Entry

FOLDER = "e-gmd-v1.0.0"
TABLE = f"{FOLDER}.csv"


class EGMD(PublishedCorpus):
    """1,059 drum performances, each recorded with 43 kits of a drum module (Callender et al. 2020, arXiv 2004.00188).

    The table sets the performances apart: 35,217 recordings for training, 5,031 for validation, 5,289 for testing. A
    performance is a group, whatever the kit. A drummer is heard in several parts. The table's durations are those of
    the performances, from which recordings may differ, so they are not held against the files.
    """

    title = "E-GMD"
    licence = "CC BY 4.0"
    source = "magenta.tensorflow.org/datasets/e-gmd"
    layout = f"{TABLE} and <drummer>/<session>/<recording>.wav, with or without {FOLDER}/ around them"

    def entries(self) -> list[Entry]:
        table = self.expect(TABLE, f"{FOLDER}/{TABLE}")
        folder = os.path.relpath(os.path.dirname(table), self.path)
        columns = {"audio_filename": str, "id": str, "split": str}
        listed = [
            Entry(os.path.normpath(os.path.join(folder, name)), performance, split)
            for name, performance, split in read_table(table, columns)
        ]
        return self.present(listed)
