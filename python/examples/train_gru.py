"""From recorded ticks to a model file with PyTorch: a stateful GRU that says where the mid price goes.

    martlet features feeds/simulated_sim1_20240102_mixed.dbn.zst --out .build/features
    python python/examples/train_gru.py --features .build/features --out .build/gru.onnx

Short on purpose: no pruning, no search. `martlet-train run` makes the better model.
"""

import argparse
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from martlet.labels import most_probable
from martlet.pytorch_export import export, horizon
from martlet.training.data import Data, prepare
from martlet.training.metrics import f1_scores

HORIZONS = [10, 50]
#: Parallel stretches of the training part, and the ticks through which gradients go back.
LANES, STEPS = 32, 50


class StatefulGRU(nn.Module):
    """Takes raw features, since the processor gives it raw features: what normalises them is part of the model."""

    def __init__(self, mean, scale, horizons, units=48):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.enter = nn.Sequential(nn.Linear(len(mean), units), nn.ReLU(), nn.Dropout(0.2))
        self.gru, self.leave, self.horizons = nn.GRU(units, units, batch_first=True), nn.Linear(units, 3 * horizons), horizons

    def scores(self, features, hidden):
        values, hidden = self.gru(self.enter((features - self.mean) * self.scale), hidden)
        return self.leave(values).unflatten(2, (self.horizons, 3)), hidden

    def forward(self, features, hidden):
        """One tick, as the file has it: [1, 1, F] and the state to probabilities [1, H, 3] and the next state."""
        scores, hidden = self.scores(features, hidden)
        return torch.softmax(scores[:, 0], -1), hidden


def train(module, problem, epochs):
    count = problem.validation_from // LANES
    features = torch.from_numpy(problem.data.features[:count * LANES]).view(LANES, count, -1)
    classes = torch.from_numpy(problem.classes[:count * LANES].astype(np.int64)).view(LANES, count, -1)
    counts = torch.from_numpy(problem.train[:count * LANES]).view(LANES, count, -1)
    classes = torch.where(counts, classes, -1)
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3, weight_decay=1e-2)
    for epoch in range(epochs):
        module.train()
        hidden, losses = torch.zeros(1, LANES, module.gru.hidden_size), []
        for first in range(0, count, STEPS):
            rows = slice(first, first + STEPS)
            scores, hidden = module.scores(features[:, rows], hidden.detach())
            loss = functional.cross_entropy(scores.flatten(0, 2), classes[:, rows].flatten(), ignore_index=-1)
            if loss.isfinite():
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")


def report(module, problem):
    """F1 on the test part, the state carried through all ticks."""
    with torch.no_grad():
        probabilities = torch.softmax(module.eval().scores(torch.from_numpy(problem.data.features)[None], None)[0][0], -1).numpy()
    for column, k in enumerate(HORIZONS):
        chosen = problem.test[:, column]
        scores = f1_scores(problem.classes[chosen, column], most_probable(probabilities[chosen, column]))
        print(f"{k} ticks ahead: macro F1 {scores['macro_f1']:.3f} on the test part")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--features", type=pathlib.Path, required=True, metavar="DIR", help="from `martlet features`")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    data = Data.load(arguments.features)
    problem = prepare(data, HORIZONS, data.description["warm_up_ticks"])
    module = StatefulGRU(problem.mean, problem.scale, len(HORIZONS))
    train(module, problem, arguments.epochs)
    report(module, problem)
    exported = export(
        module, arguments.out, feature_names=data.names, warm_up_ticks=data.description["warm_up_ticks"],
        horizons=[horizon(k, alpha) for k, alpha in zip(HORIZONS, problem.alphas)],
        states={"hidden": [1, 1, module.gru.hidden_size]}, samples=data.features[-500:],
        feature_set_version=data.description["feature_set_version"],
        training_data_sha256=data.description["sha256"],
        training_end_timestamp=int(data.ts_recv[problem.test_from - 1]))
    print(f"{exported.path}: ONNX Runtime within {exported.difference:.1g} of torch")


if __name__ == "__main__":
    main()
