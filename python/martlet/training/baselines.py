"""Predictors that every model stands beside: majority, persistence, two logistic regressions, gradient-boosted trees.

Each takes a `Problem` and gives probabilities [N, H, 3] float32 of all ticks, learned from the training part;
validation chooses the logistic penalty and the number of trees. Nothing looks at the test part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import labels
from .data import DataError, Problem
from .metrics import CLASSES, confusion, log_loss, macro_f1
from .mirror import Mirror

#: Strengths of the L2 penalty tried, per training tick, the strongest first.
PENALTIES = (1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5)
#: Normalised features are cut off there for the regression, which takes jumps of a hundred deviations at their word.
FEATURE_MAX = 3.0
#: A fit ends when no derivative of the mean loss is above it …
GRADIENT_MAX = 1e-5
#: … or after so many steps, where directions that hardly matter are still on their way.
STEPS_MAX = 500

#: Small trees on halves of rows and columns: neighbouring ticks say much the same, and over-fitting is the enemy.
TREE_SETTINGS = {
    "objective": "multiclass", "num_class": CLASSES, "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 200,
    "feature_fraction": 0.5, "bagging_fraction": 0.5, "bagging_freq": 1, "lambda_l2": 1.0,
    # One thread and rows in one order: the same trees each time.
    "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1,
}
TREES_MAX, PATIENCE = 1_000, 50
TILTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def shares(classes: np.ndarray) -> np.ndarray:
    """[3]: how often each class occurs."""
    return np.bincount(classes, minlength=CLASSES) / len(classes)


def majority(problem: Problem) -> np.ndarray:
    """Each class as often as in training, at every tick."""
    rows = [shares(problem.classes[problem.train[:, column], column]) for column in range(len(problem.horizons))]
    return np.broadcast_to(np.float32(rows), (len(problem.classes), len(rows), CLASSES)).copy()


def persistence(problem: Problem) -> np.ndarray:
    """The last class known with probability 1; the shares of training where none is known."""
    result = majority(problem)
    is_known = problem.known != labels.NONE
    result[is_known] = np.eye(CLASSES, dtype=np.float32)[problem.known[is_known]]
    return result


def logistic(problem: Problem) -> np.ndarray:
    """Multinomial logistic regression on the normalised features, cut off at `FEATURE_MAX`."""
    features = np.clip(problem.normalised, -FEATURE_MAX, FEATURE_MAX)
    result = np.empty((*problem.classes.shape, CLASSES), np.float32)
    for column in range(len(problem.horizons)):
        parts = [(features[chosen[:, column]], problem.classes[chosen[:, column], column])
                 for chosen in (problem.train, problem.validation)]
        result[:, column] = fit_logistic(*parts[0], *parts[1]).probabilities(features)
    return result


def mirrored(problem: Problem) -> np.ndarray:
    """Multinomial logistic regression on the training part and its mirror image, on the scales of `Mirror`."""
    try:
        mirror = Mirror.of(problem.data.names)
    except ValueError as error:
        raise DataError(
            f"baselines: mirrored: {error}: name the other baselines, or take both sides' features") from error
    features = mirror.normalised(problem)
    image = mirror.features(features)
    result = np.empty((*problem.classes.shape, CLASSES), np.float32)
    for column in range(len(problem.horizons)):
        train, validation = problem.train[:, column], problem.validation[:, column]
        classes = problem.classes[:, column]
        fit = fit_logistic(
            np.concatenate([features[train], image[train]]), np.concatenate([classes[train], 2 - classes[train]]),
            features[validation], classes[validation])
        result[:, column] = fit.probabilities(features)
    return result


@dataclass(frozen=True)
class Logistic:
    """Weights [F + 1, 3], the last row the bias, and the penalty per tick that validation chose."""

    weights: np.ndarray
    penalty: float

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """[n, 3] for normalised features [n, F]."""
        return _softmax(features @ self.weights[:-1] + self.weights[-1]).astype(np.float32)


def fit_logistic(
    features: np.ndarray, classes: np.ndarray, validation_features: np.ndarray, validation_classes: np.ndarray,
    penalties: tuple[float, ...] = PENALTIES,
) -> Logistic:
    """The fit with the lowest validation loss; weaker penalties are tried until two in a row are worse.

    Minimises mean cross-entropy + penalty / 2 · |weights|². The Hessian of the loss is at most ½XᵀX/n for each class
    (Böhning 1992), so steps by that bound go down at once and need one factorisation for each penalty. They have
    Nesterov's momentum, which begins anew where it leads uphill (O'Donoghue and Candès 2015).
    """
    inputs = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1).astype(np.float64)
    targets = np.eye(CLASSES)[classes]
    bound = inputs.T @ inputs / (2 * len(inputs))
    weights = np.zeros((inputs.shape[1], CLASSES))
    best, best_loss, worse = None, np.inf, 0
    for penalty in penalties:
        # The bias is not penalised; the little that stands in its place keeps the matrix regular.
        strength = np.append(np.full(features.shape[1], penalty), 1e-9)
        inverse = np.linalg.inv(bound + np.diag(strength))
        ahead, steps = weights, 0
        for _ in range(STEPS_MAX):
            gradient = inputs.T @ (_softmax(inputs @ ahead) - targets) / len(inputs) + strength[:, None] * ahead
            before, weights = weights, ahead - inverse @ gradient
            if np.abs(gradient).max() < GRADIENT_MAX:
                break
            steps = 0 if np.vdot(gradient, weights - before) > 0 else steps + 1
            ahead = weights + steps / (steps + 3) * (weights - before)
        fit = Logistic(weights, penalty)
        loss = log_loss(validation_classes, fit.probabilities(validation_features))
        worse = 0 if loss < best_loss else worse + 1
        if loss < best_loss:
            best, best_loss = fit, loss
        if worse == 2:
            break
    if best is None:
        raise DataError("logistic regression has no finite validation loss")
    return best


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def trees(problem: Problem, seed: int = 1) -> np.ndarray:
    """Gradient-boosted trees of LightGBM (Ke et al. 2017), as many as validation finds best."""
    result = np.empty((*problem.classes.shape, CLASSES), np.float32)
    for column in range(len(problem.horizons)):
        result[:, column] = fit_trees(problem, column, seed).predict(problem.data.features)
    return result


def fit_trees(problem: Problem, column: int, seed: int = 1):
    """The booster of one horizon, on features as they are; `martlet.lightgbm_export.to_onnx` makes a file of it."""
    try:
        import lightgbm
    except ImportError as error:
        raise DataError("gradient-boosted trees need LightGBM: pip install 'martlet[train]'") from error
    parts = [(problem.data.features[chosen[:, column]], problem.classes[chosen[:, column], column])
             for chosen in (problem.train, problem.validation)]
    training = lightgbm.Dataset(*parts[0])
    return lightgbm.train(
        {**TREE_SETTINGS, "seed": seed}, training, TREES_MAX, valid_sets=[training.create_valid(*parts[1])],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)])


def prior(problem: Problem, column: int, is_mirrored: bool = False) -> np.ndarray:
    """[3]: the shares of a horizon's classes in training; down and up alike where the market is mirrored."""
    found = shares(problem.classes[problem.train[:, column], column])
    return (found + found[::-1]) / 2 if is_mirrored else found


def tilted(problem: Problem, probabilities: np.ndarray, is_mirrored: bool = False) -> tuple[np.ndarray, list[float]]:
    """Probabilities p / prior^e of [N, H, 3], summing to 1 again, and e for each horizon.

    A predictor that is unsure takes the commoner class, which macro F1 punishes. e = 1 makes all classes equally
    common; the e of `TILTS` with the best macro F1 on validation is chosen. What is tilted is no longer calibrated.
    """
    result, chosen = np.array(probabilities, np.float32), []
    for column in range(len(problem.horizons)):
        common = np.maximum(prior(problem, column, is_mirrored), 1e-6)
        rows = problem.validation[:, column]
        expected = problem.classes[rows, column]

        def tilt(values, exponent):
            return values / common**exponent

        scores = [macro_f1(confusion(expected, labels.most_probable(tilt(result[rows, column], exponent))))
                  for exponent in TILTS]
        chosen.append(TILTS[int(np.argmax(scores))])
        values = tilt(result[:, column], chosen[-1])
        result[:, column] = values / values.sum(axis=1, keepdims=True)
    return result, chosen
