"""Whether ONNX's checker takes models and ONNX Runtime computes the same with them, for tests of editing.

    same_models.py FOLDER     compares each NAME.onnx with NAME.edited.onnx, both on the same random inputs

Prints a line for each pair, "NAME same" or "NAME" and what differs, and at the end "done".
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime


def outputs(path: pathlib.Path, seed: int) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(seed)
    inputs = {item.name: random.normal(0, 1, item.shape).astype(np.float32) for item in session.get_inputs()}
    return session.run(None, inputs)


def difference(first: pathlib.Path, second: pathlib.Path) -> str:
    try:
        onnx.checker.check_model(onnx.load(second), full_check=True)
    except onnx.checker.ValidationError as error:
        return str(error).splitlines()[0]
    pairs = zip(outputs(first, 1), outputs(second, 1), strict=True)
    return "same" if all(np.array_equal(*pair) for pair in pairs) else "other outputs"


if __name__ == "__main__":
    for file in sorted(pathlib.Path(sys.argv[1]).glob("*.edited.onnx")):
        name = file.name.removesuffix(".edited.onnx")
        print(name, difference(file.with_name(f"{name}.onnx"), file), flush=True)
    print("done", flush=True)
