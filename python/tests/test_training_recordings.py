"""Several recordings as one problem: parts of each in time, labels of the whole recordings, and `martlet score` of each."""

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("onnx")
pytest.importorskip("yaml")

from martlet import labels  # noqa: E402
from martlet.training import card, command, config, evaluation, stages  # noqa: E402
from martlet.training.config import ConfigError  # noqa: E402
from martlet.training.data import (  # noqa: E402
    PARTS, Data, DataError, joined, prepare, prepare_all, splits_in_time)
from martlet.training.report import Report  # noqa: E402
from run_support import quick_compiler, small  # noqa: E402, F401
from support import BIN, martlet  # noqa: E402
from training_support import write_folder  # noqa: E402

LEAD = 300
COUNTS = (12_000, 8_000)
#: Bounds of the parts of each.
BOUNDS = ((0, 7_200, 9_600, 12_000), (0, 4_800, 6_400, 8_000))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two, the second after the first."""
    found = [Data.load(write_folder(tmp_path_factory.mktemp("features"), seed, count))
             for seed, count in zip((6, 7), COUNTS)]
    found[1].ts_recv += np.uint64(10**12)
    return found


def test_each_recording_has_its_parts_and_the_labels_of_the_whole(recordings):
    apart = [prepare(one, [10, "20ms"], 50, alphas=[2e-4, 2e-4], trend_ticks=60, trend_multiple=0.5)
             for one in recordings]
    problem = joined(apart, LEAD)
    begin = 0
    for part, name in enumerate(PARTS):
        for one, bounds in zip(apart, BOUNDS):
            first = bounds[part] - LEAD * (part > 0)
            rows, length = slice(first, bounds[part + 1]), bounds[part + 1] - first
            here = slice(begin, begin + length)
            begin += length
            for key in ("classes", "known", "ahead", "returns", "volatility", "trend"):
                assert np.array_equal(getattr(problem, key)[here], getattr(one, key)[rows], equal_nan=True)
            assert (problem.data.features[here] == one.data.features[rows]).all()
            assert (problem.data.ts_recv[here] == one.data.ts_recv[rows]).all()
            # Of each part its own ticks count, and none of those that lead to it.
            for other in PARTS:
                expected = one.part(other)[rows] if other == name else np.zeros((length, 2), bool)
                assert (problem.part(other)[here] == expected).all()
                trend = getattr(one, f"trend_{other}")[rows] if other == name else np.zeros(length, bool)
                assert (getattr(problem, f"trend_{other}")[here] == trend).all()
            assert problem.data.reset[here.start] == 1
            assert (problem.data.reset[here][1:] == one.data.reset[rows][1:]).all()
    assert begin == len(problem.data.mid) == problem.split.end
    assert problem.validation_from == 12_000 and problem.test_from == 16_000 + 2 * LEAD
    assert problem.tests == (slice(16_600, 19_300), slice(19_300, 21_200))
    for name in PARTS:
        assert (problem.part(name).sum(axis=0) == sum(one.part(name).sum(axis=0) for one in apart)).all()


def test_thresholds_and_scales_are_those_of_all_training_parts(recordings):
    problem = prepare_all(recordings, [10], 50, trend_ticks=60)
    apart = [prepare(one, [10], 50, trend_ticks=60) for one in recordings]
    values = np.concatenate([labels.smoothed_mid(one.data.mid, one.data.reset, 10)[0][one.train[:, 0]]
                             for one in apart])
    assert problem.alphas == [labels.choose_alpha(values)]
    scores = np.concatenate([labels.trend_score(one.data.mid, one.data.reset, 60)[0][one.trend_train]
                             for one in apart])
    assert problem.trend_multiple == labels.choose_alpha(scores)
    rows = np.concatenate([one.data.features[:one.validation_from][
        labels.ticks_since_reset(one.data.reset)[:one.validation_from] >= 50] for one in apart])
    assert problem.mean == pytest.approx(rows.mean(axis=0, dtype=np.float64), abs=1e-6)
    assert 1 / problem.scale[0] == pytest.approx(rows[:, 0].std(dtype=np.float64), rel=1e-5)
    assert prepare_all(recordings[:1], [10], 50).alphas == prepare(recordings[0], [10], 50).alphas
    assert prepare_all(recordings, [10], 50, alphas=[3e-4]).alphas == [3e-4]


def test_what_is_said_of_the_data_names_all_recordings(recordings):
    named = [dataclasses.replace(one, instrument=name, description=one.description | {"sha256": [digit * 64]})
             for one, name, digit in zip(recordings, ("A/X", "B/X"), "12")]
    problem = prepare_all(named, [10], 50)
    assert problem.data.instrument == "A/X, B/X"
    values = stages.metadata("both", problem, {})
    assert values["training_data_sha256"] == ["1" * 64, "2" * 64]
    # The last tick that validation looked at, of the later recording.
    assert values["training_end_timestamp"] == recordings[1].ts_recv[6_399]


def test_recordings_of_the_same_hours_are_cut_at_the_same_moments(recordings):
    first, after = recordings
    inside = dataclasses.replace(after, ts_recv=first.ts_recv[2_000:10_000])
    splits = splits_in_time([first, inside, after])
    assert [(one.validation_from, one.test_from, one.end) for one in splits] == [
        (7_200, 9_600, 12_000), (5_200, 7_600, 8_000), (4_800, 6_400, 8_000)]
    early = dataclasses.replace(after, ts_recv=first.ts_recv[:8_000])
    with pytest.raises(DataError, match="a.dbn overlaps in time with a.dbn .* no tick in one of its parts"):
        splits_in_time([first, early])
    # Cut as the first is, it would be judged on what the second, which begins after the first, is trained on.
    whole = dataclasses.replace(first, ts_recv=first.ts_recv[0] + np.arange(12_000, dtype=np.uint64) * np.uint64(10**9))
    with pytest.raises(DataError, match="a.dbn, a.dbn, which are cut into parts at different moments"):
        splits_in_time([first, after, whole])


def test_what_counts_in_a_part_is_warm_there_too(recordings):
    problem = joined([prepare(one, [10], 700, alphas=[2e-4]) for one in recordings], LEAD)
    since = labels.ticks_since_reset(problem.data.reset)
    for name in PARTS:
        assert since[problem.part(name)[:, 0]].min() >= 700


def test_of_several_recordings_the_one_that_does_not_do_is_named(recordings):
    still = dataclasses.replace(recordings[1], mid=np.full_like(recordings[1].mid, 10**11),
                                description=recordings[1].description | {"files": ["still.dbn"]})
    with pytest.raises(DataError, match="^still.dbn: all .* labels of the train part are flat"):
        prepare_all([recordings[0], still], [10], 50)


def test_the_card_tells_recordings_apart_that_have_one_name():
    row = {"recording": "feed.dbn", "horizon": "10 ticks", "ticks": 9, "difference": 0.0, "python": {"macro_f1": 0.5},
           "engine": {"macro_f1": 0.5}}
    for rows, is_told in (([row], False), ([row, row], True)):
        report = Report("x")
        card._engine(report, {"is_exported": True, "score_check": {
            "is_exact": False, "left_out": [], "horizons": rows}})
        assert ("| recording |" in report.markdown()) == is_told


def test_recordings_that_do_not_fit_are_refused(recordings):
    other = prepare(recordings[1], [10], 50)
    for change in ({"horizons": [20]}, {"warm_up": 60}, {"alphas": [1e-5]}):
        with pytest.raises(DataError, match="the same features, horizons"):
            joined([prepare(recordings[0], **{"horizons": [10], "warm_up": 50} | change), other])


@pytest.mark.parametrize("data, text", [
    ({"recordings": ["a"], "feeds": ["b"]}, "one of feeds, recordings, and folder"),
    ({"recordings": []}, "one of feeds, recordings, and folder"),
    ({"recordings": ["a", "b", "a"]}, "data.recordings names a twice")])
def test_a_configuration_has_one_kind_of_source(data, text):
    with pytest.raises(ConfigError, match=text):
        config.parse(json.dumps({"name": "x", "data": data}))


def test_trading_takes_one_session():
    with pytest.raises(ConfigError, match="on one session"):
        config.parse(json.dumps({"name": "x", "data": {"recordings": ["a", "b"]}, "trading": {"fee_bps": 0},
                                 "heads": {"names": ["probabilities", "position"]}}))


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_run_over_recordings_is_what_martlet_score_says_of_each(tmp_path, precision, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "REFERENCE_BURN_IN", 300)
    feeds = [tmp_path / f"{name}.dbn.zst" for name in ("one", "two")]
    for seed, (feed, events) in enumerate(zip(feeds, (6_000, 7_000)), 5):
        martlet("simulate", "--seed", seed, "--events", events, "--out", feed)
    file, folder = tmp_path / "both.yaml", tmp_path / "run"
    file.write_text(config.as_text(small(
        "x", data={"recordings": [str(feed) for feed in feeds], "horizons": [10, 20],
                   "features": ["queue_*", "momentum_*"]},
        training={"epochs": 3}, **({"quantization": {}} if precision == "int8" else {}))))
    assert command.main(["run", str(file), "--out", str(folder)]) == 0
    assert "martlet score reproduces the scores" in capsys.readouterr().out
    rows = json.loads((folder / "metrics.json").read_text())["score_check"]["horizons"]
    assert [(row["recording"], row["horizon"]) for row in rows] == [
        (f"{name}.dbn.zst", f"{k} ticks") for name in ("one", "two") for k in (10, 20)]
    assert all(row["ticks"] > 500 and row["confusion_difference"] == 0 for row in rows)
    text = (folder / "card.md").read_text()
    assert "It has seen 2 recordings" in text and "| `two.dbn.zst` |" in text and "| one.dbn.zst | 10 ticks |" in text
    settings = config.load(file)
    problem = stages.problem_of(settings, stages.load_data(settings, folder, stages.feeds_of(settings, folder)))
    other = np.full((*problem.classes.shape, 3), 1 / 3, np.float32)
    other[:problem.tests[1].start] = np.nan
    with pytest.raises(evaluation.MismatchError, match="one.dbn.zst, 10 ticks: martlet score gives"):
        evaluation.check_score(folder / "model.onnx", [[feed] for feed in feeds], problem, other, True)
