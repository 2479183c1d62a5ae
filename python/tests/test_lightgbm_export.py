"""A LightGBM model written as ONNX gives LightGBM's own predictions. Skipped where lightgbm is not installed."""

import numpy as np
import pytest

lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed: pip install 'lightgbm>=4,<5'")

import onnxruntime  # noqa: E402

from martlet import lightgbm_export  # noqa: E402


def train(objective, rows=2_000, features=8, missing=True, **parameters):
    random = np.random.default_rng(3)
    x = random.standard_normal((rows, features)).astype(np.float32)
    signal = x[:, 0] * x[:, 1] + np.abs(x[:, 2])
    y = {"binary": signal > 0.5, "multiclass": np.digitize(signal, [0, 1]), "poisson": np.abs(signal)}.get(objective, signal)
    if missing:
        x[random.random(x.shape) < 0.1] = np.nan
    settings = {"objective": objective, "num_leaves": 11, "verbose": -1, "num_threads": 1, "seed": 1} | parameters
    return lightgbm.train(settings, lightgbm.Dataset(x, y.astype(float)), 30), x


def run(booster, x):
    session = onnxruntime.InferenceSession(
        lightgbm_export.to_onnx(booster).SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.concatenate(column) for column in zip(*(session.run(None, {"features": row[None]}) for row in x[:300]))]


@pytest.mark.parametrize("missing", [True, False])
def test_regression_scores_are_those_of_lightgbm(missing):
    booster, x = train("regression", missing=missing)
    rows = x[:300].copy()
    rows[:20] = np.nan  # Never seen in training where nothing is missing: LightGBM reads 0 then.
    (scores,) = run(booster, rows)
    np.testing.assert_allclose(scores[:, 0], booster.predict(rows.astype(float)), atol=1e-5)


def test_binary_probabilities_and_labels_are_those_of_lightgbm():
    booster, x = train("binary", sigmoid=1.5)
    labels, probabilities = run(booster, x)
    expected = booster.predict(x[:300].astype(float))
    np.testing.assert_allclose(probabilities[:, 1], expected, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (labels == (expected > 0.5)).all()


def test_multiclass_probabilities_and_labels_are_those_of_lightgbm():
    booster, x = train("multiclass", num_class=3)
    labels, probabilities = run(booster, x)
    expected = booster.predict(x[:300].astype(float))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert (labels == expected.argmax(1)).all()


def test_thresholds_are_rounded_down_so_that_every_float_takes_the_same_side():
    for threshold in (0.1, -0.1, 1e-35, 0.0, 16_777_217.0):
        below = np.float32(lightgbm_export.threshold_below(threshold))
        for value in (below, np.nextafter(below, np.float32(np.inf)), np.nextafter(below, np.float32(-np.inf))):
            assert (float(value) <= threshold) == (value <= below)
    assert lightgbm_export.threshold_below(1e300) == np.finfo(np.float32).max
    with pytest.raises(ValueError, match="below all float32"):
        lightgbm_export.threshold_below(-1e300)


def test_what_onnx_cannot_say_is_refused():
    booster, _ = train("poisson")
    with pytest.raises(ValueError, match="objective"):
        lightgbm_export.to_onnx(booster)
    booster, _ = train("regression", zero_as_missing=True)
    with pytest.raises(ValueError, match="zero as missing"):
        lightgbm_export.to_onnx(booster)
