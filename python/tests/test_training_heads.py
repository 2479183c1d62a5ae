"""Heads of the model kit: what holds by construction, and losses that are least at what they estimate."""

import dataclasses

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from martlet.training import export, heads, inference, networks  # noqa: E402

ALL = heads.Heads(2, heads.NAMES, scales=(1e-4, 3e-4))


def weights():
    return jax.jit(ALL.initial, static_argnums=1)(jax.random.key(1), 8)


def test_risks_are_in_order_whatever_the_weights():
    hidden = 30 * np.random.default_rng(6).normal(size=(500, 8)).astype(np.float32)
    values = jax.jit(ALL.outputs)(weights(), hidden)
    risk, shortfall = values["value_at_risk"], values["expected_shortfall"]
    assert (risk >= 0).all() and (shortfall >= risk).all()
    assert (risk[..., 1] >= risk[..., 0]).all() and (shortfall[..., 1] >= shortfall[..., 0]).all()
    assert (values["volatility"] >= 0).all() and (np.abs(values["position"]) <= 1).all()
    assert values["probabilities"].sum(axis=-1) == pytest.approx(1, abs=1e-5)


def test_losses_are_least_at_what_they_estimate():
    returns = np.random.default_rng(7).normal(size=40_000).astype(np.float32)
    # Of a standard normal distribution: value at risk 1.645 and expected shortfall 2.063 at 95 %.
    grid = [(float(heads.fz0(returns, risk, shortfall, 0.05).mean()), risk, shortfall)
            for risk in np.arange(1.3, 2.1, 0.05) for shortfall in np.arange(1.7, 2.6, 0.05)]
    _, risk, shortfall = min(grid)
    assert risk == pytest.approx(1.645, abs=0.1) and shortfall == pytest.approx(2.063, abs=0.1)
    below = [(float(heads.pinball(returns, quantile, 0.05).mean()), quantile)
             for quantile in np.arange(-2.2, -1.2, 0.05)]
    assert min(below)[1] == pytest.approx(-1.645, abs=0.1)
    head = heads.Heads(1, ("volatility",), scales=(2.0,))
    targets, counts = {"returns": returns[:, None]}, {"returns": np.ones((len(returns), 1))}
    losses = [(float(head.losses({"volatility": jnp.full((len(returns), 1), s)}, targets, counts)["volatility"]), s)
              for s in np.arange(0.2, 1.0, 0.02)]
    # A standard deviation of 1 is 0.5 in units of the scale.
    assert min(losses)[1] == pytest.approx(0.5, abs=0.03)


def test_what_does_not_count_changes_no_loss():
    random = np.random.default_rng(8)
    hidden = random.normal(size=(40, 8)).astype(np.float32)
    raw = jax.jit(ALL.raw)(weights(), hidden)
    targets = {"classes": random.integers(0, 3, (40, 2)), "trend": random.integers(0, 3, 40),
               "returns": random.normal(size=(40, 2)) * 1e-4}
    counts = {name: np.ones(value.shape) for name, value in targets.items()}
    for name in counts:
        counts[name][20:] = 0
    losses = jax.jit(ALL.losses)(raw, targets, counts)
    assert set(losses) == {"probabilities", "expected_return", "volatility", "value_at_risk", "trend"}
    changed = {name: np.where(np.arange(40).reshape(-1, *[1] * (value.ndim - 1)) < 20, value, 2 - value)
               for name, value in targets.items()}
    for name, value in jax.jit(ALL.losses)(raw, changed, counts).items():
        assert value == pytest.approx(float(losses[name]), rel=1e-6)


def test_risk_factors_scale_both_risks_in_outputs_and_in_the_file():
    pytest.importorskip("onnx")
    scaled, hidden = dataclasses.replace(ALL, risk_factors=(2.0, 0.5)), np.ones((3, 8), np.float32)
    plain, found = ALL.outputs(weights(), hidden), scaled.outputs(weights(), hidden)
    for name, value in found.items():
        factor = np.array([[2.0], [0.5]]) if name in heads.RISK else 1.0
        assert np.asarray(value) == pytest.approx(np.asarray(plain[name]) * factor, rel=1e-6)
    net = networks.make("mlp", dense=(8,))
    values = {"contract_version": 1, "feature_set_version": 1, "feature_names": ["a", "b"], "warm_up_ticks": 0,
              "horizons": [{"length": k, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5} for k in (10, 20)]}
    both = weights() | net.initial(jax.random.key(2), 2)
    inputs, reset, one = np.random.default_rng(9).normal(size=(20, 2)).astype(np.float32), np.zeros(20), np.ones(2)
    model = export.to_onnx(net, scaled, both, np.zeros(2, np.float32), one.astype(np.float32), values)
    expected = inference.outputs(net, scaled, both, inputs, reset)
    assert export.check(model, expected, inputs, reset) <= export.TOLERANCE
    # Returns are far below 1, and still a factor in them is seen.
    with pytest.raises(ValueError, match="differs from the training code"):
        export.check(model, expected | {"value_at_risk": 1.0001 * expected["value_at_risk"]}, inputs, reset)
    file = export.run(model, inputs, reset)
    assert file["value_at_risk"] == pytest.approx(expected["value_at_risk"], rel=1e-5)
    for factors in ((1.0,), (1.0, -1.0)):
        with pytest.raises(ValueError, match="a risk factor"):
            dataclasses.replace(ALL, risk_factors=factors)
