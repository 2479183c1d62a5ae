"""A small market whose drift a feature shows in noise, and a small policy, for the tests of reinforcement learning."""

import numpy as np
from martlet.training import heads, inference, networks
from martlet.training.batches import Examples
from martlet.training.environment import Market, simulate
from martlet.training.loop import Settings
from martlet.training.policy import MARKET

COUNT, FEATURES = 5_000, 6
VALIDATION_FROM, TEST_FROM = 3_200, 4_000
NET, HEADS = networks.make("gru", units=(8,), dense=(), dropout=0.0, input_dropout=0.0), heads.Heads(
    1, ("position",))
SETTINGS = Settings(
    epochs=6, lanes=16, steps=20, burn_in=20, learning_rate=2e-2, average_decay=0.9, least_settled=0.0)


def make(cost):
    """A price that falls, rests or rises for a while; feature 0 shows which in noise. The price's own noise is as large
    as its drift."""
    random = np.random.default_rng(6)
    spell = np.cumsum(random.random(COUNT) < 0.04)
    drift = random.integers(-1, 2, spell[-1] + 1)[spell]
    features = random.normal(size=(COUNT, FEATURES)).astype(np.float32)
    features[:, 0] += 2 * drift
    begin, flat = np.zeros(COUNT, bool), np.zeros(COUNT, bool)
    begin[[0, VALIDATION_FROM, TEST_FROM]] = True
    flat[[VALIDATION_FROM - 1, TEST_FROM - 1, COUNT - 1]] = True
    move = np.where(flat, 0, drift + random.normal(size=COUNT)) * 1e-5
    market = Market(move, np.full(COUNT, cost * 1e-5), np.ones(COUNT, bool), flat, begin)
    index = np.arange(COUNT)
    parts = [{MARKET: part, "classes": part[:, None]} for part in
             (index < VALIDATION_FROM, (index >= VALIDATION_FROM) & (index < TEST_FROM))]
    targets = {MARKET: market.columns, "classes": 1 + drift[:, None]}
    return market, Examples(features, np.arange(COUNT) == 0, targets, *parts)


def judged(market, examples, weights, trading):
    """Decisions of a policy at all ticks, and its account in the test part."""
    found = inference.outputs(NET, HEADS, weights, examples.features, examples.reset)["position"][:, 0]
    decided = np.asarray(trading.decided(found))
    return decided, simulate(market.part(TEST_FROM, COUNT), decided[TEST_FROM:], trading.latency)
