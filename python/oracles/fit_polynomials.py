"""Fits the polynomials of Sources/Features/ElementaryFunctions.swift and of Sources/Inference/Functions*.swift, and measures
the error of the former as float32 functions; the tests of Inference measure the latter.

Minimax fits by Lawson's algorithm: least squares on Chebyshev nodes, reweighted by the error until it is level.
Usage: fit_polynomials.py
"""

import math
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from martlet import features  # noqa: E402


def lawson(function, low, high, degree, weight, rounds=200):
    """Coefficients, lowest power first, and the largest weighted error."""
    x = np.cos(np.pi * (np.arange(4000) + 0.5) / 4000) * (high - low) / 2 + (low + high) / 2
    powers = np.vander(x, degree + 1, increasing=True)
    y, w = function(x), weight(x)
    importance = np.full(len(x), 1 / len(x))
    for _ in range(rounds):
        root = np.sqrt(importance) * w
        coefficients = np.linalg.lstsq(powers * root[:, None], y * root, rcond=None)[0]
        error = np.abs((powers @ coefficients - y) * w)
        importance = importance * error
        importance /= importance.sum()
    return coefficients, error.max()


def log_remainder(f):
    """(ln(1 + f) - f + f²/2) / f³, by its series near zero."""
    near = np.abs(f) < 0.02
    g = np.where(near, 1, f)
    series = sum((-1) ** (k + 1) * f ** (k - 3) / k for k in range(3, 12))
    return np.where(near, series, (np.log1p(g) - g + g * g / 2) / g**3)


def exp_remainder(r):
    """(exp(r) - 1 - r) / r², by its series near zero."""
    near = np.abs(r) < 0.02
    g = np.where(near, 1, r)
    series = sum(r ** (k - 2) / math.factorial(k) for k in range(2, 10))
    return np.where(near, series, (np.expm1(g) - g) / g**2)


def half_tangent(t):
    """r / tanh(r ln 2 / 2) as a function of t = r²: 2^r is (this + r) / (this - r)."""
    r = np.sqrt(np.maximum(t, 1e-12))
    return r / np.tanh(r * math.log(2) / 2)


def area_tangent_remainder(t):
    """(artanh(s) / s - 1) / s² as a function of t = s², by its series near zero."""
    near = t < 1e-3
    s = np.sqrt(np.where(near, 0.25, t))
    series = sum(t**k / (2 * k + 3) for k in range(8))
    return np.where(near, series, (np.arctanh(s) / s - 1) / s**2)


def error_ratio(t):
    """erf(x) / x as a function of t = x²."""
    x = np.sqrt(np.maximum(t, 1e-12))
    return np.vectorize(math.erf)(x) / x


def scaled_tail(t):
    """erfc(a) exp(a²) as a function of t = 1 / (1 + 0.4 a)."""
    a = (1 / t - 1) / 0.4
    return np.exp(a * a) * np.vectorize(math.erfc)(a)


def show(name, fit):
    """Prints the largest weighted error, then the coefficients rounded to float32, lowest power first."""
    coefficients, error = fit
    print(name, error, [str(np.float32(c)) for c in coefficients])


def fit_inference(half, q, q_error):
    """What FunctionConstants of the engine holds."""
    def steepness(t):
        # Of 2^r to the denominator: 2 r / (A² - r²).
        r = np.sqrt(np.maximum(t, 0))
        return 2 * r / (half_tangent(t) ** 2 - t)
    show("gateA", lawson(half_tangent, 0, 0.25, 1, steepness))
    show("fractionA", lawson(half_tangent, 0, 0.25, 2, steepness))
    show("expC2...", lawson(exp_remainder, -half, half, 4, lambda r: r**2 / np.exp(r)))
    show("logC3...", (q, q_error))
    show("areaC", lawson(area_tangent_remainder, 0, 1 / 9, 3, lambda t: t))
    show("erfC", lawson(error_ratio, 0, 1, 6, lambda t: 1 / error_ratio(t)))
    show("tailC", lawson(scaled_tail, 1 / (1 + 0.4 * 10.7), 1, 9, lambda t: 1 / scaled_tail(t)))


def report(name, function, exact, x):
    """Largest error over `x`, in units in the last place of the exact result."""
    truth = exact(x.astype(np.float64))
    ulp = np.spacing(np.abs(truth).astype(np.float32))
    print(name, "error", np.max(np.abs(function(x) - truth) / ulp), "ulp")


if __name__ == "__main__":
    half = math.log(2) / 2 * 1.001
    q, q_error = lawson(log_remainder, math.sqrt(0.5) - 1, math.sqrt(2) - 1, 7,
                        lambda f: np.abs(f) ** 3 / np.maximum(np.abs(np.log1p(f)), 1e-9))
    p, p_error = lawson(exp_remainder, -half, half, 4, lambda r: r**2 / np.exp(r))
    print("Q", q_error, [str(np.float32(c)) for c in q])
    print("P", p_error, [str(np.float32(c)) for c in p])
    fit_inference(half, q, q_error)
    random = np.random.default_rng(1)
    report("log, 1e-10 to 1e10:", features.log, np.log,
           np.exp(random.uniform(-23, 23, 4_000_000)).astype(np.float32))
    report("log, 0.5 to 2:", features.log, np.log, random.uniform(0.5, 2, 4_000_000).astype(np.float32))
    report("exp, -30 to 0:", features.exp, np.exp,
           (-30 * random.uniform(0, 1, 4_000_000) ** 3).astype(np.float32))
