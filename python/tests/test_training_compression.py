"""Pruning and quantisation of the model kit: whole blocks in the engine's layouts, exact integer products, removed
neurons."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from martlet.training import networks, pruning  # noqa: E402
from martlet.training.pruning import Layout, Pruning  # noqa: E402
from martlet.training.quantization import HIDDEN, Integer, codes_of, rounded  # noqa: E402

#: A layout, a weight's shape with ragged ends, and the index of a block that is to be found whole, in floats and in
#: bytes.
LAYOUTS = [
    (Layout("columns"), (6, 40), (slice(2, 3), slice(16, 32)), (slice(4, 8), slice(8, 16))),
    (Layout("rows"), (40, 6), (slice(16, 32), slice(2, 3)), (slice(8, 16), slice(4, 8))),
    (Layout("rows", 3), (3 * 16, 6), ([8, 15, 24, 31, 40, 47], slice(2, 3)), ([8, 15, 24, 31, 40, 47], slice(4, 8))),
    (Layout("taps"), (40, 8, 3), (slice(16, 32), slice(5, 6), slice(1, 2)), (slice(8, 16), slice(4, 8), slice(1, 2))),
]


@pytest.mark.parametrize("layout, shape, float_block, integer_block", LAYOUTS)
@pytest.mark.parametrize("is_integer", [False, True])
def test_a_block_goes_as_a_whole_and_alone(layout, shape, float_block, integer_block, is_integer):
    block = integer_block if is_integer else float_block
    weight = np.random.default_rng(1).normal(size=shape)
    small = np.zeros(shape, bool)
    small[block if not isinstance(block[0], list) else np.ix_(block[0], np.arange(shape[1])[block[1]])] = True
    if layout.gates == 3:
        units = np.arange(8, 16)
        small[:] = False
        small[np.ix_(np.concatenate([units, 16 + units, 32 + units]), np.arange(shape[1])[block[1]])] = True
    weight[small] *= 1e-3
    norms = pruning.block_norms(layout, weight, is_integer)
    lowest = Pruning(is_integer=is_integer)
    mask = pruning.masks({"w": weight}, {"w": layout}, 1 / norms.size, lowest)["w"]
    assert np.array_equal(mask == 0, small)
    assert layout.restored(layout.matrix(weight), shape) == pytest.approx(weight)
    found = pruning.block_density({"w": weight * mask}, {"w": layout}, is_integer)["w"]
    assert found == pytest.approx(1 - 1 / norms.size)


def test_short_blocks_are_ranked_by_their_norm_per_weight():
    # Outputs 16 … 19 make a shorter block whose weights are larger, though their sum of squares is not.
    weight = np.ones((1, 20))
    weight[0, 16:] = 1.5
    assert (weight[0, 16:] ** 2).sum() < (weight[0, :16] ** 2).sum()
    mask = pruning.masks({"w": weight}, {"w": Layout("columns")}, 0.5, Pruning())["w"]
    assert mask[0].tolist() == [0] * 16 + [1] * 4


def test_shares_hold_for_each_matrix_or_for_all_together():
    random = np.random.default_rng(2)
    weights = {"a": random.normal(0, 1, (64, 160)), "b": random.normal(0, 0.1, (64, 160))}
    layouts = {name: Layout("columns") for name in weights}
    each = pruning.masks(weights, layouts, 0.75, Pruning())
    assert [each[name].mean() for name in weights] == pytest.approx([0.25, 0.25])
    together = pruning.masks(weights, layouts, 0.75, Pruning(is_global=True))
    # One block of each stays.
    assert together["b"].sum() == 16 and together["a"].mean() == pytest.approx(0.5, abs=0.01)
    masked = {name: weights[name] * each[name] for name in weights}
    assert pruning.density(masked, layouts) == pytest.approx(0.25)
    assert pruning.masks(weights, layouts, 1.0, Pruning())["a"].sum() == 16


def test_blocks_of_largest_gradient_grow_again():
    random = np.random.default_rng(3)
    weight = random.normal(size=(10, 32))
    weight[6:] = 0
    gradient = np.full(weight.shape, 0.1)
    gradient[7, 16:] = 5
    layouts = {"w": Layout("columns")}
    mask = pruning.masks({"w": weight}, layouts, 0.5, Pruning(), {"w": gradient}, 0.1)["w"]
    assert mask.mean() == pytest.approx(0.5) and mask[7, 16:].all()
    plain = pruning.masks({"w": weight}, layouts, 0.5, Pruning())["w"]
    assert not plain[7].any() and (plain - mask)[:6].sum() == 16


def test_the_schedule_is_cubic_and_exchanges_fade():
    schedule = Pruning(density=0.1, begin=0.2, end=0.6, regrowth=0.3)
    assert schedule.sparsity(0.1) == 0 and schedule.sparsity(0.6) == schedule.sparsity(0.9) == pytest.approx(0.9)
    assert schedule.sparsity(0.4) == pytest.approx(0.9 * (1 - 0.5**3))
    assert schedule.exchanged(0.2) == pytest.approx(0.3) and schedule.exchanged(0.6) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "kind, layer", [("gru", "dense0"), ("gru", "gru0"), ("gru", "gru1"), ("lstm", "lstm0"), ("mlp", "dense1")])
def test_neurons_that_do_nothing_are_removed_without_a_trace(kind, layer):
    options = {"dense": (12, 10)} if kind == "mlp" else {"units": (12, 10), "dense": (14,)}
    net = networks.make(kind, **options)
    random, key = np.random.default_rng(4), jax.random.key(0)
    shapes = jax.eval_shape(lambda: net.initial(key, 6))
    weights = {name: random.normal(size=shape.shape) for name, shape in shapes.items()}
    weights |= {"head_trend_w": random.normal(size=(net.width, 3)), "head_trend_b": np.zeros(3)}
    size, places = net.neurons[layer]
    idle = [1, 4, 5]
    for name, axis, gates in places:
        for target in ["head_trend_w"] if name == pruning.HEADS else [name]:
            rows = [gate * size + neuron for gate in range(gates) for neuron in idle]
            np.moveaxis(weights[target], axis, 0)[rows] = 0
    smaller, kept = pruning.without_neurons(net, weights, {layer: size - 3})
    assert smaller.neurons[layer][0] == size - 3

    def outputs(network, weights):
        x, keep = np.random.default_rng(5).normal(size=(20, 1, 6)), np.ones((20, 1))
        hidden, _ = jax.jit(network.hidden)(weights, network.start(1, 6), x, keep)
        return np.asarray(hidden @ weights["head_trend_w"])

    assert outputs(smaller, kept) == pytest.approx(outputs(net, weights), abs=1e-5)
    with pytest.raises(ValueError, match="no layer whose neurons"):
        pruning.without_neurons(net, weights, {"other": 3})
    with pytest.raises(ValueError, match=f"has {size} neurons; {size + 1} of them"):
        pruning.without_neurons(net, weights, {layer: size + 1})


def test_neurons_of_all_layers_go_at_once():
    net = networks.make("lstm", units=(12, 10), dense=(14,))
    random, key = np.random.default_rng(4), jax.random.key(0)
    weights = {name: random.normal(size=shape.shape)
               for name, shape in jax.eval_shape(lambda: net.initial(key, 6)).items()}
    weights |= {"head_trend_w": random.normal(size=(net.width, 3))}
    scores = {name: np.ones_like(weight) for name, weight in weights.items()}
    kept = {"dense0": [0, 2, 5], "lstm0": [1, 3, 4, 11], "lstm1": [0, 9]}
    # Each layer's own biases say which: what its neighbours lose does not change the choice.
    scores["dense0_b"][kept["dense0"]] += 1e3
    for name in ("lstm0", "lstm1"):
        scores[f"{name}_wb"][kept[name]] += 1e3
    smaller, found = pruning.without_neurons(net, weights, {name: len(rows) for name, rows in kept.items()}, scores)
    assert smaller.dense == (3,) and smaller.units == (4, 2)

    def gates(size, rows):
        return np.concatenate([gate * size + np.array(rows) for gate in range(4)])

    assert np.array_equal(found["dense0_w"], weights["dense0_w"][:, kept["dense0"]])
    assert np.array_equal(found["lstm0_w"], weights["lstm0_w"][np.ix_(gates(12, kept["lstm0"]), kept["dense0"])])
    assert np.array_equal(found["lstm1_w"], weights["lstm1_w"][np.ix_(gates(10, kept["lstm1"]), kept["lstm0"])])
    assert np.array_equal(found["lstm1_r"], weights["lstm1_r"][np.ix_(gates(10, kept["lstm1"]), kept["lstm1"])])
    assert np.array_equal(found["head_trend_w"], weights["head_trend_w"][kept["lstm1"]])


def test_shares_of_neurons_are_whole_blocks():
    net = networks.make("gru", units=(200, 32), dense=(96, 20))
    assert pruning.kept_neurons(net, 0.28) == {"dense0": 32, "dense1": 16, "gru0": 56, "gru1": 16}
    # A layer keeps what it has where blocks are larger, and never less than a block.
    assert pruning.kept_neurons(net, 0.9) == {"dense0": 96, "dense1": 20, "gru0": 184, "gru1": 32}
    assert pruning.kept_neurons(net, 1e-6) == {"dense0": 16, "dense1": 16, "gru0": 8, "gru1": 8}
    assert pruning.kept_neurons(networks.make("tcn"), 0.5) == {}
    smaller = pruning.resized(net, pruning.kept_neurons(net, 0.28))
    assert smaller.units == (56, 16) and smaller.dense == (32, 16) and pruning.resized(net, {}) == net


def test_neurons_are_ranked_by_the_scores_given():
    net = networks.make("mlp", dense=(4, 4))
    weights = {"dense0_w": np.eye(4), "dense0_b": np.zeros(4), "dense1_w": np.eye(4), "dense1_b": np.zeros(4)}
    scores = {name: np.zeros_like(weight) for name, weight in weights.items()}
    scores["dense0_w"][:, [1, 3]] = 1
    _, kept = pruning.without_neurons(net, weights, {"dense0": 2}, scores)
    assert np.array_equal(kept["dense0_w"], np.eye(4)[:, [1, 3]])
    assert np.array_equal(kept["dense1_w"], np.eye(4)[[1, 3]])


@pytest.mark.parametrize("low, high, scale, zero", [
    (0.0, 5.0, 5 / 127, 0), (-1.0, 1.0, 2 / 127, 64), (-3.0, -1.0, 3 / 127, 127), (2.0, 4.0, 4 / 127, 0),
    (0.0, 0.0, 1.0, 0)])
def test_ranges_become_the_codes_of_model_quantize(low, high, scale, zero):
    found = codes_of(low, high)
    assert found[0] == np.float32(scale) and found[1] == zero


def test_products_are_exact_in_whole_numbers():
    random = np.random.default_rng(6)
    x, weight = random.normal(0, 2, (50, 200)).astype(np.float32), random.normal(size=(200, 30)).astype(np.float32)
    numerics = Integer({"v": (-3.0, 4.0)})
    found = np.asarray(jax.jit(lambda x, w: numerics.product("v", x, numerics.weight(w)))(x, weight))
    scale, zero = codes_of(-3.0, 4.0)
    levels = np.clip(np.rint(x / scale) + zero, 0, 127).astype(np.int64) - zero
    steps = (np.abs(weight).max(axis=0) / np.float32(63)).astype(np.float32)
    sums = levels @ np.rint(weight / steps).astype(np.int64)
    assert np.array_equal(found, sums.astype(np.float32) * (scale * steps))
    state = np.asarray(numerics.state(jnp.array([-2.0, -0.52, 0.0, 0.01, 1.0])))
    assert state == pytest.approx([-1, -33 * HIDDEN[0], 0, HIDDEN[0], 1])
    with pytest.raises(ValueError, match="too many inputs"):
        numerics.weight(np.zeros((2_200, 4)))


def test_rounding_passes_gradients_and_clipping_stops_them():
    assert np.asarray(rounded(jnp.array([0.5, 1.5, -0.6, 126.7]))).tolist() == [0, 2, -1, 127]
    numerics = Integer({"v": (-1.0, 1.0)})
    weight = jnp.eye(2)
    slope = jax.grad(lambda x: numerics.product("v", x, numerics.weight(weight)).sum())(jnp.array([0.3, 1.7]))
    assert np.asarray(slope) == pytest.approx([1, 0], abs=1e-5)
