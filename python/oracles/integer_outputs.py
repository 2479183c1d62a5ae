"""What the integer reference says of quantised models, for tests of the engine. Files of float32 only.

    integer_outputs.py bench DIR            makes the int8 models of the speed measurements
    integer_outputs.py run MODEL FEATURES   steps a model over the rows of a file

For each model it writes NAME.onnx and NAME.features.f32 (as given in the second form) and NAME.probabilities.f32, and prints
NAME, the number of features and the number of probabilities; at the end "done".
"""

import pathlib
import sys

import numpy as np
import onnx
from martlet import bench_models, integer_reference

TICKS = 60


def write(path: pathlib.Path, model: onnx.ModelProto, features: np.ndarray):
    probabilities = integer_reference.run(model, features)["probabilities"]
    probabilities.astype("<f4").tofile(path.with_suffix(".probabilities.f32"))
    print(path.stem, features.shape[1], probabilities[0].size, flush=True)


def bench(folder: pathlib.Path):
    for name, (_, window, variants, _, _) in bench_models.MODELS.items():
        for variant in variants:
            # A window would be computed anew for each tick, in minutes.
            if not variant.is_integer or window > 1:
                continue
            net, _ = bench_models.make(name, variant, 1)
            path = folder / f"{name}-{variant.name}.onnx"
            onnx.save(net.model(), path)
            features = bench_models.ticks(np.random.default_rng(4), TICKS, net.features)
            features.astype("<f4").tofile(path.with_suffix(".features.f32"))
            write(path, net.model(), features)


def run(path: pathlib.Path, features: pathlib.Path):
    model = onnx.load(path)
    width = next(value for value in model.graph.input if value.name == "features").type.tensor_type.shape.dim[2].dim_value
    write(path, model, np.fromfile(features, "<f4").reshape(-1, width))


if __name__ == "__main__":
    if sys.argv[1] == "bench":
        bench(pathlib.Path(sys.argv[2]))
    else:
        run(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    print("done", flush=True)
