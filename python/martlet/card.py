"""The model card: what a model is, what it was made of, and how good it is, beside guesses that need no model."""

from __future__ import annotations

import datetime

import numpy as np

from . import recurrent

KINDS = {
    "model": "pruned model (this file)", "dense": "the same, trained without pruning",
    "persistence": "persistence: the last label known", "majority": "majority class of training",
}


def table(horizons: list[int], results: dict) -> str:
    """Macro and weighted F1 and accuracy on the test part, by horizon."""
    lines = ["| horizon, ticks | | macro F1 | weighted F1 | accuracy |", "|---|---|---|---|---|"]
    for column, k in enumerate(horizons):
        for kind, text in KINDS.items():
            score = results[kind][column]
            lines.append(
                f"| {k} | {text} | {score['macro_f1']:.3f} | {score['weighted_f1']:.3f} | {score['accuracy']:.3f} |")
    return "\n".join(lines)


def write(problem, weights: dict, results: dict, metadata: dict, difference: float, arguments) -> str:
    """The card as Markdown; no figure in it depends on when it was written."""
    horizons = [horizon.length for horizon in problem.horizons]
    bounds = [0, problem.validation_from, problem.test_from, len(problem.data.mid)]

    def when(index):
        seconds = int(problem.data.ts_recv[index]) // 10**9
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")

    parts = [f"| {name} | {first:,} to {last - 1:,} | {when(first)} | {when(last - 1)} |"
             for name, first, last in zip(("train", "validation", "test"), bounds, bounds[1:])]
    shares = []
    for column, (k, alpha) in enumerate(zip(horizons, problem.alphas)):
        row = [f"| {k} | {alpha:g} "]
        for chosen in (problem.train, problem.test):
            counts = np.bincount(problem.classes[chosen[:, column], column], minlength=3)
            row.append("| " + " / ".join(f"{share:.2f}" for share in counts / counts.sum()) + " ")
        shares.append("".join(row) + "|")
    layers = []
    for name, text in zip(recurrent.PRUNED, ("dense, 16×1", "GRU input, 24×1", "GRU recurrence, 24×1")):
        norms = recurrent.block_norms(name, weights[name])
        layers.append(f"| {text} | {weights[name].size:,} | {norms.size} | {int((norms > 0).sum())} |")
    hashes = metadata["training_data_sha256"]
    feeds = ", ".join(f"`{name}` (SHA-256 `{digest}`)" for name, digest in zip(problem.data.description["files"], hashes))
    feature_count = len(problem.data.names)
    best = max(range(len(horizons)), key=lambda c: _gain(results, c))
    return f"""# Model {metadata['name']}

A small recurrent network that says after each tick whether the mid price will be lower, about equal or higher over the next
{', '.join(str(k) for k in horizons)} ticks. Written by `python -m martlet.train`; do not edit.

## Shape

{feature_count} features (set version {metadata['feature_set_version']}) → mean and scale → dense {recurrent.DENSE_UNITS}, relu →
GRU {recurrent.GRU_UNITS}, stateful → linear → softmax for each of {len(horizons)} horizons. One tick in, one prediction
out; the state goes round. Pruned in blocks along the outputs: {1 - metadata['density']:.1%} of all weights but biases and the last
layer are zero.

| layer, block | weights | blocks | blocks left |
|---|---|---|---|
{chr(10).join(layers)}

## Data

{len(problem.data.mid):,} ticks of {problem.data.instrument} from {feeds}.

| part | ticks | from | to |
|---|---|---|---|
{chr(10).join(parts)}

The parts follow each other in time. Labels that reach into the next part are left out, and so are the first
{max(horizons)} ticks of a part and the {arguments.warm_up} ticks after a reset. The weights were chosen by the loss on the
validation part; the test part decided nothing.

Labels: `smoothed-mid`, the mean of the next k mid prices against the present one, as a fraction; up above α, down below −α. α
makes a third of the training labels flat, as nearly as prices on a grid allow.

| k | α | down / flat / up in training | in test |
|---|---|---|---|
{chr(10).join(shares)}

## Results on the test part

{table(horizons, results)}

Against persistence, the model gains most at a horizon of {horizons[best]} ticks ({_gain(results, best):+.3f} macro F1).

## Limits

It has seen one feed of one instrument, and nothing says that it carries over to another. Labels on a smoothed mid price overlap
from tick to tick, which favours persistence. No cost of trading is in any of these figures. The probabilities are those of the
softmax, not calibrated afterwards.

ONNX Runtime agrees with the training code to {difference:.0e} over the first ticks. Made with `--epochs {arguments.epochs} --learning-rate
{arguments.learning_rate:g} --weight-decay {arguments.weight_decay:g} --dropout {arguments.dropout:g} --input-dropout {arguments.input_dropout:g} --sparsity {arguments.sparsity:g} --warm-up {arguments.warm_up} --seed {arguments.seed}`.
"""


def _gain(results: dict, column: int) -> float:
    return results["model"][column]["macro_f1"] - results["persistence"][column]["macro_f1"]
