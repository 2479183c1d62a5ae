"""The label twin by itself: the examples of docs/MODEL.md and a slow recomputation."""

import numpy as np
import pytest

from martlet.labels import NO_LABEL, UNDEFINED_PRICE as UNDEFINED, directions

NO = int(NO_LABEL)


def label(mids, horizon, alpha, resets=()):
    return directions(mids, [i in resets for i in range(len(mids))], horizon, alpha).tolist()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError):
        directions([1, 2], [False], 1, 0)
    with pytest.raises(ValueError):
        directions([1, 2], [False, False], 0, 0)
    with pytest.raises(ValueError):
        directions([1, 2], [False, False], 1, float("nan"))


def test_the_examples_of_the_document_hold():
    assert label([100, 100, 102, 104, 104, 98], 2, 0.01) == [0, 1, 1, -1, NO, NO]
    assert label([100, 101, 102], 1, 0.01) == [0, 0, NO]
    assert label([100, 101, 102, 110, 110], 1, 0, {3}) == [1, 1, NO, 0, NO]
    assert label([100, UNDEFINED, 100, 101, 101], 1, 0) == [NO, NO, 1, 0, NO]


@pytest.mark.parametrize("horizon, alpha", [(1, 0.0), (10, 1e-5), (100, 2e-5)])
def test_labels_are_those_of_the_formula(horizon, alpha):
    random = np.random.default_rng(1)
    mids = 100_000_000_000 + np.cumsum(random.integers(-1, 2, 2000)) * 5_000_000
    mids[random.random(2000) < 1 / 300] = UNDEFINED
    resets = random.random(2000) < 0.002
    expected = []
    for tick in range(2000):
        ahead = [int(mid) for mid in mids[tick : tick + horizon + 1]]
        if len(ahead) <= horizon or UNDEFINED in ahead or resets[tick + 1 : tick + horizon + 1].any():
            expected.append(NO)
            continue
        change = float(sum(mid - ahead[0] for mid in ahead[1:])) / (float(horizon) * float(ahead[0]))
        expected.append(1 if change > alpha else -1 if change < -alpha else 0)
    assert directions(mids, resets, horizon, alpha).tolist() == expected
