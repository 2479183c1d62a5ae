"""The NumPy twin by itself: names, elementary functions and a story short enough to calculate by hand."""

import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from martlet import features  # noqa: E402

TICK = 10_000_000


def book(bid, ask, time, flags=features.F_LAST):
    """An MBP-10 record with one level a side; prices in ticks."""
    common = np.zeros((), features.COMMON)
    common["length"], common["rtype"], common["flags"], common["ts_recv"] = 92, 10, flags, time
    common["action"], common["side"] = ord("M"), ord("B")
    levels = features.empty_levels()
    levels[0] = (bid[0] * TICK, ask[0] * TICK, bid[1], ask[1], 0, 0)
    return common.tobytes() + levels.tobytes()


def test_bytes_that_end_inside_a_record_are_refused():
    with pytest.raises(ValueError, match="offset 0"):
        features.collect_ticks(book((100, 1), (101, 1), 1)[:-1])


def test_names_are_as_many_as_columns_and_differ():
    names = features.names()
    assert len(names) == features.COUNT == len(set(names))


def test_elementary_functions_are_keep_to_their_documented_errors():
    random = np.random.default_rng(1)
    x = np.exp(random.uniform(-23, 23, 100_000)).astype(np.float32)
    exact = np.log(x.astype(np.float64))
    assert np.max(np.abs(features.log(x) - exact) / np.spacing(np.abs(exact).astype(np.float32))) < 0.95
    x = random.uniform(-30, 0, 100_000).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.max(np.abs(features.exp(x) - exact) / np.spacing(exact.astype(np.float32))) < 1.1
    assert features.exp(np.zeros(1, np.float32))[0] == 1


def test_a_story_of_two_ticks():
    second = 10**9
    data = book((100, 30), (104, 10), 5 * second) + book((101, 30), (104, 10), 6 * second)
    rows = features.compute(features.collect_ticks(data), TICK)
    value = dict(zip(features.names(), rows[1]))
    assert rows.dtype == np.float32 and np.isfinite(rows).all()
    assert value["spread"] == 3 and value["queue_imbalance_1"] == 0.5 and value["microprice_deviation"] == 0.75
    assert value["mid_change"] == 0.5 and value["bid_distance_1"] == 1.5 and value["ask_distance_2"] == 512
    # A better bid of 30 lots where the usual depth is 20.
    assert value["order_flow_1"] == 1.5
    assert abs(value["log_gap"] - np.log(1e6 + 1)) < 1e-5
