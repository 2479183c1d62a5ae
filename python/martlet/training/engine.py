"""What the Martlet engine says of a model file: time, kernels, checks, and metrics over recorded feeds."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

#: No command here takes longer, or it hangs.
TIMEOUT_SECONDS = 1_800
#: The kernels of the fast integer path have this in their names.
FAST_KERNEL = "sevenBit"


class EngineError(RuntimeError):
    """The program is missing or refused something; the text says what."""


def program() -> str:
    """The built program: the environment's MARTLET_BIN, or `martlet` on the path."""
    found = os.environ.get("MARTLET_BIN") or shutil.which("martlet")
    if not found:
        raise EngineError("the program martlet is not found; build it with `make build` and set MARTLET_BIN to it")
    return found


def command(*arguments, accepted: tuple[int, ...] = (0,)) -> dict:
    """The JSON object that a command prints."""
    words = [program(), *map(str, arguments), "--json"]
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{' '.join(words)}: {error}") from error
    if result.returncode not in accepted:
        raise EngineError(f"{' '.join(words)}: exit code {result.returncode}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def bench(path: pathlib.Path, steps: int = 20_000) -> dict:
    """Times in ns (`p50_ns`, `critical_path_p50_ns` …), density and multiply-adds of `martlet model bench`."""
    return command("model", "bench", path, "--steps", steps)


def inspect(path: pathlib.Path) -> dict:
    """Layers with kernels and block densities of `martlet model inspect`."""
    return command("model", "inspect", path)


def score(feeds: list[pathlib.Path], model: pathlib.Path, evaluate_from: float | str | None = None) -> dict:
    """Metrics by horizon of `martlet score` over files that are one session."""
    options = [] if evaluate_from is None else ["--evaluate-from", evaluate_from]
    return command("score", *feeds, "--model", model, "--passes", 1, *options)


def verify(path: pathlib.Path, features: np.ndarray | None = None) -> list[dict]:
    """The checks of `martlet model verify`, on raw features [ticks, F] or random ones, beside ONNX Runtime and the
    integer reference of this Python. Raises EngineError for a check that fails."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--onnxruntime", sys.executable]
        if features is not None:
            np.save(pathlib.Path(folder) / "features.npy", np.asarray(features, np.float32))
            options += ["--data", folder]
        checks = command("model", "verify", path, *options, accepted=(0, 65))["checks"]
    failed = [check for check in checks if check["status"] == "failed"]
    if failed:
        raise EngineError(f"{path}: " + "; ".join(f"{check['name']}: {check['detail']}" for check in failed))
    return checks


def frontier_row(path: pathlib.Path, steps: int = 20_000) -> dict:
    """What a frontier table says of a file: `p50_ns`, `p99_ns`, `critical_path_p50_ns`, `bytes`, `density`,
    `precision`, `macs_executed`, whether all integer products are on the fast path, and the kernels with their block
    densities."""
    times, plan = bench(path, steps), inspect(path)
    layers = [layer for layer in plan["layers"] if layer["kernel"]]
    integer = [layer for layer in layers if layer["precision"] == "int8"]
    return {
        "file": path.name, "critical_path_p50_ns": times.get("critical_path_p50_ns", times["p50_ns"]),
        **{key: times[key] for key in ("p50_ns", "p99_ns", "density", "precision", "macs", "macs_executed")},
        "bytes": path.stat().st_size,
        "is_fast": all(FAST_KERNEL in layer["kernel"] for layer in integer),
        "layers": [{key: layer[key] for key in ("name", "kernel", "block_density", "precision")} for layer in layers]}
