"""FI-2010 on small files in its format: the loader, both setups, what is refused, and the published table."""

import numpy as np
import pytest

from martlet.training import fi2010, fi2010_published
from martlet.training.data import DataError

SAMPLES = 240


def matrix(seed, samples):
    """[149, N]: the first book row tells the move of the next 10 events; labels 1 up, 2 stationary, 3 down."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(fi2010.ROWS, samples))
    for row, horizon in enumerate(fi2010.HORIZONS):
        rows[fi2010.FEATURE_ROWS + row] = np.repeat(random.integers(1, 4, samples), 4)[:samples]
        if horizon == 10:
            rows[0] = (2 - rows[fi2010.FEATURE_ROWS]) * 2 + rows[0]
    return rows


def write(path, rows):
    with open(path, "w") as file:
        for row in rows:
            file.write("   ".join(f"{value:.7e}" for value in row) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Days of 240 samples; training files hold all days before, as the published ones do, in folders of their own."""
    path = tmp_path_factory.mktemp("fi2010")
    days = [matrix(seed, SAMPLES) for seed in range(10)]
    for kind in ("Training", "Testing"):
        (path / kind).mkdir()
    for fold in fi2010.FOLDS:
        write(path / "Training" / f"Train_Dst_NoAuction_ZScore_CF_{fold}.txt", np.concatenate(days[:fold], axis=1))
        write(path / "Testing" / f"Test_Dst_NoAuction_ZScore_CF_{fold}.txt", days[fold])
    return path


@pytest.fixture(scope="module")
def files(folder):
    return fi2010.find(folder)


def test_a_file_is_read_with_its_labels_turned_round(files):
    rows = matrix(7, SAMPLES)
    part = fi2010.load(files["Test 7"], 20)
    assert part.features.shape == (SAMPLES, 40) and part.features.dtype == np.float32
    assert np.abs(part.features - rows[:40].T).max() < 1e-6
    assert {(mark, c) for mark, c in zip(rows[145], part.classes)} == {(1, 2), (2, 1), (3, 0)}
    assert fi2010.load(files["Test 7"], 100, 144).features.shape == (SAMPLES, 144)


def test_setup_1_walks_forward_and_setup_2_tests_three_days(files):
    folds = list(fi2010.folds(files, 1, 50))
    assert [len(fold.train.classes) + len(fold.validation.classes) for fold in folds] == [
        SAMPLES * day - 5 for day in range(1, 10)]
    assert all(len(fold.test.classes) == SAMPLES for fold in folds)
    fold, = fi2010.folds(files, 2, 10)
    assert len(fold.validation.classes) == round(7 * SAMPLES * 0.2) and len(fold.test.classes) == 3 * SAMPLES
    assert len(fold.train.classes) == 7 * SAMPLES - len(fold.validation.classes) - 1
    assert (fold.test.features[SAMPLES:2 * SAMPLES] == fi2010.load(files["Test 8"], 10).features).all()
    assert (fold.validation.features[-1] == fi2010.load(files["Train 7"], 10).features[-1]).all()


def test_windows_end_with_their_sample():
    features = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = fi2010.windows(features, 3)
    assert found.shape == (4, 3, 2) and all((found[i] == features[i:i + 3]).all() for i in range(4))


@pytest.mark.parametrize("setup, folds", [(1, 9), (2, 1)])
def test_a_model_is_judged_beside_its_baselines(files, setup, folds):
    result = fi2010.evaluate(fi2010.logistic, files, setup, 10, window=10)
    assert len(result.folds) == len(result.intervals) == folds
    assert result.mean["macro_f1"] == pytest.approx(np.mean([fold["model"]["macro_f1"] for fold in result.folds]))
    for fold, interval in zip(result.folds, result.intervals):
        assert fold["model"]["macro_f1"] == interval.value > fold["majority"]["macro_f1"] + 0.2
    # Labels come four in a row: the one before is right three times of four and a third of the rest.
    persistence = np.mean([fold["persistence"]["accuracy"] for fold in result.folds])
    assert persistence == pytest.approx(0.75 + 0.25 / 3, abs=0.06)
    assert result.mean["macro_f1"] > 0.7


def test_the_model_sees_training_and_validation_and_only_features_of_the_test(files):
    seen = []

    def fit(train, validation):
        seen.append((train, validation))
        return lambda features: np.tile(np.float32([0, 0, 1]), (len(features), 1))

    result = fi2010.evaluate(fit, files, 2, 100, window=100, feature_rows=144)
    train, validation = seen[0]
    assert train.features.shape[1] == 144 and len(validation.classes) == 336
    expected = fi2010.load(files["Test 7"], 100).classes[99:]
    share = np.concatenate([expected, *(fi2010.load(files[f"Test {n}"], 100).classes for n in (8, 9))]) == 2
    assert result.folds[0]["model"]["accuracy"] == pytest.approx(share.mean())


@pytest.mark.parametrize("change, text", [
    (lambda rows: rows[:-1], "148 rows"), (lambda rows: rows[:40], "40 rows"),
    (lambda rows: np.where(np.arange(149)[:, None] == 144, 4, rows), "not 1, 2 and 3"),
    (lambda rows: np.where(np.arange(149)[:, None] == 5, np.nan, rows), "not finite"),
])
def test_files_of_another_form_are_refused(tmp_path, change, text):
    path = tmp_path / "Test_Dst_NoAuction_ZScore_CF_1.txt"
    write(path, change(matrix(1, 9)))
    with pytest.raises(DataError, match=text):
        fi2010.load(path, 10)


def test_words_ragged_rows_and_unknown_horizons_are_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1 2\n1 x\n" * 75)
    with pytest.raises(DataError, match="row 2"):
        fi2010.load(path, 10)
    path.write_text("1 2\n" * 148 + "1\n")
    with pytest.raises(DataError, match="different lengths"):
        fi2010.load(path, 100)
    with pytest.raises(DataError, match="horizons of"):
        fi2010.load(path, 40)


def test_missing_files_are_named(folder, files, tmp_path):
    with pytest.raises(DataError, match="Train_Dst_NoAuction_ZScore_CF_7"):
        fi2010.find(tmp_path)
    with pytest.raises(DataError, match="DecPre"):
        fi2010.find(folder, "DecPre")
    some = {key: path for key, path in files.items() if key != "Test 8"}
    with pytest.raises(DataError, match="Test 8"):
        list(fi2010.folds(some, 2, 10))
    with pytest.raises(DataError, match="setups"):
        list(fi2010.folds(files, 3, 10))


def test_too_few_samples_and_wrong_models_are_refused(files):
    with pytest.raises(DataError, match="too few samples"):
        fi2010.evaluate(fi2010.logistic, files, 1, 10, window=100)
    with pytest.raises(ValueError, match="the model gave"):
        fi2010.evaluate(lambda train, validation: lambda features: np.zeros((3, 3)), files, 2, 10, window=10)


def test_the_published_table_stands_beside_ours():
    text = fi2010_published.table({"gru": {10: 0.8123, 50: 0.5}})
    lines = text.splitlines()
    assert lines[2] == "| gru | ours | 81.2 | – | – | 50.0 | – |"
    assert "| BiN-C(TABL) | LOBCAST | 81.1 | 71.5 | 80.8 | 87.7 | 92.1 |" in lines
    assert "| DeepLOB | DeepLOB's paper, weighted | 83.4 | 72.8 | – | 80.3 | – |" in lines
    assert len(lines) == 3 + sum(row.setup == 2 for row in fi2010_published.PUBLISHED)
    assert "ridge" in fi2010_published.table({}, 1) and "MLPLOB" not in fi2010_published.table({}, 1)
    assert all(len(row.f1) == 5 and any(row.f1) for row in fi2010_published.PUBLISHED)
