"""What the Martlet engine says of a model file: time, kernels, checks, and metrics over recorded feeds."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

#: No command here takes longer, or it hangs.
TIMEOUT_SECONDS = 1_800
#: Where `make build` puts the program, from the repository's root.
BUILT = ".build/release/martlet"
#: The kernels of the fast integer path have this in their names.
FAST_KERNEL = "sevenBit"


class EngineError(RuntimeError):
    """The program is missing or refused something; the text says what."""


def program() -> str:
    """The built program: the environment's MARTLET_BIN, what was built here, or `martlet` on the path."""
    given = os.environ.get("MARTLET_BIN")
    if given and not shutil.which(given):
        raise EngineError(f"MARTLET_BIN (or --martlet) is {given}, which is no program; `make build` makes {BUILT}")
    found = given or shutil.which(BUILT) or shutil.which("martlet")
    if not found:
        raise EngineError(f"the program martlet is not found; `make build` makes it as {BUILT}, where it is found from "
                          "the repository's root; or name it with --martlet or in the environment's MARTLET_BIN")
    return found


def run(*arguments, accepted: tuple[int, ...] = (0,)) -> str:
    """What a command prints."""
    words = [program(), *map(str, arguments)]
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{' '.join(words)}: {error}") from error
    if result.returncode not in accepted:
        raise EngineError(f"{' '.join(words)}: exit code {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def command(*arguments, accepted: tuple[int, ...] = (0,)) -> dict:
    """The JSON object that a command prints."""
    return json.loads(run(*arguments, "--json", accepted=accepted))


def convert(format: str, inputs: list[pathlib.Path], out: pathlib.Path, sizes: Sequence[str] = ()) -> dict:
    """Recorded data of another format as one DBN file; the report of what was superseded or missing."""
    return command("convert", "--from", format, *inputs, "--out", out, *_sizes(sizes))


def features(feeds: list[pathlib.Path], out: pathlib.Path, sizes: Sequence[str] = ()) -> None:
    """The features of feeds that are one session, as `training.data.Data` reads them."""
    run("features", *feeds, "--out", out, *_sizes(sizes))


def _sizes(sizes):
    return [word for size in sizes for word in ("--instrument", size)]


def bench(path: pathlib.Path, steps: int = 20_000) -> dict:
    """Times in ns (`p50_ns`, `critical_path_p50_ns` …), density and multiply-adds of `martlet model bench`."""
    return command("model", "bench", path, "--steps", steps)


def inspect(path: pathlib.Path) -> dict:
    """Layers with kernels and block densities of `martlet model inspect`."""
    return command("model", "inspect", path)


def score(feeds: list[pathlib.Path], model: pathlib.Path, evaluate_from: float | int | str | None = None,
          sizes: Sequence[str] = ()) -> dict:
    """Metrics by horizon of `martlet score` over files that are one session; an integer is a time in ns."""
    options = [] if evaluate_from is None else ["--evaluate-from", evaluate_from]
    return command("score", *feeds, "--model", model, "--passes", 1, *options, *_sizes(sizes))


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
    """What a frontier table says of a file: `p50_ns`, `p99_ns`, `critical_path_p50_ns`, `bytes`, `precision`,
    `macs_executed`, the shares of weights (`density`) and of the kernels' blocks (`block_density`, by multiply-adds)
    that are not zero, whether all integer products are on the fast path, and the kernels with their block densities."""
    times, plan = bench(path, steps), inspect(path)
    layers = [layer for layer in plan["layers"] if layer["kernel"]]
    integer = [layer for layer in layers if layer["precision"] == "int8"]
    macs = sum(layer["macs"] for layer in layers)
    return {
        "file": path.name, "critical_path_p50_ns": times.get("critical_path_p50_ns", times["p50_ns"]),
        **{key: times[key] for key in ("p50_ns", "p99_ns", "density", "precision", "macs", "macs_executed")},
        "block_density": sum(layer["macs"] * layer["block_density"] for layer in layers) / macs if macs else 1.0,
        "bytes": path.stat().st_size, "machine": times["machine"],
        "is_fast": all(FAST_KERNEL in layer["kernel"] for layer in integer),
        "layers": [{key: layer[key] for key in ("name", "kernel", "block_density", "precision")} for layer in layers]}
