"""The studies from a feed to their tables, on a small simulated one and with hardly any training."""

import dataclasses
import json

import onnx
import pytest

pytest.importorskip("jax")
pytest.importorskip("lightgbm")

from martlet.training import evaluation, networks  # noqa: E402
from run_support import quick_compiler  # noqa: E402, F401
from support import BIN, ROOT, martlet  # noqa: E402

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


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The studies can be imported, and train for an epoch or two."""
    monkeypatch.syspath_prepend(str(ROOT / "python" / "studies"))
    import chain
    import days
    import risk
    import trading

    def shorten(module, *names, epochs=1):
        for name in names:
            short = dataclasses.replace(getattr(module, name), epochs=epochs, lanes=8, burn_in=50, least_settled=0.0)
            monkeypatch.setattr(module, name, short)

    shorten(chain, "TEACHER", "STUDENT", "QUANTISED", epochs=2)
    shorten(risk, "SETTINGS")
    shorten(trading, "DIRECTION")
    monkeypatch.setattr(risk, "SEEDS", (1,))
    monkeypatch.setattr(trading, "FEES", (0.1,))
    monkeypatch.setattr(trading, "POLICIES", {
        name: (dataclasses.replace(settings, epochs=2, lanes=8, steps=25, burn_in=50), how)
        for name, (settings, how) in trading.POLICIES.items()})
    monkeypatch.setattr(days, "DAYS", {"SIM1": days.Day((10, 20), (None, None), 1, 6.5)})
    monkeypatch.setattr(evaluation, "REFERENCE_BURN_IN", 300)


def run(study, *arguments):
    study.main(study.make_parser().parse_args([str(argument) for argument in arguments]))


def test_the_bitcoin_study_makes_its_model_and_compares_it(feed, work, tmp_path, monkeypatch, capsys):
    import btcusdt
    import chain

    monkeypatch.setattr(btcusdt, "SEEDS", (1,))
    monkeypatch.setattr(btcusdt, "HORIZONS", (10, 20))
    monkeypatch.setattr(btcusdt, "ALPHAS", (None, None))
    monkeypatch.setattr(btcusdt, "DENSITIES", (0.1,))
    monkeypatch.setattr(btcusdt, "STUDENT", networks.make("lstm", units=(16,), dense=(16,)))
    monkeypatch.setattr(btcusdt, "COURSE", chain.Course(dense=1, pruned=2))
    model = tmp_path / "small.onnx"
    run(btcusdt, feed, "--work", work, "--model", model, "--also", feed)
    printed = capsys.readouterr().out
    for head in ("macro F1, training code", "macro F1, integer reference", "of persistence"):
        assert head in printed
    name = next(entry.value for entry in onnx.load(model).metadata_props if entry.key == "martlet.name")
    assert json.loads(name) == "small"


@pytest.mark.parametrize("name, heads", [
    ("risk", ["Kupiec p", "GRU, seed 1, × "]),
    ("trading", ["direct reinforcement pruned", "PPO of three positions", "after a delay of"])])
def test_a_study_prints_its_tables_and_draws(feed, work, tmp_path, name, heads, capsys):
    import importlib

    study = importlib.import_module(name)
    run(study, feed, "--work", work, "--plot", tmp_path / "figure.png")
    printed = capsys.readouterr().out
    for head in heads:
        assert head in printed
    assert (tmp_path / "figure.png").stat().st_size > 10_000
