"""Figures are written, hold what they show, and repeat to the byte."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'martlet[plots]'")

from martlet.training import metrics, plots  # noqa: E402
from martlet.training.bootstrap import Interval  # noqa: E402

RANDOM = np.random.default_rng(3)
PROBABILITIES = RANDOM.dirichlet([2, 1, 2], 500)
EXPECTED = RANDOM.integers(0, 3, 500)


def draw(path, kind):
    if kind == "reliability":
        plots.reliability_plot(path, EXPECTED, PROBABILITIES, "a model")
    elif kind == "confusion":
        plots.confusion_plot(path, metrics.confusion(EXPECTED, PROBABILITIES.argmax(axis=1)), "a model")
    elif kind == "equity":
        plots.equity_plot(path, {"flat": np.zeros(500), "policy": np.linspace(0, 1e-4, 500)}, "GOOG")
    elif kind == "risk":
        returns = np.linspace(-3e-4, 3e-4, 50)
        risks = {"model": np.full(50, 2e-4), "EWMA": np.full(50, 1e-4)}
        plots.value_at_risk_plot(path, returns, risks, -returns > 2e-4, "GOOG")
    elif kind == "frontier":
        points = {"fp32": [("dense", 500.0, Interval(0.5, 0.48, 0.52, 0.01))], "int8": [],
                  # An interval that does not hold its value.
                  "int8, post-training": [("50%", 200.0, Interval(0.47, 0.48, 0.5, 0.01))]}
        plots.frontier_plot(path, points, "GOOG")
    else:
        scores = {"persistence": [Interval(0.4, 0.38, 0.42, 0.01)] * 2, "model": [Interval(0.5, 0.501, 0.52, 0.01)] * 2}
        plots.f1_bars(path, ["10 ticks", "50 ticks"], scores, "GOOG")


@pytest.mark.parametrize("kind, words", [
    ("reliability", ["a model: calibration error", "stated probability"]), ("confusion", ["predicted", "true", "down"]),
    ("equity", ["GOOG", "policy: 1.0", "equity after costs, bps"]), ("risk", ["EWMA", "beyond: 9 of 50", "return, bps"]),
    ("frontier", ["dense", "50%", "int8, post-training", "ns for a tick, p50 in the engine", "GOOG"]),
    ("bars", ["persistence", "model", "50 ticks", "macro F1", "GOOG"])])
def test_figures_are_written_and_repeat(tmp_path, kind, words, monkeypatch):
    monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")
    paths = [tmp_path / "deep" / name for name in ("a.svg", "b.svg", "a.png")]
    for path in paths:
        draw(path, kind)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[2].read_bytes().startswith(b"\x89PNG") and len(paths[2].read_bytes()) > 5_000
    text = paths[0].read_text()
    assert all(word in text for word in words)
