"""What an accelerator does for the kit: a step of the teacher's training and the scoring of a day, beside the CPU.

    python python/studies/devices.py

Times the shapes of the studies on JAX's CPU and on the accelerator that JAX finds (`pip install './python[gpu]'` or
`[tpu]`), in turns, with random values of 128 features: a GRU of 128 units behind 128, which streams, and a mixer over
windows of 64 ticks. Prints a Markdown table with medians, ratios and a checksum of what was computed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

# One thread, as in all studies; JAX reads it when it first computes.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import numpy as np

from martlet.training import inference, networks, steps
from martlet.training.batches import Examples, Lanes, Windows
from martlet.training.heads import Heads
from martlet.training.report import markdown_table

FEATURES, HORIZONS = 128, 4
NETWORKS = {"GRU 128": networks.make("gru", units=(128,), dense=(128,)),
            "mixer 64 × 3": networks.make("mixer", channels=64, layers=3, window=64)}


def main(options: argparse.Namespace) -> None:
    found = {"CPU": jax.devices("cpu")[0]}
    if jax.default_backend() != "cpu":
        found[jax.devices()[0].device_kind] = jax.devices()[0]
    else:
        print("JAX finds no accelerator: only the CPU is timed\n")
    random = np.random.default_rng(1)
    features = random.normal(size=(options.ticks, FEATURES)).astype(np.float32)
    classes = random.integers(0, 3, (options.ticks, HORIZONS))
    reset = np.arange(options.ticks) == 0
    rows = [["network", "what", "device", "ms, median", "of the CPU's", "checksum"]]
    for name, network in NETWORKS.items():
        jobs = {device: _jobs(network, features, classes, reset, place, options) for device, place in found.items()}
        for what in ("a training step", f"scoring {options.ticks:,} ticks"):
            times: dict[str, list[float]] = {device: [] for device in found}
            sums = {}
            for _ in range(options.rounds):
                for device, place in found.items():
                    with jax.default_device(place):
                        start = time.perf_counter()
                        sums[device] = jobs[device][what]()
                        times[device].append(time.perf_counter() - start)
            medians = {device: statistics.median(values) for device, values in times.items()}
            rows += [[name, what, device, f"{1e3 * median:,.2f}", f"{median / medians['CPU']:.3f}",
                      f"{sums[device]:.6f}"] for device, median in medians.items()]
    print(markdown_table(rows))


def _jobs(network, features, classes, reset, place, options):
    """By name, what computes on a device and gives a number of it; compiled and run once before."""
    with jax.default_device(place):
        heads = Heads(HORIZONS)
        part = {"classes": np.ones(classes.shape)}
        examples = Examples(features, reset, {"classes": classes}, part, part)
        batches = (Lanes(examples, ("classes",), 96, 50, 0) if network.is_stream else
                   Windows(examples, ("classes",), network.window, 128, None))
        optimization = steps.Optimization(1e-3, 1e-2, 0.02, 1.0, 1_000)
        compiled = steps.compiled(network, heads, None, None, optimization, None)
        weights = steps.compiled_initial(network, heads, None, None, FEATURES, 0)(jax.random.key(1))
        state = network.start(96, FEATURES) if network.is_stream else {}
        optimizer = optimization.optimizer().init(weights)
        generator = np.random.default_rng(1)
        list(batches.burn_in(generator))
        index = next(iter(batches.epoch(generator)))

        def step():
            result = compiled.update(weights, {}, optimizer, batches.arrays, state, index, jax.random.key(2))
            return float(result[3])

        def score():
            outputs = inference.outputs(network, heads, weights, features, reset)
            return float(np.nanmean(outputs["probabilities"][:, 0, 0]))
        jobs = {"a training step": step, f"scoring {options.ticks:,} ticks": score}
        for job in jobs.values():
            job()
    return jobs


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=100_000, metavar="N", help="of the day (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(default: %(default)s)")
    return parser


if __name__ == "__main__":
    main(make_parser().parse_args())
