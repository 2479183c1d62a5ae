"""A run with risk and position: what report and metrics say of them is what the exported file does."""

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("jax")
onnx = pytest.importorskip("onnx")
pytest.importorskip("yaml")

from martlet.training import backtest, card, export, metrics, risk, run, stages  # noqa: E402
from martlet.training.environment import Market, simulate  # noqa: E402
from martlet.training.report import Report  # noqa: E402
from run_support import features, interrupt, quick_compiler, small  # noqa: E402, F401

FEE = 0.2


def settings(features):
    return small(
        features, heads={"names": ["probabilities", "value_at_risk", "expected_shortfall", "position"]},
        trading={"fee_bps": FEE, "latency": 2}, training={"epochs": 6, "learning_rate": 1e-2, "lanes": 8, "steps": 25})


@pytest.fixture(scope="module")
def done(features, tmp_path_factory):
    """The run's folder and values, the problem, and the outputs of its file at all ticks."""
    folder, config = tmp_path_factory.mktemp("runs") / "small", settings(features)
    values = run.run(config, folder)
    problem = stages.problem_of(config, stages.load_data(config, folder, []))
    return folder, values, problem, export.run(
        onnx.load(folder / "model.onnx"), problem.data.features, problem.data.reset)


def test_the_files_position_earns_what_is_said(done):
    _, values, problem, found = done
    cuts, count = (problem.validation_from, problem.test_from), len(problem.data.mid)
    part = Market.of(problem.data, FEE, cuts, problem.warm_up).part(problem.test_from, count)
    account = simulate(part, found["position"][problem.test_from:, 0], 2)
    rows = {row["name"]: row for row in values["trading"]}
    assert rows["student"]["net"]["value"] == pytest.approx(account.equity[-1], abs=1e-6)
    assert rows["student"]["turnover"] == pytest.approx(account.traded.sum(), rel=1e-4)
    # Drifts last far longer than the delay, and the feature shows them: there is something to earn.
    assert rows["student"]["net"]["value"] > 0 and account.traded.sum() > 1
    assert rows["flat"]["net"]["value"] == 0
    sides = simulate(part, backtest.sign_positions(metrics.direction_score(
        found["probabilities"][problem.test_from:, 0])), 2)
    assert rows["sign of the prediction over 10 ticks"]["net"]["value"] == pytest.approx(sides.equity[-1], abs=1e-6)
    assert rows["always long"]["turnover"] == pytest.approx(2)
    assert rows["always short"]["gross"] == pytest.approx(-rows["always long"]["gross"])


def test_the_files_risk_is_calibrated_and_judged(done):
    _, values, problem, found = done
    beyond = -problem.returns[:, 0] > found["value_at_risk"][:, 0, 0]
    shares = [beyond[chosen].mean() for chosen in (problem.validation, problem.train | problem.validation)
              for chosen in [chosen[:, 0]]]
    assert max(shares) == pytest.approx(0.05, abs=1e-3) and values["risk_factors"][0] != 1
    ticks = metrics.non_overlapping(problem.test[:, 0], problem.ahead[:, 0])
    for tail, row in enumerate(values["risk"][:2]):
        violated = -problem.returns[ticks, 0] > found["value_at_risk"][ticks, 0, tail]
        assert (row["horizons"], row["violations"]) == (len(ticks), violated.sum()) and row["forecast"] == "student"
    assert len({row["forecast"] for row in values["risk"]}) == 3


def test_card_and_report_hold_both(done):
    folder, values, _, _ = done
    for name in ("card.md", "report.md"):
        text = (folder / name).read_text()
        assert "## Trading" in text and "The position earns" in text and "filled 2 ticks" in text
        assert "## Value at risk and expected shortfall" in text and "| 10 ticks | historical | 99 % |" in text
    page = (folder / "report.html").read_text()
    for name in ("risk-10ticks", "equity", "equity-rare"):
        assert (folder / "plots" / f"{name}.png").exists()
    assert page.count("data:image/png;base64,") == len(list((folder / "plots").iterdir()))
    assert json.loads((folder / "metrics.json").read_text())["trading"] == values["trading"]


def test_an_interrupted_run_gives_the_same_file(done, features, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            run.run(settings(features), tmp_path)
    run.run(settings(features), tmp_path, is_resumed=True)
    assert (tmp_path / "model.onnx").read_bytes() == (done[0] / "model.onnx").read_bytes()


def test_a_risk_that_is_rejected_is_said_to_be():
    random = np.random.default_rng(3)
    returns, ahead, chosen = random.normal(size=4_000), np.full(4_000, 2), np.arange(4_000) < 3_998
    right, low = (risk.evaluate(risk.Forecast("", *(np.tile(factor * np.array(tails), (4_000, 1)) for tails in (
        (1.645, 2.326), (2.063, 2.665))), np.ones(4_000)), returns, ahead, chosen) for factor in (1, 0.7))
    assert card._coverage({"2 ticks": [right, low]}) == (
        "No test rejects at any horizon, at 95 or 99 %, nor from more than half of the other beginnings. "
        "FZ0 is below that of both rivals in 2 of 2 cases.")
    text = card._coverage({"2 ticks": [low, right]})
    assert text.startswith("**At 95 % and 2 ticks the tests reject (Kupiec, both)**: ")
    assert text.endswith("in 0 of 2 cases.")
    assert text.count("risk is understated") == 2
    hidden = dataclasses.replace(right.tails[0], rejecting=(0.6, 0.1))
    text = card._coverage({"2 ticks": [dataclasses.replace(right, tails=(hidden, right.tails[1])), low]})
    assert "At 95 % and 2 ticks no test rejects, but from 60 % of the other beginnings one does" in text


def test_a_loss_is_said_as_one():
    steps = np.array([1e-4, -2e-4] * 400)
    market = Market(steps, np.full(800, 1e-5), np.ones(800, bool), np.arange(800) == 799, np.arange(800) == 0)
    # Of the moves all but the last count; a whole position costs 0.1 basis points into it and as much out of it.
    flat, wins, loses = (
        backtest.judge("student", simulate(market, side * np.ones(800), 0), 1.0, 10) for side in (0, -1, 1))
    rival = dataclasses.replace(flat, name="flat")
    lost, won, none = (card._outcome([one, rival]) for one in (loses, wins, flat))
    assert lost.startswith("**The position loses 398.2 basis points after costs**, -398.0 before them.")
    assert "does not hold zero. On average it held 0.999 of a whole position." in lost
    assert lost.endswith("Better on this part: flat (+0.0, trades: 0).")
    assert won.startswith("The position earns 397.8 basis points after costs, +398.0 before them.")
    assert won.endswith("Nothing in the table does better.")
    assert none == "The position never trades."
    small = backtest.judge("student", simulate(market, 1e-4 * np.ones(800), 0), 1.0, 10)
    assert card._outcome([small, rival]).startswith("The position comes to nothing after costs, -0.0 basis points before")
    assert "held 0.000 of a whole position: it stays out of the market." in card._outcome([small, rival])


def test_the_card_counts_the_trend_among_what_is_left_out(features, tmp_path):  # noqa: F811
    def said(**changes):
        settings = small(features, data={"folder": str(features), "horizons": [10], **changes})
        text = Report("")
        card._data(text, settings, stages.problem_of(settings, stages.load_data(settings, tmp_path, [])))
        return text.markdown()

    assert "up to 10 ticks at the start of a part" in said()
    assert "up to 40 ticks at the start of a part" in said(trend_ticks=40)
    assert "up to 70 ticks at the start of a part" in said(trend_ticks=40, embargo=70)
