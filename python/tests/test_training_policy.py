"""A position learned by direct reinforcement: it earns where there is something to earn, and rests where costs eat
it."""

import dataclasses

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("onnx")

import jax.numpy as jnp  # noqa: E402
from martlet.training import environment, export, heads, inference, loop, networks, policy  # noqa: E402
from martlet.training.batches import TrainingError  # noqa: E402
from martlet.training.environment import Market, simulate  # noqa: E402
from martlet.training.policy import Trading  # noqa: E402
from martlet.training.pruning import Pruning, density  # noqa: E402
from trading_support import (  # noqa: E402
    COUNT, FEATURES, HEADS, NET, SETTINGS, TEST_FROM, VALIDATION_FROM, judged, make)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """What is computed here is small; most of the time would go into making its programs fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("objective", ["return", "sharpe"])
def test_what_there_is_to_earn_is_earned(objective):
    market, examples = make(cost=0.5)
    trading = Trading(policy.scale_of(market, 0, VALIDATION_FROM), objective)
    trained = loop.train(NET, HEADS, examples, dataclasses.replace(SETTINGS, trading=trading))
    _, account = judged(market, examples, trained.weights, trading)
    drift = examples.targets["classes"][TEST_FROM - 1:-1, 0] - 1
    whole = simulate(market.part(TEST_FROM, COUNT), drift, 0).equity[-1]
    # Who knew the drift one tick late would earn `whole`.
    assert account.equity[-1] > 0.4 * whole > 0


def test_where_costs_eat_all_a_policy_rests_or_loses_little():
    market, examples = make(cost=60.0)
    trading = Trading(policy.scale_of(market, 0, VALIDATION_FROM), "return")
    trained = loop.train(NET, HEADS, examples, dataclasses.replace(SETTINGS, trading=trading))
    _, account = judged(market, examples, trained.weights, trading)
    assert account.traded.sum() < 10


def test_a_policy_begins_as_its_direction_model_is_pruned_and_exported():
    market, examples = make(cost=0.5)
    both = heads.Heads(1)
    direction = loop.train(NET, both, examples, dataclasses.replace(SETTINGS, epochs=4))
    first = policy.from_direction(direction.weights)
    rows = slice(0, 500)
    found = inference.outputs(NET, HEADS, first, examples.features[rows], examples.reset[rows])["position"][:, 0]
    shares = inference.outputs(NET, both, direction.weights, examples.features[rows], examples.reset[rows])
    odds = np.log(shares["probabilities"][:, 0, 2] / shares["probabilities"][:, 0, 0])
    assert found == pytest.approx(np.tanh(odds / 2), abs=1e-4)
    trading = Trading(policy.scale_of(market, 0, VALIDATION_FROM), "sharpe")
    settings = dataclasses.replace(SETTINGS, trading=trading, pruning=Pruning(0.5, every=10))
    trained = loop.train(NET, HEADS, examples, settings, first=first)
    assert density(trained.weights, NET.prunable) < 0.6
    _, account = judged(market, examples, trained.weights, trading)
    assert account.equity[-1] > 0
    values = {"contract_version": 1, "feature_set_version": 1, "feature_names": [f"f{n}" for n in range(FEATURES)],
              "warm_up_ticks": 0}
    one = np.ones(FEATURES, np.float32)
    model = export.to_onnx(NET, HEADS, trained.weights, 0 * one, one, values)
    part = examples.features[:300], examples.reset[:300]
    expected = inference.outputs(NET, HEADS, trained.weights, *part)
    assert export.check(model, expected, *part) <= export.TOLERANCE and expected["position"].std() > 0.1
    with pytest.raises(ValueError, match="no number 1"):
        policy.from_direction(direction.weights, 1)


def test_the_gradient_of_the_return_is_that_of_the_rewards():
    """Against differences of the float64 simulation, with a delay and costs."""
    random = np.random.default_rng(7)
    market, _ = make(cost=0.5)
    part = Market(*(getattr(market, name)[:30] for name in environment.COLUMNS))
    positions = random.uniform(-0.9, 0.9, 30)
    trading = Trading(1e-5, "return", latency=2)
    counts = np.ones((30, 1))

    def loss(p):
        return trading.loss(p[:, None], part.columns[:, None], counts, trading.start(1))[0]

    slopes = jax.grad(loss)(jnp.asarray(positions))
    step = 1e-4
    moved = positions[:, None] + step * np.eye(30)
    back = positions[:, None] - step * np.eye(30)
    totals = [simulate(part, p, 2).rewards.sum(axis=0) for p in (moved, back)]
    assert np.asarray(slopes) == pytest.approx(-(totals[0] - totals[1]) / (2 * step) / 1e-5 / 30, abs=2e-3)
    # The last two decisions are never filled, and the last tick's fill must be 0.
    assert not np.asarray(slopes)[-2:].any()


def test_the_differential_sharpe_ratio_is_the_slope_of_the_ratio():
    """Moving means that take in a chunk's moments with a small weight change the ratio by that weight times the loss's
    negative, less what does not depend on the rewards."""
    trading, small = Trading(1.0, "sharpe", latency=0, decay=0.999), 1e-3
    market = np.zeros((5, 1, 5), np.float32)
    market[:, 0, 0], market[:, 0, 2] = [1, -0.5, 2, 0.5, -1], 1
    position = np.array([[0.5], [1], [-0.3], [0.8], [0.2]], np.float32)
    account = trading.start(1) | {"mean": jnp.asarray(0.2), "square": jnp.asarray(1.5)}
    loss, after = trading.loss(jnp.asarray(position), market, np.ones((5, 1)), account)

    def ratio(mean, square):
        return mean / np.sqrt(square - mean**2)

    rewards = (position * market[..., 0]).astype(np.float64)
    mean, square = 0.2 + small * (rewards.mean() - 0.2), 1.5 + small * ((rewards**2).mean() - 1.5)
    # At rewards whose moments are the means themselves, 0.2 and 1.5, the loss is −A·B/2 / (B − A²)^1.5.
    unmoved = 0.2 * 1.5 / 2 / (1.5 - 0.04) ** 1.5
    assert (ratio(mean, square) - ratio(0.2, 1.5)) / small == pytest.approx(-float(loss) - unmoved, abs=1e-3)
    assert float(after["mean"]) == pytest.approx(mean, abs=1e-6)
    assert float(after["square"]) == pytest.approx(square, abs=1e-6)


def test_the_share_of_the_position_counts():
    market, examples = make(0.5)
    settings = dataclasses.replace(SETTINGS, epochs=1, trading=Trading(policy.scale_of(market, 0, VALIDATION_FROM)))
    without = heads.Heads(1, ("position",), shares=(("position", 0.0),))
    with_it, left_out = (loop.train(NET, one, examples, settings).weights for one in (HEADS, without))
    assert with_it["head_position_b"] != 0 and left_out["head_position_b"] == 0
    judged, nothing = (loop.validation_loss(NET, one, with_it, examples, trading=settings.trading)
                       for one in (HEADS, without))
    assert judged != 0 and nothing == 0



def test_what_cannot_be_learned_is_refused():
    market, examples = make(0.5)
    for arguments in ({"objective": "luck"}, {"scale": 0.0}, {"latency": -1}):
        with pytest.raises(ValueError, match="an objective is one of"):
            Trading(**({"scale": 1.0} | arguments))
    with pytest.raises(ValueError, match="learned by ppo"):
        Trading(1.0, "return", is_discrete=True)
    settings = dataclasses.replace(SETTINGS, trading=Trading(1.0))
    with pytest.raises(TrainingError, match="head position"):
        loop.train(NET, heads.Heads(1), examples, settings)
    with pytest.raises(TrainingError, match="that streams"):
        loop.train(networks.make("mixer"), HEADS, examples, settings)
