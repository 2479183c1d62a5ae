"""Loading, parts in time, and problems: what is refused, and that no label looks where it must not."""

import json

import numpy as np
import pytest

from martlet import labels
from martlet.training.data import TWO_SIDED, Data, DataError, Horizon, Split, prepare, walk_forward
from martlet.training.metrics import f1_scores
from support import BIN, FEED, FEEDS, MODEL, martlet
from training_support import COUNT, FEATURES, describe, write_folder

ARRAYS = ("features", "mid", "bid", "ask", "ts_recv", "reset", "instrument")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return Data.load(write_folder(tmp_path_factory.mktemp("features")))


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "features.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        Data.load(folder)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_wrong_type_or_length_is_named(folder, name):
    array = np.load(folder / f"{name}.npy")
    np.save(folder / f"{name}.npy", array.astype(np.float64))
    with pytest.raises(DataError, match=f"{name}.npy is float64"):
        Data.load(folder)
    np.save(folder / f"{name}.npy", array[:-1])
    with pytest.raises(DataError, match="expected"):
        Data.load(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_feature(folder, value):
    features = np.load(folder / "features.npy")
    features[77, 3] = value
    np.save(folder / "features.npy", features)
    with pytest.raises(DataError, match="not finite, as in f3"):
        Data.load(folder)


@pytest.mark.parametrize("changes, text", [
    ({"feature_set_version": 2}, "version 2 of the feature set.*version 1"), ({"sha256": None}, "lacks sha256"),
    ({"instruments": ["A/A", "B/B"]}, "one of A/A, B/B"), ({"names": ["f0"]}, "features.npy is"),
])
def test_a_description_that_does_not_fit_is_refused(folder, changes, text):
    describe(folder, **changes)
    with pytest.raises(DataError, match=text):
        Data.load(folder)


def test_text_that_is_no_json_and_too_few_ticks_are_refused(folder):
    (folder / "features.json").write_text("{")
    with pytest.raises(DataError, match=str(folder)):
        Data.load(folder)
    write_folder(folder, count=4_000)
    with pytest.raises(DataError, match="4000 ticks; 5000"):
        Data.load(folder)


@pytest.mark.parametrize("text, expected", [
    (50, Horizon(50)), ("50", Horizon(50)), ("250ms", Horizon(250, "milliseconds")), (Horizon(3), Horizon(3))])
def test_horizons_are_ticks_or_times(text, expected):
    assert Horizon.parse(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "ten", "5s", "", "1.5", 2**32])
def test_other_horizons_are_refused(text):
    with pytest.raises(DataError, match="a horizon is"):
        Horizon.parse(text)


@pytest.mark.parametrize("unit, horizons", [("ticks", [10, 40]), ("milliseconds", ["10ms", "40ms"])])
def test_no_label_looks_into_another_part(data, unit, horizons):
    problem = prepare(data, horizons, 50)
    bounds = [0, 7_200, 9_600, COUNT]
    parts = [problem.train, problem.validation, problem.test]
    for column, k in enumerate([10, 40]):
        for part, first, end in zip(parts, bounds, bounds[1:]):
            chosen = np.flatnonzero(part[:, column])
            # The longest horizon is the embargo: not even what persistence knows comes from the part before.
            assert chosen[0] >= (first + 40 if first else 50)
            assert (chosen + problem.ahead[chosen, column]).max() < end
            # One tick less, since what is over in time is known a tick later.
            assert len(chosen) >= end - first - 40 - k - 1 - 2 * (50 + k) * (first == 0)
        assert not problem.train[3_000 - k:3_050, column].any()
        assert (problem.classes[problem.train[:, column], column] >= 0).all()
        assert (problem.known[problem.test[:, column], column] >= 0).all()


def test_horizons_apart_from_each_other_do_not_overlap(data):
    problem = prepare(data, [10, "10ms"], 50)
    assert (problem.apart(0)[:-10] == 10).all()
    ts, apart = data.ts_recv.astype(np.int64), problem.apart(1)
    for tick in range(100, 200):
        later = ts[tick + apart[tick]:] > ts[tick] + 10 * 10**6
        assert later.all() and ts[tick + apart[tick] - 1] <= ts[tick] + 10 * 10**6


def test_a_longer_embargo_is_kept(data):
    problem = prepare(data, [10], 50, split=Split.in_time(COUNT, (0.5, 0.2, 0.3), embargo=500))
    assert np.flatnonzero(problem.validation)[0] == 6_500 and np.flatnonzero(problem.test)[0] == 8_900


def test_scales_come_from_training_alone(data, folder):
    changed = Data.load(folder)
    changed.features[7_200:] = 1e6
    for array in ("mean", "scale"):
        assert (getattr(prepare(changed, [10], 50), array) == getattr(prepare(data, [10], 50), array)).all()
    problem = prepare(data, [10], 50)
    warm = np.r_[50:3_000, 3_050:7_200]
    assert np.abs(problem.normalised[warm].mean(axis=0)).max() < 1e-3 and problem.scale[1] == 0
    assert np.abs(np.delete(problem.normalised[warm].std(axis=0), 1) - 1).max() < 1e-3


def test_thresholds_come_from_training_or_as_given(data, folder):
    changed = Data.load(folder)
    changed.mid[7_200:] = changed.mid[7_200] + np.arange(COUNT - 7_200) % 7 * 10**9
    assert prepare(changed, [10], 50).alphas == prepare(data, [10], 50).alphas
    problem = prepare(data, [10, 20], 50, alphas=[2e-4, None])
    values, usable = labels.smoothed_mid(data.mid, data.reset, 10)
    assert problem.alphas[0] == 2e-4 and (problem.classes[:, 0] == labels.classify(values, usable, 2e-4)).all()
    flat = np.mean(problem.classes[problem.train[:, 1], 1] == labels.FLAT)
    assert abs(flat - 1 / 3) < 0.1


def test_targets_beside_the_classes(data):
    problem = prepare(data, [10, "20ms"], 50, trend_ticks=60)
    assert np.array_equal(problem.returns[:, 0], labels.returns(data.mid, data.reset, 10), equal_nan=True)
    volatility = labels.realised_volatility(data.mid, data.reset, problem.ahead[:, 1])
    assert np.array_equal(problem.volatility[:, 1], volatility, equal_nan=True)
    assert np.isfinite(problem.returns[problem.test]).all() and np.isnan(problem.returns[-1]).all()
    assert (problem.trend == labels.trend(data.mid, data.reset, 60, problem.trend_multiple)).all()
    for part, first, end in [(problem.trend_train, 59, 7_200), (problem.trend_validation, 7_260, 9_600)]:
        chosen = np.flatnonzero(part)
        assert chosen[0] >= first and chosen[-1] == end - 61 and (problem.trend[chosen] >= 0).all()
    assert np.flatnonzero(prepare(data, [10], 200, trend_ticks=60).trend_train)[0] == 200
    without = prepare(data, [10], 50)
    assert (without.trend == labels.NONE).all() and not without.trend_train.any()


@pytest.mark.parametrize("horizon", [30, "30ms"])
def test_ticks_without_a_known_label_do_not_count(data, horizon):
    problem = prepare(data, [horizon], 0)
    expected = (labels.persistence(problem.classes[:, 0], 30) if horizon == 30
                else labels.persistence_in_time(problem.classes[:, 0], data.reset, problem.ahead[:, 0]))
    assert (problem.known[:, 0] == expected).all()
    chosen = np.flatnonzero(problem.train[:, 0])
    lag = 30 if horizon == 30 else 31
    assert (problem.known[chosen, 0] >= 0).all() and chosen[0] == lag and chosen[chosen >= 3_000][0] == 3_000 + lag


def test_two_sided_labels_can_be_asked_for(data):
    problem = prepare(data, [10], 50, label=TWO_SIDED)
    values, usable = labels.smoothed_two_sided(data.mid, data.reset, 10)
    assert (problem.classes[:, 0] == labels.classify(values, usable, problem.alphas[0])).all()
    with pytest.raises(DataError, match="in ticks, not 10 ms"):
        prepare(data, ["10ms"], 50, label=TWO_SIDED)


@pytest.mark.parametrize("arguments, text", [
    ({"horizons": [2_000]}, "validation part has no labelled ticks for the horizon of 2000 ticks"),
    ({"horizons": [10], "alphas": [1.0]}, "train part are flat for the horizon of 10 ticks with a threshold of 1"),
    ({"horizons": [10], "trend_ticks": 1_500}, "trend over 1500"),
    ({"horizons": []}, "at least one horizon"), ({"horizons": [5], "alphas": [1, 2]}, "one alpha for each"),
    ({"horizons": [5], "label": "median"}, "for labels"),
    ({"horizons": [5], "split": Split(0, 9, 99, COUNT + 1)}, "split ends"),
])
def test_problems_that_cannot_be_learned_are_refused(data, arguments, text):
    with pytest.raises(DataError, match=text):
        prepare(data, warm_up=50, **arguments)


@pytest.mark.parametrize("arguments", [{"label": TWO_SIDED}, {"trend_ticks": 10}])
def test_prices_too_large_for_sums_are_refused_with_what_to_do(folder, arguments):
    data = Data.load(folder)
    data.mid += 2**61
    with pytest.raises(DataError, match="10 ticks: prices are too large for sums of 10: choose"):
        prepare(data, [10], 50, alphas=[1e-12], **arguments)


def test_a_clock_that_runs_backwards_has_no_time_horizon(folder):
    data = Data.load(folder)
    data.ts_recv[100] = 0
    with pytest.raises(DataError, match="do not decrease"):
        prepare(data, ["10ms"], 50)


def test_walking_forward_trains_before_it_tests():
    folds = walk_forward(1_000, 3, 20)
    assert [(s.train_from, s.validation_from, s.test_from, s.end, s.embargo) for s in folds] == [
        (0, 200, 400, 600, 20), (0, 400, 600, 800, 20), (0, 600, 800, 1_000, 20)]
    assert [s.train_from for s in walk_forward(1_000, 3, is_anchored=False)] == [0, 200, 400]
    for count, number in ((4, 9), (1_000, 0), (1_000, 10**5)):
        with pytest.raises(DataError, match="at least one fold"):
            walk_forward(count, number)


@pytest.mark.parametrize("shares", [(0.6, 0.4), (0.6, 0.2, 0.3), (0.8, 0.2, 0), (1.2, -0.4, 0.2)])
def test_shares_that_are_no_parts_are_refused(shares):
    with pytest.raises(DataError, match="sum to 1"):
        Split.in_time(1_000, shares)


@pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set: the built program is needed")
def test_persistence_is_that_of_martlet_score(tmp_path):
    onnx = pytest.importorskip("onnx")
    martlet("features", FEED, "--out", tmp_path)
    score = json.loads(martlet("score", FEED, "--model", MODEL, "--json", "--evaluate-from", 0).stdout)
    metadata = {entry.key: entry.value for entry in onnx.load(MODEL).metadata_props}
    parameters = json.loads(metadata["martlet.horizons"])
    data = Data.load(tmp_path)
    problem = prepare(data, [h["length"] for h in parameters], alphas=[h["alpha"] for h in parameters])
    is_warm = labels.ticks_since_reset(data.reset) >= data.description["warm_up_ticks"]
    for column, expected in enumerate(score["horizons"]):
        rows = is_warm & (problem.classes[:, column] >= 0) & (problem.known[:, column] >= 0)
        found = f1_scores(problem.classes[rows, column], problem.known[rows, column])
        assert rows.sum() == expected["evaluated"]
        assert found["macro_f1"] == pytest.approx(expected["persistence_macro_f1"], abs=1e-12)


@pytest.mark.skipif(not (BIN and FEEDS), reason="MARTLET_BIN and MARTLET_FEEDS are not set: recorded days are needed")
def test_a_recorded_day_becomes_a_problem(tmp_path):
    source = FEEDS + "/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip"
    martlet("convert", "--from", "lobster", source, "--out", tmp_path / "goog.dbn.zst")
    martlet("features", tmp_path / "goog.dbn.zst", "--out", tmp_path)
    problem = prepare(Data.load(tmp_path), [50, "1000ms"], alphas=[2e-5, None], trend_ticks=500)
    rows = problem.test[:, 0]
    persistence = f1_scores(problem.classes[rows, 0], problem.known[rows, 0])["macro_f1"]
    assert rows.sum() > 29_000 and 0.40 < persistence < 0.43
    assert np.isfinite(problem.returns[problem.test]).all() and problem.data.features.shape[1] > FEATURES
    shares = np.bincount(problem.trend[problem.trend_train]) / problem.trend_train.sum()
    assert np.abs(shares - 1 / 3).max() < 0.1
