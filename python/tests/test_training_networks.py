"""Networks of the model kit: what JAX computes is what the exported file computes; states, resets, shapes, integers."""

import numpy as np
import pytest
from support import BIN

jax = pytest.importorskip("jax")
onnx = pytest.importorskip("onnx")

import jax.numpy as jnp  # noqa: E402
from martlet.training import engine, export, heads, inference, networks  # noqa: E402
from martlet.training.quantization import Quantization, measure  # noqa: E402
from onnx import numpy_helper  # noqa: E402

FEATURES, TICKS = 8, 70
SMALL = {
    "gru": {"units": (16, 8), "dense": (24,)}, "lstm": {"units": (8, 16), "dense": ()}, "mlp": {"dense": (16, 24)},
    "tcn": {"channels": 16, "layers": 3}, "binctabl": {"outputs": 5, "sizes": ((20, 6), (18, 4)), "window": 8},
    "mixer": {"channels": 16, "layers": 2, "window": 12},
    "deeplob": {"channels": 8, "inception": 8, "units": 8, "window": 24},
    "causal deeplob": {"is_causal": True, "channels": 8, "inception": 8, "units": 8},
}
ALL = heads.Heads(2, heads.NAMES, scales=(1e-4, 3e-4))


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """What is computed here is small; most of the time would go into making its programs fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def network(name):
    return networks.make(name.split()[-1], **SMALL[name])


def metadata(count=FEATURES):
    horizons = [{"length": k, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5} for k in (10, 20)]
    return {"contract_version": 1, "feature_set_version": 1, "feature_names": [f"f{n}" for n in range(count)],
            "name": "small", "warm_up_ticks": 0, "horizons": horizons}


@pytest.fixture(scope="module")
def stream():
    """Raw features, resets, mean and scale, and what becomes of the features."""
    random = np.random.default_rng(3)
    features = random.normal(size=(TICKS, FEATURES)).astype(np.float32)
    mean = random.normal(size=FEATURES).astype(np.float32)
    scale = random.uniform(0.5, 2, FEATURES).astype(np.float32)
    reset = np.zeros(TICKS, bool)
    reset[[0, 30]] = True
    return features, reset, mean, scale, export.normalised(features, mean, scale)


def shapes_of(net, head, count):
    return jax.eval_shape(lambda key: net.initial(key, count) | head.initial(key, net.width), jax.random.key(0))


def weights_of(net, head=ALL, count=FEATURES):
    """Random weights, biases that are not zero."""
    random = np.random.default_rng(4)
    deviations = {name: 0.1 if len(w.shape) == 1 else 1 / np.sqrt(np.prod(w.shape) / w.shape[0])
                  for name, w in shapes_of(net, head, count).items()}
    weights = {name: random.normal(0, deviations[name], w.shape).astype(np.float32)
               for name, w in shapes_of(net, head, count).items()}
    # Shares of a mixture are cut off at 0.
    return weights | {name: 0.3 + np.abs(weight) for name, weight in weights.items() if name.endswith("_mix")}


@pytest.mark.parametrize("name", SMALL)
def test_the_file_computes_what_training_computes(name, stream):
    features, reset, mean, scale, normalised = stream
    net = network(name)
    weights = weights_of(net)
    expected = inference.outputs(net, ALL, weights, normalised, reset)
    model = export.to_onnx(net, ALL, weights, mean, scale, metadata())
    assert export.check(model, expected, features, reset) < export.TOLERANCE
    known = np.isfinite(expected["probabilities"][:, 0, 0])
    first = 0 if net.is_stream else net.window - 1
    assert known.sum() == TICKS - 2 * first and known[30 + first]
    broken = expected | {"trend": expected["trend"] + 2e-5}
    with pytest.raises(ValueError, match="ONNX Runtime differs"):
        export.check(model, broken, features, reset)


@pytest.mark.parametrize("name", ["gru", "lstm", "tcn", "causal deeplob"])
def test_a_stream_in_chunks_of_two_lanes_is_the_stream_in_one(name, stream):
    net, normalised = network(name), stream[4]
    weights = weights_of(net)
    x = np.stack([normalised, normalised[::-1]], axis=1)
    keep = np.ones((TICKS, 2), np.float32)
    keep[[20, 32, 35], [0, 1, 0]] = 0
    hidden = jax.jit(net.hidden)
    whole, last = hidden(weights, net.start(2, FEATURES), x, keep)
    first, state = hidden(weights, net.start(2, FEATURES), x[:35], keep[:35])
    second, state = hidden(weights, state, x[35:], keep[35:])
    assert np.abs(jnp.concatenate([first, second]) - whole).max() < 1e-5
    assert all(np.abs(state[part] - last[part]).max() < 1e-5 for part in last)
    # After a reset nothing is left of what was before it.
    fresh, _ = hidden(weights, net.start(2, FEATURES), x[35:], keep[35:])
    assert np.abs(fresh[:, 0] - whole[35:, 0]).max() < 1e-5


@pytest.mark.parametrize("name", ["gru", "lstm", "tcn", "mlp"])
def test_the_quantised_file_is_what_was_trained_quantised(name, stream):
    features, reset, mean, scale, normalised = stream
    net = network(name)
    weights = weights_of(net)
    ranges = measure(net, weights, normalised, reset, Quantization())
    expected = inference.outputs(net, ALL, weights, normalised, reset, ranges)
    model = export.to_onnx(net, ALL, weights, mean, scale, metadata(), ranges)
    found = export.run(model, features, reset)["probabilities"]
    distance = np.abs(found - expected["probabilities"]).max(axis=(1, 2))
    distance = distance[np.isfinite(distance)]
    # Functions of the gates differ in the last bits, which may move a value over a rounding edge.
    assert np.mean(distance < 1e-5) > 0.9 and distance.max() < 0.02
    floats = inference.outputs(net, ALL, weights, normalised, reset)["probabilities"]
    assert np.abs(expected["probabilities"] - floats).max() > 1e-4
    integers = [numpy_helper.to_array(array) for array in model.graph.initializer]
    assert max(np.abs(array).max() for array in integers if array.dtype == np.int8) == 63


@pytest.mark.parametrize("keeps_float_state", [True, False])
def test_a_quantised_gru_mixes_its_state_as_it_says(keeps_float_state, stream):
    features, reset, mean, scale, normalised = stream
    net = networks.make("gru", units=(8,), dense=(), keeps_float_state=keeps_float_state)
    weights = weights_of(net)
    ranges = measure(net, weights, normalised, reset, Quantization())
    model = export.to_onnx(net, ALL, weights, mean, scale, metadata(), ranges)
    assert ("GRU" in {node.op_type for node in model.graph.node}) == (not keeps_float_state)
    expected = inference.outputs(net, ALL, weights, normalised, reset, ranges)["probabilities"]
    assert np.mean(np.abs(export.run(model, features, reset)["probabilities"] - expected) < 1e-5) > 0.9


def test_published_networks_have_the_published_number_of_weights():
    direct = heads.Heads(1, is_direct=True)
    net = networks.make("binctabl")
    assert sum(w.size for w in shapes_of(net, direct, 40).values()) == 11_446
    net = networks.make("deeplob")
    # The authors' program has 143,907 with 1,216 of batch norms, which the paper does not have.
    assert sum(w.size for w in shapes_of(net, heads.Heads(1), 40).values()) == 143_907 - 1_216


def test_direct_heads_have_no_layer(stream):
    features, reset, mean, scale, normalised = stream
    net, direct = networks.make("binctabl", outputs=6, window=8), heads.Heads(2, is_direct=True)
    weights = weights_of(net, direct)
    assert not any(name.startswith("head") for name in weights)
    expected = inference.outputs(net, direct, weights, normalised, reset)
    export.check(export.to_onnx(net, direct, weights, mean, scale, metadata()), expected, features, reset)
    with pytest.raises(ValueError, match="need 6 hidden values, not 5"):
        direct.initial(jax.random.key(0), 5)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no network 'rnn'"):
        networks.make("rnn")
    with pytest.raises(ValueError, match="gru has no option layers"):
        networks.make("gru", layers=3)
    with pytest.raises(ValueError, match="no head risk"):
        heads.Heads(1, ("risk",))
    with pytest.raises(ValueError, match="needs value_at_risk"):
        heads.Heads(1, ("expected_shortfall",), scales=(1.0,))
    with pytest.raises(ValueError, match="scale of returns for each of 2 horizons"):
        heads.Heads(2, ("volatility",), scales=(1.0,))
    with pytest.raises(ValueError, match="is not trained quantised"):
        export.to_onnx(networks.make("mixer"), heads.Heads(1), {}, np.zeros(4), np.ones(4), {}, {})


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
@pytest.mark.parametrize(
    "name, is_integer", [("gru", True), ("lstm", True), ("tcn", True), ("tcn", False), ("binctabl", False)])
def test_the_engine_runs_the_file_as_it_should(name, is_integer, stream, tmp_path):
    features, reset, mean, scale, normalised = stream
    net = network(name)
    weights = weights_of(net)
    ranges = measure(net, weights, normalised, reset, Quantization()) if is_integer else None
    path = tmp_path / f"{name}.onnx"
    export.save(export.to_onnx(net, ALL, weights, mean, scale, metadata(), ranges), path)
    checks = {check["name"]: check for check in engine.verify(path, features)}
    assert checks["scalar twin"]["status"] == "passed"
    if is_integer:
        assert checks["integer reference, volatility"]["status"] == "passed"
        assert engine.frontier_row(path, 200)["is_fast"]
        assert name != "tcn" or "one tick at a time" in checks["stream and window"]["detail"]
    assert engine.bench(path, 200)["p50_ns"] > 0
