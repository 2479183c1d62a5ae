"""F1 on FI-2010 as published, in %, to stand beside ours."""

from __future__ import annotations

from dataclasses import dataclass

from .fi2010 import HORIZONS
from .report import markdown_table

CLAIMED = "its paper"
#: Prata et al. (2024), arXiv 2308.01915: all models trained anew by one program.
LOBCAST = "LOBCAST"
#: Berti and Kasneci (2025), arXiv 2502.15757.
TLOB = "TLOB's paper"
#: Zhang, Zohren and Roberts (2019), tables I and II. Recall equals accuracy there, so the averages are weighted.
DEEPLOB = "DeepLOB's paper, weighted"
#: Ntakaris et al. (2018), table 7, z-scores.
NTAKARIS = "FI-2010's paper"


@dataclass(frozen=True)
class Published:
    model: str
    setup: int
    source: str
    #: F1 at `HORIZONS`, None where it is not given. Macro averages, but where the source says weighted.
    f1: tuple[float | None, ...]


def _rows(setup: int, source: str, text: str) -> list[Published]:
    """Lines of a model and five numbers, '-' for none."""
    rows = []
    for line in text.strip().splitlines():
        model, *values = line.rsplit(maxsplit=len(HORIZONS))
        rows.append(Published(model.strip(), setup, source, tuple(None if v == "-" else float(v) for v in values)))
    return rows


PUBLISHED = [
    *_rows(1, NTAKARIS, "ridge regression 41.0 44.0 43.3 42.7 41.6"),
    *_rows(1, DEEPLOB, """
        SLFN 32.70 - - - -
        RR 41.00 - - - -
        B(TABL) 67.12 - - - -
        C(TABL) 72.84 - - 74.32 73.52
        DeepLOB 77.66 - - 74.96 76.58"""),
    *_rows(2, DEEPLOB, "DeepLOB 83.40 72.82 - 80.35 -"),
    *_rows(2, CLAIMED, """
        MLP 48.27 51.12 - 55.95 -
        LSTM 66.33 62.37 - 61.43 -
        CNN1 55.21 59.17 - 59.44 -
        C(TABL) 77.63 66.93 - 78.44 -
        DAIN 68.26 65.31 - - -
        DeepLOB-Attention 82.37 73.73 76.94 79.38 81.49
        TransLOB 88.66 80.65 - 88.20 91.61
        BiN-C(TABL) 81.04 71.22 - 88.06 -
        DLA 77.76 - 79.38 78.96 -
        AxialLOB 85.14 75.78 80.08 83.27 85.93
        ATNBoF 67.88 60.04 - 73.40 -"""),
    *_rows(2, LOBCAST, """
        MLP 48.2 44.0 47.2 49.0 51.6
        LSTM 66.5 58.8 65.3 66.9 59.4
        CNN1 49.3 46.1 62.3 65.8 67.2
        CNN2 27.6 35.4 53.2 67.9 68.5
        CNN-LSTM 63.5 49.1 63.3 69.2 71.0
        C(TABL) 69.5 62.4 70.4 71.6 73.9
        DAIN 53.9 46.7 53.5 61.2 62.8
        DeepLOB 71.1 62.4 70.8 75.4 77.6
        DeepLOB-Attention 70.6 54.8 66.0 73.6 71.6
        TransLOB 61.4 54.7 59.8 60.6 60.5
        BiN-C(TABL) 81.1 71.5 80.8 87.7 92.1
        DLA 79.4 69.3 78.9 87.1 52.2
        AxialLOB 73.2 63.4 72.8 78.3 79.2
        ATNBoF 32.9 34.2 38.2 48.1 51.0
        TLONBoF 36.5 51.7 41.6 52.4 66.2"""),
    *_rows(2, TLOB, """
        random forest 48.7 46.3 - 51.2 53.9
        XGBoost 62.4 59.6 - 65.3 67.6
        MLPLOB 81.64 84.88 - 91.39 92.62
        TLOB 81.55 82.68 - 90.03 92.81"""),
]


def table(ours: dict[str, dict[int, float]], setup: int = 2) -> str:
    """Markdown: macro F1 of ours by name and horizon, as fractions, above what is published for the setup."""
    rows = [(name, "ours", [100 * scores[k] if k in scores else None for k in HORIZONS])
            for name, scores in ours.items()]
    rows += [(row.model, row.source, row.f1) for row in PUBLISHED if row.setup == setup]
    return markdown_table([["model", "source", *(f"k = {k}" for k in HORIZONS)], *(
        [name, source, *("–" if v is None else f"{v:.1f}" for v in values)] for name, source, values in rows)])
