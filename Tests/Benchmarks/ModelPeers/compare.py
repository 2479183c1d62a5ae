#!/usr/bin/env python3
"""Alternates short runs of Martlet's engine and its peers over the models of martlet.bench_models, and prints medians and ratios.

Usage: compare.py MODELS [--martlet COMMAND] [--rounds N] [--milliseconds M] [--core N] [--only NAME ...] [--markdown FILE]
                  [--peers-python PYTHON]

MODELS is a folder that `python -m martlet.bench_models --out MODELS` wrote. COMMAND is run as COMMAND model bench FILE --json and
prints p50_ns, p99_ns, p999_ns, timer_ns, checksum, and critical_path_p50_ns where it differs. ONNX Runtime is the library of
the wheel that this Python has. PYTHON is one with lightgbm and lleaves. With PEER=COMMAND in the environment that program is
run as well; it prints lines NAME p50_ns p99_ns, NAME being a model's name without its variant, or with it.

Every contestant subtracts its timer. Each table cell is the median over the rounds [lowest–highest] in microseconds; a ratio is
peer / Martlet, from the medians. The order turns from round to round, so that a busy neighbour meets all alike.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
COMPILER = os.environ.get("CC", "cc")
#: Graph optimisation level of ONNX Runtime: all.
LEVEL_ALL = "99"
#: Beyond it the peer computed something else. Int8 graphs are allowed more, since ONNX Runtime's own optimisations saturate.
CHECKSUM_TOLERANCE = 1e-3


def machine_line():
    processor = {}
    with open("/proc/cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            processor.setdefault(key.strip(), value.strip())
    model, flags = processor.get("model name", platform.machine()), processor.get("flags", "").split()
    # The peers choose their kernels by these.
    vectors = [name for name in ("avx2", "avx512f", "avx512_vnni") if name in flags]
    with open("/proc/loadavg") as file:
        load = file.read().split()[0]
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    system = f"{platform.system()} {platform.release()}"
    return f"{model} ({' '.join(vectors)}), {os.cpu_count()} CPUs, {system}, {today}, load {load} at start"


def build(folder):
    """The two harnesses, compiled."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ort_bench", "tree_bench"):
        subprocess.run(
            [COMPILER, "-O2", "-std=c11", "-o", folder / name, HERE / f"{name}.c", "-ldl", "-lm"], check=True)
    return folder


def runtime_library():
    """The shared library of the onnxruntime wheel, and its version."""
    import onnxruntime

    libraries = sorted(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))
    if not libraries:
        sys.exit("the onnxruntime wheel has no libonnxruntime.so")
    return libraries[0], importlib.metadata.version("onnxruntime")


def run(command):
    """Standard output, or nothing after a complaint."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        why = result.stderr.strip().splitlines()
        print(f"{command[0]}: {why[-1] if why else result.returncode}", file=sys.stderr)
        return ""
    return result.stdout


LLEAVES = """
import sys, lleaves
model = lleaves.Model(model_file=sys.argv[1])
model.compile(cache=sys.argv[2], raw_score=True)
"""


class TreePeers:
    """LightGBM and lleaves from an environment of their own. What is missing there is left out, and said so."""

    def __init__(self, python, binaries, models, options):
        self.commands, self.versions = {}, []
        text, rows = models / "trees.lightgbm.txt", models / "trees.dense.data" / "features.npy"
        if python is None or not text.exists():
            return
        bench = [binaries / "tree_bench", *options]
        site = run([python, "-c", "import lightgbm; print(lightgbm.__path__[0], lightgbm.__version__)"]).split()
        if site:
            library = pathlib.Path(site[0]) / "lib" / "lib_lightgbm.so"
            self.commands["LightGBM"] = [*bench, "lightgbm", library, text, rows]
            self.versions.append(f"LightGBM {site[1]}")
        else:
            self.versions.append("LightGBM is not installed: left out")
        compiled, shared = binaries / "trees.o", binaries / "trees.so"
        compiled.unlink(missing_ok=True)
        run([python, "-c", LLEAVES, text, compiled])
        if compiled.exists() and subprocess.run([COMPILER, "-shared", "-o", shared, compiled, "-lm"]).returncode == 0:
            self.commands["lleaves"] = [*bench, "lleaves", shared, rows]
            version = run([python, "-c", "import importlib.metadata as m; print(m.version('lleaves'))"]).strip()
            self.versions.append(f"lleaves {version}")
        else:
            self.versions.append("lleaves could not be installed or compile the trees: left out")


class Results:
    """Times in nanoseconds of each (model, contestant): a list of p50, of p99, of p99.9."""

    KEYS = ("p50_ns", "p99_ns", "p999_ns")

    def __init__(self):
        self.times, self.timers, self.warnings = {}, [], set()

    def add(self, model, contestant, times, timer=None):
        lists = self.times.setdefault((model, contestant), {})
        for key, value in times.items():
            lists.setdefault(key, []).append(float(value))
        if timer is not None:
            self.timers.append(float(timer))

    def median(self, model, contestant, key="p50_ns"):
        values = self.times.get((model, contestant), {}).get(key)
        return statistics.median(values) if values else None

    def cell(self, model, contestant, key="p50_ns"):
        values = self.times.get((model, contestant), {}).get(key)
        if not values:
            return "–"
        return f"{digits(statistics.median(values))} [{digits(min(values))}–{digits(max(values))}]"


def digits(nanoseconds):
    """Microseconds with three significant digits."""
    value = nanoseconds / 1000
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def expected_checksum(models, line):
    p = np.load(models / line["file"].replace(".onnx", ".data") / "probabilities.npy")
    return float((p.astype(np.float64) @ [1, 2, 3]).sum())


def run_runtime(results, command, models, line):
    model = f"{line['name']}.{line['variant']}"
    for text in run([*command, models / line["file"]]).splitlines():
        _, p50, p99, p999, timer, _, checksum = text.split()
        results.add(model, "ONNX Runtime", dict(zip(Results.KEYS, (p50, p99, p999))), timer)
        difference = abs(float(checksum) - expected_checksum(models, line)) / line["ticks"]
        if difference > CHECKSUM_TOLERANCE:
            results.warnings.add(f"{model}: ONNX Runtime, fully optimised, is off by {difference:.4f} per tick")


def run_martlet(results, command, models, line):
    text = run([*command, "model", "bench", models / line["file"], "--json"])
    if text:
        values = json.loads(text)
        keys = [*Results.KEYS, "critical_path_p50_ns", "critical_path_p99_ns"]
        times = {key: values[key] for key in keys if values.get(key) is not None}
        model = f"{line['name']}.{line['variant']}"
        results.add(model, "Martlet", times, values.get("timer_ns"))
        difference = abs(values["checksum"] - expected_checksum(models, line)) / line["ticks"]
        if difference > CHECKSUM_TOLERANCE:
            results.warnings.add(f"{model}: Martlet is off by {difference:.4f} per tick")


def run_peer(results, command, lines):
    """A peer's line belongs to each variant of the model, or to the one it names."""
    for text in run(command).splitlines():
        name, p50, p99, *_ = text.split()
        for line in lines:
            model = f"{line['name']}.{line['variant']}"
            if name in (line["name"], model):
                results.add(model, "PEER", {"p50_ns": p50, "p99_ns": p99})


def run_trees(results, trees):
    for contestant, command in trees.commands.items():
        for text in run(command).splitlines():
            _, p50, p99, p999, timer, _, _ = text.split()
            results.add("trees.dense", contestant, dict(zip(Results.KEYS, (p50, p99, p999))), timer)


def measure(options, lines, runtime, trees):
    """All rounds. A round visits the models in turn, and of each all contestants."""
    results, peer = Results(), shlex.split(os.environ.get("PEER", ""))
    martlet = shlex.split(options.martlet or "")
    for turn in range(options.rounds):
        shift = turn % max(len(lines), 1)
        for line in lines[shift:] + lines[:shift]:
            jobs = [lambda: run_runtime(results, runtime, options.models, line)]
            if martlet:
                jobs.append(lambda: run_martlet(results, martlet, options.models, line))
            if line["name"] == "trees":
                jobs.append(lambda: run_trees(results, trees))
            for job in jobs[::-1] if turn % 2 else jobs:
                job()
        if peer:
            run_peer(results, peer, lines)
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return results


def table(results, lines):
    """Rows of text: a heading and one per model."""
    peers = [name for name in ("ONNX Runtime", "PEER", "LightGBM", "lleaves") if any(key[1] == name for key in results.times)]
    has_martlet = any(key[1] == "Martlet" for key in results.times)
    heading = ["model", "multiply-adds"]
    heading += ["Martlet p50", "p99", "critical path p50", "critical path p99"] if has_martlet else []
    for peer in peers:
        heading += [f"{peer} p50", "p99", *(["ratio"] if has_martlet else [])]
    rows = [heading]
    for line in lines:
        model = f"{line['name']}.{line['variant']}"
        row = [model, str(line["macs"])]
        own = results.median(model, "Martlet")

        def shown(contestant, key):
            value = results.median(model, contestant, key)
            return "–" if value is None else digits(value)

        if has_martlet:
            row += [results.cell(model, "Martlet"), shown("Martlet", "p99_ns"),
                    *(results.cell(model, "Martlet", f"critical_path_{key}") for key in ("p50_ns", "p99_ns"))]
        for peer in peers:
            row += [results.cell(model, peer), shown(peer, "p99_ns")]
            theirs = results.median(model, peer)
            if has_martlet:
                row.append(f"{theirs / own:.2f}" if own and theirs else "–")
        rows.append(row)
    return rows


def as_text(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]) for row in rows)


def as_markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--martlet", help="the program to measure")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--milliseconds", type=int, default=200, help="aimed length of one run of a peer")
    parser.add_argument("--core", type=int, default=(os.cpu_count() or 1) - 1, help="CPU that the peers run on")
    parser.add_argument("--only", nargs="+", help="names of models, with or without their variant")
    parser.add_argument("--markdown", type=pathlib.Path, help="file for the table in Markdown")
    parser.add_argument("--peers-python", help="a Python that has lightgbm and lleaves")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(".build/model-peers"), help="folder for programs")
    options = parser.parse_args()
    lines = [
        line for line in json.loads((options.models / "models.json").read_text())
        if not options.only or {line["name"], f"{line['name']}.{line['variant']}"} & set(options.only)]
    machine = machine_line()
    binaries = build(options.build).resolve()
    library, version = runtime_library()
    how = ["--core", str(options.core), "--milliseconds", str(options.milliseconds)]
    trees = TreePeers(options.peers_python, binaries, options.models, how)
    results = measure(options, lines, [binaries / "ort_bench", *how, library, LEVEL_ALL], trees)
    method = [
        machine,
        "; ".join([f"ONNX Runtime {version}, C interface, one thread, all optimisations", *trees.versions]),
        f"{options.rounds} rounds of {options.milliseconds} ms each on CPU {options.core}; microseconds, "
        f"median [lowest–highest] of the rounds; the timer's {statistics.median(results.timers or [0]):.0f} ns are subtracted",
        *sorted(results.warnings)]
    rows = table(results, lines)
    print("\n".join([*method, "", as_text(rows)]))
    if options.markdown:
        options.markdown.write_text("\n\n".join([*method, as_markdown(rows)]) + "\n")


if __name__ == "__main__":
    main()
