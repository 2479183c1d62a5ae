"""The integer reference against exact arithmetic, the engine's bits and ONNX Runtime; the models of the speed measurements."""

import fractions
import json
import pathlib
import re
import sys

import numpy as np
import onnx
import pytest
from martlet import bench_models, bench_trees, integer_reference
from martlet.bench_graph import BLOCK90, DENSE, INT8, INT8_BLOCK90, INT8_EXPLICIT
from martlet.graph_builder import GraphBuilder
from onnx import TensorProto, helper, numpy_helper

from support import BIN, martlet

FUNCTIONS = pathlib.Path(__file__).resolve().parents[2] / "Sources" / "Inference" / "FunctionsConstants.swift"

# Bits that ScalarFunctions gave: x, tanh, sigmoid, exp.
ENGINE_BITS = [
    (0.0, 0x00000000, 0x3F000000, 0x3F800000),
    (-0.0, 0x00000000, 0x3F000000, 0x3F800000),
    (9.99994610111476e-41, 0x000116C2, 0x3F000000, None),
    (0.25, 0x3E7ACBF4, 0x3F0FEACC, None),
    (-0.699999988079071, 0xBF1AB7D8, 0x3EA9E34B, 0x3EFE406E),
    (1.2999999523162842, 0x3F5C99E3, 0x3F492C7B, None),
    (-2.5999999046325684, 0xBF7D30E7, 0x3D8D9874, 0x3D981CC0),
    (4.400000095367432, 0x3F7FEC3F, 0x3F7CE527, None),
    (-8.899999618530273, 0xBF800000, 0x390EFEA6, 0x390F03A3),
    (9.5, 0x3F800000, 0x3F7FFB18, None),
    (-20.0, 0xBF800000, 0x310DA435, 0x310DA433),
    (-60.0, 0xBF800000, 0x142D70D2, 0x142D70C9),
    (100.0, 0x3F800000, 0x3F800000, None),
]
# Bits that ScalarGates gave for some sums, turned by one more place each time: the LSTM's hidden state and cell, the GRU's
# hidden state.
GATE_SUMS = [0.3, -1.7, 2.4, -0.9, 0.65, 30, -30, 0.1]
GATE_BITS = [
    (0x3CE6CE9F, 0x3E3CE49B, 0x3F2E5BF8), (0x3F6AB532, 0x410C2837, 0xBF29BADA), (0xBE93FE6D, 0xC1965910, 0xBFD99999),
    (0xBDFB63EE, 0xBE419673, 0x3F800000)]


def rounded(exact: fractions.Fraction) -> np.float32:
    """The float32 nearest to a rational number, ties to even, found by trying neighbours in exact arithmetic."""
    guess = np.float32(float(exact))
    near = [guess, np.nextafter(guess, np.float32(np.inf)), np.nextafter(guess, np.float32(-np.inf))]
    return min(near, key=lambda value: (abs(fractions.Fraction(float(value)) - exact), int(value.view(np.uint32)) & 1))


def test_fused_multiply_add_rounds_the_exact_result_once():
    random = np.random.default_rng(1)
    count = 4000
    a, b = (random.normal(0, 1, count).astype(np.float32) for _ in range(2))
    c = (random.normal(0, 1, count) * 2.0 ** random.integers(-60, 30, count)).astype(np.float32)
    # Sums that nearly cancel, sums next to the middle between two float32, and results below the normal range.
    c[:1000] = -(a[:1000] * b[:1000])
    a[1000:2000] = 1 + 2.0**-12 * random.integers(0, 4096, 1000)
    b[1000:2000] = 1 + 2.0**-12 * random.integers(0, 4096, 1000)
    c[1000:2000] = 2.0 ** random.integers(-60, -20, 1000) * random.choice([-1, 1], 1000)
    a[2000:2500] *= np.float32(2.0**-70)
    b[2000:2500] *= np.float32(2.0**-72)
    c[2000:2500] = (random.normal(0, 1, 500) * 2.0**-140).astype(np.float32)
    results = integer_reference.fma32(a, b, c)
    for x, y, z, result in zip(a, b, c, results):
        exact = fractions.Fraction(float(x)) * fractions.Fraction(float(y)) + fractions.Fraction(float(z))
        assert result == rounded(exact), (x, y, z)
    twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert np.any(twice != results), "the cases must hold sums where rounding twice is wrong"


def test_fused_multiply_add_keeps_infinities_and_zeros():
    infinity = np.float32(np.inf)
    assert integer_reference.fma32(infinity, 1, -5) == infinity
    assert np.isnan(integer_reference.fma32(infinity, 1, -infinity))
    assert integer_reference.fma32(3e38, 10, 0) == infinity
    assert np.signbit(integer_reference.fma32(np.float32(-0.0), 1, np.float32(-0.0)))


def test_the_functions_have_the_bits_of_the_engine():
    for x, *expected in ENGINE_BITS:
        for function, bits in zip((integer_reference.tanh, integer_reference.sigmoid, integer_reference.exp), expected):
            assert bits is None or int(function(np.array([x], np.float32)).view(np.uint32)[0]) == bits, (function, x)


def test_the_gates_have_the_bits_of_the_engine():
    for shift, expected in enumerate(GATE_BITS):
        sums = np.roll(np.array(GATE_SUMS, np.float32), -shift)[:, None]
        hidden, cell = integer_reference.lstm_step(sums[:4], sums[4])
        results = hidden, cell, integer_reference.gru_step(sums[:3], sums[3:6], sums[7])
        assert tuple(int(value.view(np.uint32)[0]) for value in results) == expected, shift


def test_a_product_in_floats_is_summed_in_the_chains_of_the_engine():
    random = np.random.default_rng(8)
    x, weight = random.normal(0, 1, 11).astype(np.float32), random.normal(0, 1, (3, 11)).astype(np.float32)
    for chains in (2, 4):
        result = integer_reference.chained(x, weight, chains)
        for row, found in zip(weight, result):
            sums = [fractions.Fraction(0)] * chains
            for column, (a, b) in enumerate(zip(x, row)):
                exact = fractions.Fraction(float(a)) * fractions.Fraction(float(b)) + sums[column % chains]
                sums[column % chains] = fractions.Fraction(float(rounded(exact)))
            sums = [np.float32(float(value)) for value in sums]
            total = sums[0] + sums[1] if chains == 2 else (sums[0] + sums[1]) + (sums[2] + sums[3])
            assert found == total


def test_softmax_sums_in_order_and_multiplies_by_the_inverse():
    x = np.random.default_rng(7).normal(0, 3, (2, 7)).astype(np.float32)
    for row, result in zip(x, integer_reference.softmax(x)):
        powers = [integer_reference.exp(value - row.max()) for value in row]
        total = powers[0]
        for power in powers[1:]:
            total = np.float32(total + power)
        inverse = np.float32(1) / total
        assert np.array_equal(result, np.array([power * inverse for power in powers], np.float32))
    assert np.array_equal(integer_reference.softmax(x.T, 0), integer_reference.softmax(x).T)


def test_softplus_is_the_logarithm_of_one_and_a_power():
    x = np.concatenate([np.linspace(-80, 80, 4_001), [0.0, -0.0, -103.0, 300.0]]).astype(np.float32)
    found, exact = integer_reference.softplus(x), np.logaddexp(0, x.astype(np.float64))
    assert found.dtype == np.float32
    assert np.abs(found - exact).max() < 1e-5 and np.abs(found / exact - 1)[x > -87].max() < 2.2e-7


def test_the_constants_are_those_of_the_engine():
    text = FUNCTIONS.read_text()
    stored = {name: float(value.replace("_", "")) for name, value in re.findall(r"static var (\w+): Float \{ ([-\w.]+) \}", text)}
    ours = {f"gateA{index}": value for index, value in enumerate(integer_reference.GATE_A)}
    ours |= {f"fractionA{index}": value for index, value in enumerate(integer_reference.FRACTION_A)}
    ours |= {f"expC{index}": value for index, value in enumerate(integer_reference.EXP_C) if index > 1}
    ours |= {f"areaC{index}": value for index, value in enumerate(integer_reference.AREA_C)}
    ours |= {
        "gateSigmoidLimit": integer_reference.GATE_SIGMOID_LIMIT, "gateTanhLimit": integer_reference.GATE_TANH_LIMIT,
        "sigmoidLimit": integer_reference.SIGMOID_LIMIT, "expLimit": integer_reference.EXP_LIMIT,
        "expLow": integer_reference.EXP_LOW, "roundingMagic": integer_reference.ROUNDING_MAGIC, "log2e": integer_reference.LOG2_E,
        "twoLog2e": integer_reference.TWO_LOG2_E, "ln2High": integer_reference.LN2_HIGH, "ln2Low": integer_reference.LN2_LOW}
    assert {name: stored.get(name) for name in ours} == ours


def quantised_model(operator, weight, zero_point, axis, shape, **attributes):
    """x [shape] quantised with zero point 7, times an int8 weight with a scale per output and a zero point."""
    scales = np.linspace(0.01, 0.02, weight.shape[axis]).astype(np.float32)
    arrays = {
        "xs": np.float32(0.037), "xz": np.uint8(7), "w": weight, "ws": scales, "wz": np.full(len(scales), zero_point, np.int8),
        "bias": np.linspace(-1, 1, len(scales)).astype(np.float32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["features", "xs", "xz"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "xs", "xz"], ["x"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=axis)]
    if operator == "MatMul":
        nodes += [helper.make_node("MatMul", ["x", "wd"], ["y"]), helper.make_node("Add", ["y", "bias"], ["probabilities"])]
    else:
        nodes.append(helper.make_node(operator, ["x", "wd", "bias"], ["probabilities"], **attributes))
    graph = helper.make_graph(
        nodes, "one", [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def exact_linear(x, weight, zero_point, scales, bias):
    """One vector by a weight [outputs, inputs] in Python's own integers, three float32 roundings per output."""
    levels = np.clip(np.rint(x / np.float32(0.037)) + 7, 0, 255)
    result = []
    for output, row in enumerate(weight):
        total = sum((int(level) - 7) * (int(value) - zero_point) for level, value in zip(levels, row))
        result.append(np.float32(np.float32(np.float32(total) * (np.float32(0.037) * scales[output])) + bias[output]))
    return np.array(result, np.float32)


@pytest.mark.parametrize("operator", ["MatMul", "Gemm", "Conv"])
@pytest.mark.parametrize("zero_point", [0, -9])
def test_a_quantised_layer_is_a_sum_of_integers_rounded_once(operator, zero_point):
    random = np.random.default_rng(2)
    # Sums beyond 2^24, so that float32 has to round them.
    weight = random.integers(-128, 128, (5, 3000)).astype(np.int8)
    weight[:4] = random.integers(64, 128, (4, 3000))
    x = random.uniform(3, 9, 3000).astype(np.float32)
    if operator == "MatMul":
        model = quantised_model(operator, np.ascontiguousarray(weight.T), zero_point, 1, [1, 1, 3000])
    elif operator == "Gemm":
        model = quantised_model(operator, weight, zero_point, 0, [1, 3000], transB=1)
    else:
        model = quantised_model(operator, weight.reshape(5, 1000, 3), zero_point, 0, [1, 1000, 3], kernel_shape=[3])
    reference = integer_reference.IntegerReference(model)
    result = reference.step(x)["probabilities"].reshape(-1)
    assert reference.integer_products == 1
    scales, bias = (reference.constants[name] for name in ("ws", "bias"))
    assert np.array_equal(result, exact_linear(x, weight, zero_point, scales, bias))


@pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")
@pytest.mark.parametrize("form,integer_products", [
    ("plain", 1), ("moved", 1), ("concatenated", 0), ("codes of 16 bits", 0), ("another scale", 0), ("a wide weight", 0)])
def test_the_engine_and_the_reference_agree_on_what_is_a_product_of_integers(form, integer_products, tmp_path):
    random, graph = np.random.default_rng(4), GraphBuilder(24, opset=21)
    scale, zero = graph.constant(np.float32(0.037)), graph.constant((np.uint16 if form == "codes of 16 bits" else np.uint8)(7))
    weight = random.integers(-63, 64, (24, 3)).astype(np.int16 if form == "a wide weight" else np.int8)
    if form == "a wide weight":
        weight[3, 1] = 300
    halves = graph.node("Split", ["features"], outputs=2, axis=2, num_outputs=2) if form == "concatenated" else ["features"]
    codes = [graph.node("QuantizeLinear", [part, scale, zero]) for part in halves]
    codes = graph.node("Concat", codes, axis=2) if form == "concatenated" else codes[0]
    codes = graph.reshape(codes, 1, 24) if form == "moved" else codes
    back = graph.constant(np.float32(0.021)) if form == "another scale" else scale
    scales, zeros = graph.constant(np.float32([0.003, 0.004, 0.005])), graph.constant(np.zeros(3, weight.dtype))
    sums = graph.node("MatMul", [graph.node("DequantizeLinear", [codes, back, zero]),
                                 graph.node("DequantizeLinear", [graph.constant(weight), scales, zeros], axis=1)])
    graph.output(graph.reshape(sums, 1, 1, 3), "probabilities", [1, 1, 3])
    model, path = graph.finished({
        "contract_version": 1, "feature_set_version": 1, "warm_up_ticks": 0, "name": "one",
        "feature_names": [f"f{number}" for number in range(24)],
        "horizons": [{"length": 10, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5}]}), tmp_path / "model.onnx"
    onnx.save(model, path)
    reference = integer_reference.IntegerReference(model)
    reference.step(random.normal(0, 1, 24))
    assert reference.integer_products == integer_products
    checks = json.loads(martlet("model", "verify", path, "--onnxruntime", sys.executable, "--json").stdout)["checks"]
    assert "passed" in [check["status"] for check in checks if check["name"].startswith("integer reference")]


@pytest.mark.parametrize("strides,dilations,group", [([1], [1], 1), ([2], [3], 1), ([1], [2], 2)])
def test_a_convolution_agrees_with_its_definition(strides, dilations, group):
    random = np.random.default_rng(3)
    x, weight = random.integers(-50, 50, (2, 4, 12)), random.integers(-50, 50, (6, 4 // group, 3))
    attributes = {"strides": strides, "dilations": dilations, "group": group, "pads": [2, 1]}
    result = integer_reference.convolve(x, weight, attributes)
    padded = np.pad(x, [(0, 0), (0, 0), (2, 1)])
    for image, output, position in np.ndindex(*result.shape):
        first = output // (6 // group) * (4 // group)
        assert result[image, output, position] == sum(
            int(padded[image, first + channel, position * strides[0] + tap * dilations[0]]) * int(weight[output, channel, tap])
            for channel in range(4 // group) for tap in range(3))


def test_an_unknown_operator_is_refused_by_name():
    graph = helper.make_graph(
        [helper.make_node("Det", ["features"], ["probabilities"], name="odd")], "one",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 1, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)])
    with pytest.raises(NotImplementedError, match="odd: operator Det"):
        integer_reference.IntegerReference(helper.make_model(graph)).step(np.zeros(1))


MULTIPLY_ADDS = {
    "a_mlp": 6_848, "b_mlp": 70_016, "c_lstm": 26_816, "d_gru": 163_200, "e_deeplob_window": 35_181_760,
    "e_deeplob_step": 390_592, "f_tcn_step": 19_296, "f_tcn_window": 1_920_096, "g_binctabl": 112_290, "A_lstm_step": 160_300}


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_a_model_has_the_multiply_adds_of_its_architecture(name):
    for variant in bench_models.MODELS[name][2]:
        net, _ = bench_models.make(name, variant, 1)
        assert net.multiply_adds == MULTIPLY_ADDS[name]
        assert net.density == 1 if variant.density == 1 else 0.09 < net.density <= 0.1


@pytest.mark.parametrize(
    "name,variant",
    [(name, variant) for name, model in bench_models.MODELS.items() for variant in model[2] if variant.is_integer])
def test_an_int8_model_keeps_to_seven_bits_and_agrees_with_onnx_runtime(name, variant):
    net, _ = bench_models.make(name, variant, 1)
    model = net.model()
    weights = [numpy_helper.to_array(array) for array in model.graph.initializer if array.data_type == TensorProto.INT8]
    assert max(int(np.abs(array.astype(int)).max()) for array in weights) == 63
    clips = {node.output[0] for node in model.graph.node if node.op_type == "Clip"}
    assert all(node.input[0] in clips for node in model.graph.node if node.op_type == "QuantizeLinear")
    # Some full windows, which take long, or many single ticks.
    count = 60 if net.window == 1 else net.window + 9
    features = bench_models.ticks(np.random.default_rng(4), count, net.features)
    reference = integer_reference.IntegerReference(model)
    expected, runtime = bench_models.run(model, features, reference)
    products = sum({"MatMul": 1, "Gemm": 1, "Conv": 1, "LSTM": 2, "GRU": 2}.get(node.op_type, 0) for node in model.graph.node)
    assert reference.integer_products == products, "each product must be one of integers"
    assert np.abs(expected["probabilities"] - runtime["probabilities"]).max() < 1e-5
    assert np.ptp(expected["probabilities"], axis=0).min() > 0.01, "the outputs must depend on the features"


@pytest.mark.parametrize("name", ["c_lstm", "d_gru"])
def test_a_recurrent_node_and_its_products_and_gates_say_nearly_the_same(name):
    models = [bench_models.make(name, variant, 1)[0].model() for variant in (INT8, INT8_EXPLICIT)]
    features = bench_models.ticks(np.random.default_rng(4), 40, 40)
    node, explicit = (integer_reference.run(model, features)["probabilities"] for model in models)
    # A GRU node mixes the previous state as it was quantised into the new one, its explicit form as it was.
    assert np.abs(node - explicit).max() < (0.05 if name == "d_gru" else 1e-5)
    assert {"LSTM", "GRU"} & {node.op_type for node in models[0].graph.node}
    assert not {"LSTM", "GRU"} & {node.op_type for node in models[1].graph.node}


def test_a_pruned_model_is_zero_in_whole_blocks():
    net, _ = bench_models.make("c_lstm", BLOCK90, 1)
    weight = next(
        numpy_helper.to_array(array) for array in net.model().graph.initializer if list(array.dims) == [1, 256, 40])
    blocks = weight.reshape(4, 8, 8, 40).transpose(1, 3, 0, 2).reshape(8, 40, 32)
    assert np.all((blocks != 0).all(axis=2) | (blocks == 0).all(axis=2))
    net, _ = bench_models.make("b_mlp", INT8_BLOCK90, 1)
    weight = next(
        numpy_helper.to_array(array) for array in net.model().graph.initializer if list(array.dims) == [144, 256])
    kept = np.any(weight.reshape(36, 4, 32, 8), axis=(1, 3))
    assert kept.mean() < 0.11
    assert kept.sum(axis=0).max() - kept.sum(axis=0).min() <= 1, "panels must be balanced"


def test_a_convolution_over_the_whole_window_gives_what_its_steps_give():
    window, _ = bench_models.make("f_tcn_window127", DENSE, 1)
    step, _ = bench_models.make("f_tcn_step", DENSE, 1)
    features = bench_models.ticks(np.random.default_rng(5), 150, 40)
    whole, _ = bench_models.run(window.model(), features)
    stepped, _ = bench_models.run(step.model(), features)
    assert np.abs(whole["probabilities"] - stepped["probabilities"][126:]).max() < 1e-5


def test_the_trees_of_the_operator_and_of_the_text_are_the_same():
    trees = bench_trees.forest(3, 20, 60, 11)
    for tree in trees:
        children = tree.left + tree.right
        assert sorted(children) == [*range(-11, 0), *range(1, 10)], "each node and leaf has one parent, but for the root"
    net = bench_models.Graph("trees.dense", 60, DENSE, 1)
    bench_models.tree_model(net, trees)
    features = bench_models.ticks(np.random.default_rng(6), 50, 60)
    outputs, _ = bench_models.run(net.model(), features)
    for row, score in zip(features, outputs["expected_return"][:, 0]):
        assert score == pytest.approx(sum(leaf(tree, row) for tree in trees), abs=1e-6)
    text = bench_trees.lightgbm_text(trees, 60)
    assert [line for line in text.splitlines() if line.startswith("threshold=")][3] == (
        "threshold=" + " ".join(map(repr, trees[3].threshold)))


def leaf(tree, row):
    node = 0
    while node >= 0:
        node = tree.left[node] if row[tree.feature[node]] <= tree.threshold[node] else tree.right[node]
    return tree.value[~node]


def test_the_same_seed_gives_the_same_bytes():
    models = [bench_models.make("a_mlp", INT8_BLOCK90, seed)[0].model() for seed in (1, 1, 2)]
    first, second, third = (model.SerializeToString(deterministic=True) for model in models)
    assert first == second != third
    assert onnx.load_from_string(first).metadata_props
