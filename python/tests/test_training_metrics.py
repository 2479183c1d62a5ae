"""Metrics against numbers of scikit-learn and SciPy, asked again where they are installed; and by property."""

import math

import numpy as np
import pytest

from martlet.training import metrics

RANDOM = np.random.default_rng(5)
EXPECTED = np.array([0, 2, 1, 1, 0, 2, 2, 1, 0, 0, 1, 2, 2, 1, 1, 0, 1, 1, 2, 0, 1, 2, 0, 1])
PREDICTED = np.array([1, 1, 1, 0, 1, 2, 0, 1, 0, 2, 1, 1, 2, 1, 1, 0, 2, 1, 2, 0, 0, 2, 1, 1])
#: In twelfths.
PROBABILITIES = np.array([
    [8, 3, 1], [1, 4, 7], [2, 8, 2], [6, 5, 1], [4, 6, 2], [1, 1, 10], [6, 3, 3], [3, 7, 2], [9, 2, 1], [3, 3, 6],
    [1, 9, 2], [2, 6, 4], [0, 3, 9], [4, 5, 3], [2, 10, 0], [7, 4, 1], [2, 4, 6], [3, 8, 1], [1, 5, 6], [10, 1, 1],
    [6, 4, 2], [2, 3, 7], [3, 6, 3], [1, 11, 0]]) / 12
RETURNS = np.array([-3, 4, 0, 1, -2, 5, 2, 0, -6, -2, 1, 3, 7, -1, 0, -4, 1, 0, 2, -5, 0, 3, -3, 1.0])
#: scikit-learn 1.9.1 and SciPy 1.17.1 on the above, by `oracle`.
KNOWN = {
    "macro_f1": 0.5710955710955711, "weighted_f1": 0.5792540792540792, "accuracy": 0.5833333333333334,
    "matthews": 0.3578300267477955, "brier": 0.3819444444444445, "log_loss": 0.6611175202200806,
    "pearson": 0.8237861334718346, "spearman": 0.7359363352152104, "pinball": 1.0645833333333334,
}


def ours():
    matrix = metrics.confusion(EXPECTED, PREDICTED)
    pearson, spearman = metrics.information_coefficient(metrics.direction_score(PROBABILITIES), RETURNS)
    return {
        **{name: float(getattr(metrics, name)(matrix)) for name in ("macro_f1", "weighted_f1", "accuracy", "matthews")},
        "brier": metrics.brier(EXPECTED, PROBABILITIES), "log_loss": metrics.log_loss(EXPECTED, PROBABILITIES),
        "pearson": pearson, "spearman": spearman, "pinball": metrics.pinball(RETURNS, PROBABILITIES[:, 2], 0.95)}


def oracle():
    from scipy import stats
    from sklearn import metrics as other
    score = PROBABILITIES[:, 2] - PROBABILITIES[:, 0]
    return {
        "macro_f1": other.f1_score(EXPECTED, PREDICTED, average="macro"),
        "weighted_f1": other.f1_score(EXPECTED, PREDICTED, average="weighted"),
        "accuracy": other.accuracy_score(EXPECTED, PREDICTED), "matthews": other.matthews_corrcoef(EXPECTED, PREDICTED),
        "brier": other.brier_score_loss(EXPECTED, PROBABILITIES, labels=[0, 1, 2], scale_by_half=False),
        "log_loss": other.log_loss(EXPECTED, PROBABILITIES), "pearson": stats.pearsonr(score, RETURNS).statistic,
        "spearman": stats.spearmanr(score, RETURNS).statistic,
        "pinball": other.mean_pinball_loss(RETURNS, PROBABILITIES[:, 2], alpha=0.95)}


def test_scores_are_those_of_scikit_learn():
    assert ours() == pytest.approx(KNOWN, rel=1e-12)


def test_scikit_learn_still_says_so():
    pytest.importorskip("sklearn")
    pytest.importorskip("scipy")
    assert oracle() == pytest.approx(KNOWN, rel=1e-12)


def test_confusion_has_true_classes_in_rows_and_refuses_what_is_no_class():
    assert metrics.confusion([0, 0, 2], [0, 1, 2]).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    for expected, predicted in ([[0, -1], [0, 1]], [[0, 1], [0, 3]], [[0], [0, 1]]):
        with pytest.raises(ValueError):
            metrics.confusion(expected, predicted)


def test_scores_of_a_known_table_and_of_nothing():
    scores = metrics.f1_scores(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 0]))
    assert scores["macro_f1"] == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    nothing = np.zeros(0, int)
    assert metrics.f1_scores(nothing, nothing) == {"macro_f1": 0, "weighted_f1": 0, "accuracy": 0}
    assert metrics.f1_scores(np.ones(4, int), np.ones(4, int))["macro_f1"] == pytest.approx(1 / 3)
    assert metrics.matthews(metrics.confusion([1, 1], [1, 1])) == 0


def test_scores_of_many_tables_are_those_of_each():
    tables = RANDOM.integers(0, 9, (50, 3, 3))
    for metric in (metrics.macro_f1, metrics.weighted_f1, metrics.accuracy, metrics.matthews):
        assert metric(tables) == pytest.approx([float(metric(one)) for one in tables])


def test_reliability_bins_hold_what_they_should():
    found = metrics.reliability(EXPECTED, PROBABILITIES, 4, label=0)
    edges = [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
    for number, (low, high) in enumerate(edges):
        inside = (PROBABILITIES[:, 0] > low if number else PROBABILITIES[:, 0] >= 0) & (PROBABILITIES[:, 0] <= high)
        assert found.count[number] == inside.sum()
        assert found.confidence[number] == pytest.approx(PROBABILITIES[inside, 0].mean())
        assert found.frequency[number] == pytest.approx((EXPECTED[inside] == 0).mean())


def test_calibration_error_is_small_only_for_true_probabilities():
    probabilities = RANDOM.dirichlet([1, 1, 1], 40_000)
    expected = (probabilities.cumsum(axis=1) < RANDOM.random((40_000, 1))).sum(axis=1)
    assert metrics.reliability(expected, probabilities).calibration_error < 0.01
    bold = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    assert metrics.reliability(expected, bold).calibration_error > 0.15
    sure = np.eye(3)[expected]
    assert metrics.reliability(expected, sure).calibration_error == 0 and metrics.brier(expected, sure) == 0


def test_ranks_share_ties_and_a_constant_has_no_correlation():
    assert metrics.ranks(np.array([3.0, 1, 3, 2])).tolist() == [3.5, 1, 3.5, 2]
    assert metrics.information_coefficient(np.ones(4), np.arange(4.0)) == (0, 0)
    assert metrics.information_coefficient(np.exp(np.arange(4.0)), np.arange(4.0))[1] == pytest.approx(1)


def test_pinball_is_least_at_the_quantile():
    values = RANDOM.normal(size=20_000)
    levels = (0.9, 0.94, 0.95, 0.96, 0.99)
    losses = {level: metrics.pinball(values, np.quantile(values, level), 0.95) for level in levels}
    assert min(losses, key=losses.get) == 0.95


def test_horizons_are_chosen_so_that_none_overlap():
    chosen = np.array([0, 1, 1, 1, 1, 0, 1, 1, 1], bool)
    assert metrics.non_overlapping(chosen, np.full(9, 3)).tolist() == [1, 4, 7]
    assert metrics.non_overlapping(chosen, np.array([1, 1, 4, 1, 1, 1, 0, 1, 1])).tolist() == [1, 2, 6, 7, 8]
    assert len(metrics.non_overlapping(np.zeros(9, bool), np.full(9, 3))) == 0


def test_a_loss_that_equals_the_value_at_risk_is_no_violation():
    assert metrics.violations([-2.0, -2.5, 3.0], np.array([2.0, 2.0, 2.0])).tolist() == [False, True, False]


def test_kupiec_of_the_textbook():
    """Jorion (2006), Value at Risk, table 6-2: 255 days at 95 % accept 6 < N < 21, 1,000 at 99 % 4 < N < 17."""
    def proportion(hits, count, level):
        return metrics.coverage(np.arange(count) < hits, level).proportion

    assert [proportion(n, 255, 0.95).p_value > 0.05 for n in (6, 7, 20, 21)] == [False, True, True, False]
    assert [proportion(n, 1_000, 0.99).p_value > 0.05 for n in (4, 5, 16, 17)] == [False, True, True, False]
    expected = -2 * (250 * math.log(0.95) + 5 * math.log(0.05) - 250 * math.log(250 / 255) - 5 * math.log(5 / 255))
    assert proportion(5, 255, 0.95).statistic == pytest.approx(expected)
    assert proportion(0, 255, 0.95).statistic == pytest.approx(-2 * 255 * math.log(0.95))


def test_christoffersen_counts_what_follows_what():
    violated = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], bool)
    found = metrics.coverage(violated, 0.95)
    table = np.zeros((2, 2))
    for before, after in zip(violated[:-1], violated[1:]):
        table[int(before), int(after)] += 1
    whole = table[:, 1].sum() / table.sum()
    apart = table[:, 1] / table.sum(axis=1)
    def likelihood(shares):
        return sum(table[i, 0] * math.log(1 - shares[i]) + table[i, 1] * math.log(shares[i]) for i in (0, 1))
    assert found.independence.statistic == pytest.approx(2 * (likelihood(apart) - likelihood([whole, whole])))
    assert found.conditional.statistic == pytest.approx(found.proportion.statistic + found.independence.statistic)
    assert (found.count, found.violations) == (20, 6)


def test_p_values_are_those_of_chi_square():
    stats = pytest.importorskip("scipy.stats")
    found = metrics.coverage(RANDOM.random(400) < 0.08, 0.95)
    for test, freedom in ((found.proportion, 1), (found.independence, 1), (found.conditional, 2)):
        assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, freedom), rel=1e-9)


def test_tests_reject_what_is_wrong_and_seldom_what_is_right():
    right = [metrics.coverage(RANDOM.random(600) < 0.05, 0.95) for _ in range(400)]
    for name in ("proportion", "independence", "conditional"):
        assert np.mean([getattr(one, name).p_value < 0.05 for one in right]) < 0.11, name
    assert metrics.coverage(RANDOM.random(600) < 0.1, 0.95).proportion.p_value < 0.01
    clustered = np.repeat(RANDOM.random(200) < 0.05, 3)
    assert metrics.coverage(clustered, 0.95).independence.p_value < 0.01


def test_without_violations_independence_cannot_be_judged():
    found = metrics.coverage(np.zeros(100, bool), 0.95)
    assert math.isnan(found.independence.p_value) and math.isnan(found.conditional.p_value)
    assert found.proportion.p_value < 0.01
    with pytest.raises(ValueError):
        metrics.coverage(np.zeros(1, bool), 0.95)
    with pytest.raises(ValueError):
        metrics.coverage(np.zeros(9, bool), 95)
