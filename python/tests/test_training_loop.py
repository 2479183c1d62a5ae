"""The training loop of the model kit: it learns, compresses, distils, goes on to the same bits, and refuses what is not
usable."""

import dataclasses

import numpy as np
import pytest
from support import BIN

jax = pytest.importorskip("jax")
onnx = pytest.importorskip("onnx")

from martlet.training import checkpoint, engine, export, heads, inference, loop, networks, pruning  # noqa: E402
from martlet.training.batches import Examples, TrainingError  # noqa: E402
from martlet.training.data import DataError  # noqa: E402
from martlet.training.distillation import TEACHER, TEACHER_HIDDEN, Distillation, ensemble  # noqa: E402
from martlet.training.loop import Settings  # noqa: E402
from martlet.training.metrics import f1_scores  # noqa: E402
from martlet.training.pruning import Pruning  # noqa: E402
from martlet.training.quantization import Quantization  # noqa: E402

COUNT, FEATURES = 6_000, 12
TEST_FROM = 4_800
SETTINGS = Settings(epochs=8, lanes=8, steps=20, burn_in=40, learning_rate=5e-3)
NET, HEADS = networks.make("gru", units=(16,), dense=(16,), dropout=0.0), heads.Heads(1)


@pytest.fixture(scope="module")
def examples():
    """A price that falls, rests or rises for a while; feature 0 shows which in noise, so that a state tells more than a
    tick."""
    random = np.random.default_rng(6)
    spell = np.cumsum(random.random(COUNT) < 0.04)
    drift = random.integers(-1, 2, spell[-1] + 1)[spell]
    features = random.normal(size=(COUNT, FEATURES)).astype(np.float32)
    features[:, 0] += drift
    reset, index = np.zeros(COUNT, bool), np.arange(COUNT)[:, None]
    reset[2_000] = True
    return Examples(features, reset, {"classes": drift[:, None] + 1}, {"classes": index < 3_600},
                    {"classes": (index >= 3_600) & (index < TEST_FROM)})


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """What is computed here is small; most of the time would go into making its programs fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def f1(examples, weights, net=NET, ranges=None):
    """Macro F1 on the test part."""
    found = inference.outputs(net, HEADS, weights, examples.features, examples.reset, ranges)["probabilities"]
    guess, expected = found[TEST_FROM:, 0].argmax(axis=1), examples.targets["classes"][TEST_FROM:, 0]
    return f1_scores(expected, guess)["macro_f1"]


@pytest.fixture(scope="module")
def dense(examples):
    return loop.train(NET, HEADS, examples, SETTINGS)


@pytest.fixture(scope="module")
def compressed(examples):
    settings = dataclasses.replace(
        SETTINGS, epochs=12, pruning=Pruning(0.3, every=10, is_integer=True, regrowth=0.2),
        quantization=Quantization(0.7))
    return settings, loop.train(NET, HEADS, examples, settings)


def test_a_stream_is_learned(examples, dense):
    # What a tick alone tells is worth 0.5.
    assert f1(examples, dense.weights) > 0.65
    assert dense.history[-1]["training_loss"] < dense.history[0]["training_loss"]


def test_the_epoch_of_least_validation_loss_is_chosen_and_patience_ends(examples, monkeypatch):
    losses = iter([5.0, 3.0, 4.0, np.nan, 3.5, 1.0])
    monkeypatch.setattr(loop, "validation_loss", lambda *arguments: next(losses))
    settings = dataclasses.replace(SETTINGS, patience=3, least_settled=0.0)
    trained = loop.train(NET, HEADS, examples, settings)
    assert trained.best_epoch == 1 and len(trained.history) == 5


def test_a_pruned_and_quantised_student_is_what_was_asked_for(examples, dense, compressed):
    settings, student = compressed
    assert f1(examples, student.weights, ranges=student.ranges) > f1(examples, dense.weights) - 0.1
    assert student.best_epoch / settings.epochs >= 0.7 - 1 / settings.epochs
    layouts = NET.prunable
    densities = pruning.block_density(student.weights, layouts, True)
    # 6, 8 and 8 blocks.
    assert list(densities.values()) == pytest.approx([2 / 6, 2 / 8, 2 / 8])
    assert student.history[0]["sparsity"] == 0 and student.history[-1]["sparsity"] > 0.6
    assert set(student.ranges) == {"dense0", "gru0"}


def test_the_same_settings_give_the_same_bits_and_others_do_not(examples, dense):
    again = loop.train(NET, HEADS, examples, SETTINGS)
    assert all(np.array_equal(again.weights[name], dense.weights[name]) for name in dense.weights)
    other = loop.train(NET, HEADS, examples, dataclasses.replace(SETTINGS, seed=2))
    assert not np.array_equal(other.weights["gru0_w"], dense.weights["gru0_w"])


@pytest.mark.parametrize("epoch", [2, 9])
def test_an_interrupted_run_goes_on_to_the_same_bits(examples, compressed, epoch, tmp_path, monkeypatch):
    settings, expected = compressed

    def stop(progress, done, note):
        if done == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Progress, "show", stop)
        with pytest.raises(KeyboardInterrupt):
            loop.train(NET, HEADS, examples, settings, folder=tmp_path)
    resumed = loop.train(NET, HEADS, examples, settings, folder=tmp_path)
    assert resumed.ranges == expected.ranges and resumed.best_epoch == expected.best_epoch
    assert all(np.array_equal(resumed.weights[name], expected.weights[name]) for name in expected.weights)
    with pytest.raises(TrainingError, match="a run with other settings"):
        loop.train(NET, HEADS, examples, SETTINGS, folder=tmp_path)
    (tmp_path / checkpoint.NAME).write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        loop.train(NET, HEADS, examples, settings, folder=tmp_path)


def test_windows_are_learned_but_not_across_a_reset(examples):
    net = networks.make("binctabl", sizes=((16, 10), (16, 5)), outputs=3, dropout=0.0)
    settings = Settings(epochs=6, batch=32, learning_rate=1e-2, windows=1_280)
    trained = loop.train(net, heads.Heads(1, is_direct=True), examples, settings)
    found = inference.outputs(net, heads.Heads(1, is_direct=True), trained.weights, examples.features, examples.reset)
    known = np.isfinite(found["probabilities"][:, 0, 0])
    assert np.array_equal(np.flatnonzero(~known), [*range(9), *range(2_000, 2_009)])
    some = inference.outputs(
        net, heads.Heads(1, is_direct=True), trained.weights, examples.features, examples.reset, every=7)
    some = some["probabilities"]
    chosen = np.flatnonzero(known)[::7]
    assert np.array_equal(np.flatnonzero(np.isfinite(some[:, 0, 0])), chosen)
    assert some[chosen] == pytest.approx(found["probabilities"][chosen], abs=1e-6)
    guess = found["probabilities"][TEST_FROM:, 0].argmax(axis=1)
    assert np.mean(guess == examples.targets["classes"][TEST_FROM:, 0]) > 0.55


def test_a_student_learns_from_its_teacher_alone(examples, dense):
    found = inference.outputs(NET, HEADS, dense.weights, examples.features, examples.reset, with_hidden=True)
    shuffled = np.random.default_rng(1).permutation(examples.targets["classes"])
    targets = {"classes": shuffled, TEACHER: found["probabilities"], TEACHER_HIDDEN: found["hidden"]}
    counts = {TEACHER: examples.train["classes"], TEACHER_HIDDEN: examples.train["classes"][:, 0]}
    taught = Examples(examples.features, examples.reset, targets, examples.train | counts,
                      examples.validation | {TEACHER: examples.validation["classes"], TEACHER_HIDDEN: np.zeros(COUNT)})
    settings = dataclasses.replace(SETTINGS, distillation=Distillation(share=1.0, features=0.1))
    student = networks.make("gru", units=(8,), dense=(), dropout=0.0)
    trained = loop.train(student, HEADS, taught, dataclasses.replace(settings, least_settled=0.9))
    assert f1(examples, trained.weights, student) > 0.55
    assert not any(name.startswith("match") for name in trained.weights)


def test_neurons_that_the_loss_does_not_need_are_those_of_least_importance(examples, dense):
    weights = {name: np.array(weight) for name, weight in dense.weights.items()}
    idle = [0, 3, 4, 9]
    # Large as they are, nothing reads them.
    weights["dense0_w"][:, idle] *= 100
    weights["gru0_w"][:, idle] = 0
    scores = loop.importance(NET, HEADS, examples, SETTINGS, weights)
    assert {name: value.shape for name, value in scores.items()} == {
        name: value.shape for name, value in weights.items()}
    assert all((value >= 0).all() for value in scores.values()) and scores["head_probabilities_w"].sum() > 0
    smaller, kept = pruning.without_neurons(NET, weights, {"dense0": 12}, scores)
    assert f1(examples, kept, smaller) == pytest.approx(f1(examples, weights), abs=1e-3)
    by_squares, kept = pruning.without_neurons(NET, weights, {"dense0": 12})
    assert f1(examples, kept, by_squares) < f1(examples, weights) - 0.01
    again = loop.importance(NET, HEADS, examples, SETTINGS, weights)
    assert all(np.array_equal(again[name], scores[name]) for name in scores)


def test_what_first_weights_leave_out_is_made(examples, dense):
    """The projection of distillation is no part of what was trained."""
    counts, part = examples.train["classes"], examples.validation["classes"]
    found = inference.outputs(NET, HEADS, dense.weights, examples.features, examples.reset, with_hidden=True)
    targets = {TEACHER: found["probabilities"], TEACHER_HIDDEN: found["hidden"]}
    taught = Examples(examples.features, examples.reset, examples.targets | targets,
                      examples.train | {TEACHER: counts, TEACHER_HIDDEN: counts[:, 0]},
                      examples.validation | {TEACHER: part, TEACHER_HIDDEN: part[:, 0]})
    settings = dataclasses.replace(SETTINGS, epochs=1, least_settled=0.0, distillation=Distillation(features=0.1))
    tuned = loop.train(NET, HEADS, taught, settings, first=dense.weights)
    assert tuned.weights.keys() == dense.weights.keys()
    assert f1(examples, tuned.weights) > f1(examples, dense.weights) - 0.05


def test_ranges_after_training_are_those_of_training_ticks(examples, dense):
    settings = Quantization(percentile=100, ticks=500)
    found = loop.training_ranges(NET, dense.weights, examples, settings)
    # The last 500 of the 3,600 ticks; a normalised feature is a value of its own.
    inputs = examples.features[3_100:3_600]
    assert found["dense0"] == pytest.approx((inputs.min(), inputs.max())) and set(found) == {"dense0", "gru0"}
    assert f1(examples, dense.weights, ranges=found) == pytest.approx(f1(examples, dense.weights), abs=0.03)


def test_an_ensemble_is_the_mean_of_its_members():
    members = [np.array([[[0.2, 0.3, 0.5]], [[np.nan] * 3]]), np.array([[[0.4, 0.5, 0.1]], [[0.1, 0.1, 0.8]]])]
    found = ensemble(members)
    assert found[0, 0] == pytest.approx([0.3, 0.4, 0.3]) and np.isnan(found[1]).all()


def test_what_was_trained_comes_back_from_its_file(compressed, tmp_path):
    _, student = compressed
    student.save(tmp_path / "student.npz")
    found = loop.Trained.load(tmp_path / "student.npz")
    assert found.ranges == student.ranges and found.best_epoch == student.best_epoch
    assert str(found.history) == str(student.history)
    assert found.weights.keys() == student.weights.keys()
    assert all(np.array_equal(found.weights[name], student.weights[name]) for name in found.weights)


def test_zeros_stay_where_they_are_asked_to(examples, compressed):
    _, student = compressed
    settings = dataclasses.replace(SETTINGS, epochs=1, keeps_zeros=True, least_settled=0.0)
    tuned = loop.train(NET, HEADS, examples, settings, first=student.weights)
    for name in NET.prunable:
        assert (student.weights[name] == 0).any()
        assert np.array_equal(tuned.weights[name] == 0, student.weights[name] == 0)
        assert not np.array_equal(tuned.weights[name], student.weights[name])


def test_what_cannot_be_trained_on_is_refused(examples):
    features, reset, classes = examples.features, examples.reset, examples.targets["classes"]
    part = {"classes": np.ones((COUNT, 1))}
    for text, arguments in {
        "finite": (features * np.nan, reset, {"classes": classes}, part, part),
        "reset is": (features, reset[1:], {"classes": classes}, part, part),
        "no weights for returns": (features, reset, {"classes": classes, "returns": classes}, part, part),
        "nothing counts in the part validation": (
            features, reset, {"classes": classes}, part, {"classes": np.zeros((COUNT, 1))}),
        "its weights": (features, reset, {"classes": classes}, part, {"classes": np.ones((COUNT, 2))}),
    }.items():
        with pytest.raises(TrainingError, match=text):
            Examples(*arguments)
    with pytest.raises(TrainingError, match="need the targets teacher"):
        loop.train(NET, HEADS, examples, dataclasses.replace(SETTINGS, distillation=Distillation()))
    with pytest.raises(TrainingError, match="fewer than 500 lanes"):
        loop.train(NET, HEADS, examples, dataclasses.replace(SETTINGS, lanes=500))
    with pytest.raises(TrainingError, match="share of 0.9999 of the training on, which leaves none of its"):
        loop.train(NET, HEADS, examples, dataclasses.replace(SETTINGS, least_settled=0.9999))
    with pytest.raises(TrainingError, match="not trained quantised"):
        loop.train(networks.make("mixer"), HEADS, examples, dataclasses.replace(SETTINGS, quantization=Quantization()))
    with pytest.raises(TrainingError, match="no finite validation loss"):
        loop.train(NET, HEADS, examples, dataclasses.replace(SETTINGS, epochs=1, learning_rate=np.inf))


def test_undefined_targets_never_count():
    targets = {"classes": np.array([[1], [-1], [2], [0]]), "returns": np.array([[1.0], [np.nan], [np.inf], [2.0]])}
    ones = {name: np.ones((4, 1)) for name in targets}
    examples = Examples(np.zeros((4, 2)), np.zeros(4), targets, ones, ones)
    assert examples.train["classes"][:, 0].tolist() == [1, 0, 1, 1]
    assert examples.train["returns"][:, 0].tolist() == [1, 0, 0, 1]
    assert np.isfinite(examples.targets["returns"]).all()


@pytest.mark.skipif(BIN is None, reason="MARTLET_BIN is not set")
def test_the_engine_finds_the_empty_blocks(examples, compressed, tmp_path):
    _, student = compressed
    horizons = [{"length": 10, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5}]
    values = {"contract_version": 1, "feature_set_version": 1, "feature_names": [f"f{n}" for n in range(FEATURES)],
              "warm_up_ticks": 0, "horizons": horizons}
    path, one = tmp_path / "student.onnx", np.ones(FEATURES, np.float32)
    export.save(export.to_onnx(NET, HEADS, student.weights, 0 * one, one, values, student.ranges), path)
    row = engine.frontier_row(path, 500)
    densities = {layer["name"]: layer["block_density"] for layer in row["layers"]}
    expected = pruning.block_density(student.weights, NET.prunable, True)
    assert densities["dense0"] == pytest.approx(expected["dense0_w"])
    assert densities["gru0"] == pytest.approx(expected["gru0_w"])
    # By multiply-adds; the head's 16 · 3 are in floats and all there.
    sizes = {"dense0_w": 12 * 16, "gru0_w": 16 * 48, "gru0_r": 16 * 48}
    whole = sum(sizes[name] * expected[name] for name in sizes) + 48
    assert row["block_density"] == pytest.approx(whole / (sum(sizes.values()) + 48))
    assert row["precision"] == "int8" and row["is_fast"] and row["p50_ns"] > 0 and row["bytes"] == path.stat().st_size
