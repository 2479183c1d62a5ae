"""Labels, persistence and F1 against plain loops and hand-made cases."""

import numpy as np
import pytest

from martlet import labels

NONE = labels.UNDEFINED_PRICE


def slow_label(mid, reset, t, k):
    """The definition, word by word; None without a label."""
    window = range(t + 1, t + k + 1)
    if t + k >= len(mid) or any(mid[i] == NONE for i in range(t, t + k + 1)) or any(reset[i] for i in window):
        return None
    return float(sum(int(mid[i]) for i in window) - k * int(mid[t])) / (float(k) * float(mid[t]))


@pytest.mark.parametrize("seed, price, k", [(1, 577_000_000_000, 1), (2, 60_000 * 10**9, 10), (3, 9 * 10**16, 7)])
def test_smoothed_mid_is_its_definition(seed, price, k):
    random = np.random.default_rng(seed)
    mid = price + np.cumsum(random.integers(-2, 3, 400)) * 5_000_000
    mid[random.random(400) < 0.01] = NONE
    reset = (random.random(400) < 0.01).astype(np.uint8)
    values, usable = labels.smoothed_mid(mid, reset, k)
    for t in range(400):
        expected = slow_label(mid, reset, t, k)
        assert usable[t] == (expected is not None)
        assert expected is None or values[t] == expected


def test_short_or_empty_streams_have_no_labels():
    for mid in ([], [5], [5, 6], [NONE] * 9):
        values, usable = labels.smoothed_mid(np.array(mid, np.int64), np.zeros(len(mid), np.uint8), 2)
        assert len(values) == len(mid) and not usable.any()


def test_classes_are_strict_about_the_threshold():
    values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 2.0])
    usable = np.array([1, 1, 1, 1, 1, 0], bool)
    assert labels.classify(values, usable, 1.0).tolist() == [0, 1, 1, 1, 2, -1]


def test_alpha_makes_a_third_flat():
    values = np.random.default_rng(4).normal(size=30_000)
    alpha = labels.choose_alpha(values)
    assert abs(np.mean(np.abs(values) <= alpha) - 1 / 3) < 0.01
    assert labels.choose_alpha(np.array([0.0, 0.0, 1.0])) == 0
    with pytest.raises(ValueError):
        labels.choose_alpha(np.array([]))


def test_persistence_is_the_label_of_k_ticks_before():
    classes = np.array([2, 0, -1, 1, 2], np.int8)
    assert labels.persistence(classes, 1).tolist() == [-1, 2, 0, -1, 1]
    assert labels.persistence(classes, 3).tolist() == [-1, -1, -1, 2, 0]


def test_f1_scores_of_a_known_table():
    expected = np.array([0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 1, 1, 1, 2, 0])
    scores = labels.f1_scores(expected, predicted)
    assert scores["macro_f1"] == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert labels.f1_scores(expected[:0], predicted[:0])["macro_f1"] == 0
    assert labels.f1_scores(np.ones(4, int), np.ones(4, int))["macro_f1"] == pytest.approx(1 / 3)


def test_ties_go_to_flat_then_down():
    rows = np.array([[1, 1, 1], [2, 1, 2], [0, 1, 2], [2, 2, 1]], np.float32)
    assert labels.most_probable(rows).tolist() == [1, 0, 2, 1]
