"""The studies from a feed to their tables, on a small simulated one but for the training."""

import importlib
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("lightgbm")

from martlet import labels  # noqa: E402
from martlet.training import baselines, data, evaluation, loop, networks, pruning, quantization, steps  # noqa: E402
from martlet.training.bootstrap import Interval  # noqa: E402
from martlet.training.config import ConfigError  # noqa: E402
from run_support import quick_compiler  # noqa: E402, F401
from support import BIN, ROOT, martlet, one_line  # noqa: E402

pytestmark = pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    path = tmp_path_factory.mktemp("feed") / "sim.dbn.zst"
    martlet("simulate", "--seed", 5, "--events", 6_000, "--out", path)
    return path


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Of all studies of the feed: they share its features."""
    return tmp_path_factory.mktemp("work")


def untrained(network, heads, examples, settings, first=None, folder=None):
    """In place of `loop.train`, most of whose time is the compiler's: random weights, pruned and with ranges."""
    shapes = jax.eval_shape(
        steps.compiled_initial(network, heads, None, None, examples.features.shape[1], 0), jax.random.key(1))
    generator = np.random.default_rng(settings.seed)
    weights = {name: generator.normal(0, 0.1, shape.shape).astype(np.float32) for name, shape in shapes.items()}
    weights |= first or {}
    if settings.pruning:
        masks = pruning.masks(weights, network.prunable, 1 - settings.pruning.density, settings.pruning, None, 0)
        weights |= {name: weights[name] * mask for name, mask in masks.items()}
    ranges = None
    if settings.quantization:
        ranges = quantization.measure(
            network, weights, examples.features[-500:], examples.reset[-500:], settings.quantization)
    return loop.Trained(weights, ranges, [], 0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The studies can be imported, and do all but train."""
    monkeypatch.syspath_prepend(str(ROOT / "python" / "studies"))
    import days
    import risk
    import trading

    monkeypatch.setattr(loop, "train", untrained)
    monkeypatch.setattr(risk, "SEEDS", (1,))
    monkeypatch.setattr(trading, "FEES", (0.1,))
    monkeypatch.setattr(days, "DAYS", {"SIM1": days.Day((10, 20), (None, None), 1, 6.5)})
    monkeypatch.setattr(baselines, "logistic", baselines.persistence)
    monkeypatch.setattr(baselines, "STEPS_MAX", 5)
    monkeypatch.setattr(evaluation, "REFERENCE_BURN_IN", 300)


def run(study, *arguments):
    study.main(study.make_parser().parse_args([str(argument) for argument in arguments]))


def test_the_bitcoin_study_makes_its_model_and_compares_it(feed, work, tmp_path, monkeypatch, capsys):
    import btcusdt

    monkeypatch.setattr(btcusdt, "SEEDS", (1,))
    monkeypatch.setattr(btcusdt, "HORIZONS", (10, 20))
    monkeypatch.setattr(btcusdt, "ALPHAS", (None, None))
    monkeypatch.setattr(btcusdt, "DENSITIES", (0.1,))
    monkeypatch.setattr(btcusdt, "STUDENT", networks.make("mlp", dense=(16,)))
    model = tmp_path / "small.onnx"
    run(btcusdt, feed, "--work", work, "--model", model, "--also", feed)
    printed = capsys.readouterr().out
    for head in ("macro F1, training code", "macro F1, integer reference", "of persistence",
                 "| LSTM fp32 10% | logistic, ", "| 20 ticks | LSTM int8 10% |", "| Matthews |"):
        assert head in printed
    for stem, is_integer in (("small", False), ("small-8bit", True)):
        written = onnx.load(tmp_path / f"{stem}.onnx")
        name = next(entry.value for entry in written.metadata_props if entry.key == "martlet.name")
        assert json.loads(name) == stem
        assert is_integer == any(node.op_type == "QuantizeLinear" for node in written.graph.node)


def test_the_equity_study_sets_students_beside_its_teacher_a_mixer_and_published_networks(
        feed, tmp_path, monkeypatch, capsys):
    import chain
    import goog
    import peers

    course, tcn = chain.Course(), networks.make("tcn", channels=8, layers=2)
    mixer = networks.make("mixer", channels=8, layers=1, window=8)
    monkeypatch.setattr(goog, "SEEDS", (1,))
    monkeypatch.setattr(goog, "ALPHA", None)
    monkeypatch.setattr(goog, "STUDENTS", {"TCN": (tcn, course, (), (0.5,))})
    monkeypatch.setattr(goog, "FURTHER", (chain.Member("teacher member TCN", tcn, chain.TEACHER),))
    monkeypatch.setattr(goog, "MIXER", chain.Member("mixer", mixer, chain.TEACHER))
    monkeypatch.setattr(goog, "COMPRESSED", ["TCN int8 50%"])
    monkeypatch.setattr(peers, "DEEPLOB_NETWORK", networks.make("deeplob", window=20, channels=4, inception=4, units=4))
    run(goog, feed, "--work", tmp_path / "work", "--plot", tmp_path / "figure.png")
    printed = capsys.readouterr().out
    for head in ("| teacher member TCN | 1 |", "| teacher and mixer | 1 |", "| TCN int8 50% | mixer | ",
                 "| TCN int8 50% | BiN-C(TABL) | ", "| DeepLOB | ", "| LSTM, book alone | ", "macro F1, integer reference"):
        assert head in printed


def test_students_learn_nothing_from_what_trees_know_by_heart():
    import goog

    trees = np.full((4, 2, 3), 1 / 3, np.float32)
    is_train = np.array([[True, True], [True, False], [False, False], [False, False]])
    found = goog.unseen(trees, is_train)
    assert np.isnan(found[is_train]).all() and (found[~is_train] == trees[~is_train]).all()


@pytest.mark.parametrize("name, heads", [
    ("risk", ["| Kupiec p |", "GRU, seed 1, × "]),
    ("trading", ["| net, bps [95 %] |", "direct reinforcement pruned", "PPO of three positions", "after a delay of"])])
def test_a_study_prints_its_tables_and_draws(feed, work, tmp_path, name, heads, capsys):
    study = importlib.import_module(name)
    run(study, feed, "--work", work, "--plot", tmp_path / "figure.png")
    printed = capsys.readouterr().out
    for head in heads:
        assert head in printed
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_baselines_of_one_horizon_stand_in_a_study_of_several(feed, work, tmp_path):
    import recorded
    import study as kit

    loaded, _ = recorded.load(feed, work)
    made = kit.Study(tmp_path, data.prepare(loaded, (10, 20, 50)), [1])
    trees = made.add_baselines(data.prepare(loaded, [20]), (1, 2))
    assert list(made.rows) == ["majority", "persistence", "logistic", kit.LOGISTIC, "trees"]
    assert made.predictions["trees"].shape == (2, *made.plain.classes.shape, 3)
    assert trees.shape == (*made.plain.classes.shape, 3)
    assert np.isfinite(trees[:, 1]).all() and np.isnan(trees[:, [0, 2]]).all()
    expected, guesses = made.guesses("persistence", 1)
    assert (guesses[0] == labels.most_probable(baselines.persistence(made.plain)[made.plain.test[:, 1], 1])).all()


def test_a_work_folder_is_of_one_recording_and_a_folder_of_features_has_no_feed(feed, work, tmp_path):
    import recorded

    whole, feeds = recorded.load(feed, work)
    same, none = recorded.load(work / "features", tmp_path)
    assert feeds == [[feed]] and none == [] and (same.features == whole.features).all()
    with pytest.raises(ConfigError, match="other data"):
        recorded.load(work / "features", work)


def test_a_recording_that_is_not_there_is_one_line(tmp_path):
    command = [sys.executable, ROOT / "python/studies/risk.py", tmp_path / "day.zip", "--work", tmp_path / "work"]
    one_line(subprocess.run(command, capture_output=True, text=True), 1, "day.zip")


def test_the_study_of_risk_takes_no_move_from_an_absent_price(feed, work):
    import recorded
    import risk as study

    loaded, _ = recorded.load(feed, work)
    problem = data.prepare(loaded, [10])
    hole = problem.split.test_from - 50
    problem.data.mid[hole] = labels.UNDEFINED_PRICE
    moving = next(one for one in study.forecasts(problem, 0, []) if one.name.startswith("EWMA"))
    assert np.nanmax(moving.value_at_risk) < 0.01


def test_the_frontier_is_drawn_where_an_interval_does_not_hold_its_value(tmp_path):
    import frontier

    class Found:
        rows = {"LSTM int8 50%": {"engine": {"p50_ns": 300.0, "precision": "int8"}}, "majority": {}, "trees": {}}

        def score(self, name, column):
            return Interval(0.5, 0.51, 0.52, 0.01)

    frontier.plot(Found(), 0, tmp_path / "figure.png", "GOOG")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_devices_are_timed_with_what_they_compute(monkeypatch, capsys):
    import devices

    monkeypatch.setattr(devices, "NETWORKS", {"MLP": networks.make("mlp", dense=(8,))})
    run(devices, "--ticks", 6_000, "--rounds", 1)
    table = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| MLP")]
    assert [row[1] for row in table] == ["a training step", "scoring 6,000 ticks"]
    assert all(float(row[3]) > 0 and row[4] == "1.000" and 0 < float(row[5].strip(" |")) < 3 for row in table)
