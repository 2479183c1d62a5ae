"""Proximal policy optimisation: it earns what there is to earn, and its parts are what the papers say."""

import dataclasses

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from martlet.training import heads, inference, loop, policy, ppo  # noqa: E402
from martlet.training.environment import simulate  # noqa: E402
from martlet.training.policy import Trading  # noqa: E402
from trading_support import COUNT, HEADS, NET, SETTINGS, TEST_FROM, VALIDATION_FROM, judged, make  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """What is computed here is small; most of the time would go into making its programs fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("is_discrete", [False, True])
def test_what_there_is_to_earn_is_earned(is_discrete):
    market, examples = make(cost=0.5)
    trading = Trading(policy.scale_of(market, 0, VALIDATION_FROM), "ppo", 1, is_discrete)
    settings = dataclasses.replace(SETTINGS, trading=trading)
    trained = loop.train(NET, HEADS, examples, settings)
    assert not set(trained.weights) & set(ppo.ADDED)
    decided, account = judged(market, examples, trained.weights, trading)
    drift = examples.targets["classes"][TEST_FROM - 1:-1, 0] - 1
    whole = simulate(market.part(TEST_FROM, COUNT), drift, 0).equity[-1]
    # Who knew the drift one tick late would earn `whole`.
    assert account.equity[-1] > 0.4 * whole > 0
    if is_discrete:
        assert set(np.unique(decided)) <= {-1.0, 0.0, 1.0}
        again = loop.train(NET, HEADS, examples, settings)
        assert all(np.array_equal(again.weights[name], trained.weights[name]) for name in trained.weights)


def test_heads_are_learned_beside_the_position():
    market, examples = make(cost=0.5)
    both = heads.Heads(1, ("probabilities", "position"))
    trading = Trading(policy.scale_of(market, 0, VALIDATION_FROM), "ppo")
    trained = loop.train(NET, both, examples, dataclasses.replace(SETTINGS, trading=trading))
    found = inference.outputs(NET, both, trained.weights, examples.features, examples.reset)
    guess = found["probabilities"][TEST_FROM:, 0].argmax(axis=1)
    assert (guess == examples.targets["classes"][TEST_FROM:, 0]).mean() > 0.55
    earned = simulate(market.part(TEST_FROM, COUNT), found["position"][TEST_FROM:, 0]).equity[-1]
    assert earned > 0


def test_the_discrete_policy_has_the_position_as_its_mean_and_a_third_as_its_edge():
    hidden = np.linspace(-2, 2, 41)[:, None, None].astype(np.float32)
    weights = {"head_position_w": np.ones((1, 1)), "head_position_b": np.zeros(1), "policy_log_s": np.zeros(1)}
    logs = np.stack([ppo.log_probabilities(weights, hidden, jnp.full((41, 1), action), True)[0][:, 0]
                     for action in ppo.ACTIONS], axis=1)
    assert np.exp(logs).sum(axis=1) == pytest.approx(1, abs=1e-5)
    position = np.tanh(hidden[:, 0, 0])
    assert np.exp(logs) @ np.array(ppo.ACTIONS) == pytest.approx(position, abs=1e-5)
    trading = Trading(1.0, "ppo", is_discrete=True)
    assert np.array_equal(np.asarray(trading.decided(position)), np.array(ppo.ACTIONS)[logs.argmax(axis=1)])
    drawn = ppo.drawn(weights, jnp.repeat(hidden, 4_000, axis=1), jax.random.key(1), True)
    assert np.asarray(drawn).mean(axis=1) == pytest.approx(position, abs=0.06)


def test_advantages_are_the_discounted_surprises():
    random = np.random.default_rng(8)
    rewards, expected, following = random.normal(size=(6, 1)), random.normal(size=(6, 1)), random.normal(size=1)
    goes_on = np.array([1, 1, 0, 1, 1, 1.0])[:, None]
    settings = ppo.PPO(discount=0.9, trace=0.8)
    found = np.asarray(ppo.advantages(*map(jnp.asarray, (rewards, expected, following, goes_on)), settings))[:, 0]
    later = np.concatenate([expected[1:], following[None]])
    surprise = (rewards + 0.9 * goes_on * later - expected)[:, 0]
    for tick in range(6):
        end = 3 if tick < 3 else 6
        by_hand = sum((0.9 * 0.8) ** (other - tick) * surprise[other] for other in range(tick, end))
        assert found[tick] == pytest.approx(by_hand, abs=1e-5)
