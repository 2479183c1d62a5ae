"""Exports a torch.nn.Module as a model file by the model contract (docs/MODEL.md), and checks it with ONNX Runtime.

    from martlet.pytorch_export import export, horizon

    export(module, "mine.onnx", feature_names=["spread", "mid_change"], horizons=[horizon(10, 2e-5)], warm_up_ticks=200)

The module's `forward` takes the features [1, window, F] and each state, in order, and gives each output, in order, and then
the next value of each state: of one tick with a window of 1, of the window's last tick otherwise. It is exported in evaluation
mode, for a batch of 1. Only its own softmax makes probabilities of scores: end with one.

    python -m martlet.pytorch_export FILE.py:FUNCTION --out mine.onnx --description description.json [--weights weights.pt]

calls FUNCTION() for the module and reads the arguments of `export` from description.json, by name.

Beside mine.onnx is written what `martlet model verify` reads, the folder mine.data: features.npy [ticks + window - 1, F],
the outputs that ONNX Runtime gave for them, OUTPUT.npy [ticks, ...], and the last states, state_NAME_next.npy. Of a
quantised model they are those of the integer reference (martlet/integer_reference.py), to the bit.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import inspect
import io
import json
import logging
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnx.inliner
import onnxscript.optimizer
import torch

from . import bench_models, integer_reference

#: torch's two exporters: the one by torch.export, which needs onnxscript, and the older one by TorchScript.
EXPORTERS = ("dynamo", "torchscript")
#: What both exporters write without converting from another version, and Martlet reads (13 to 27).
OPSET = 18
#: Ticks of the sample data, and how far ONNX Runtime may be from torch, beyond 1 relatively.
SAMPLE_TICKS, TOLERANCE = 64, 1e-5
OUTPUTS = ("probabilities", "expected_return", "volatility", "value_at_risk", "expected_shortfall", "trend", "position")


class ExportError(ValueError):
    """The module cannot become a model file; the text says why."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written, and how far ONNX Runtime was from torch over the sample: |a - b| / max(1, |b|) at most."""

    path: pathlib.Path
    difference: float


def horizon(length: int, alpha: float, unit: str = "ticks") -> dict:
    """One horizon of labels `smoothed-mid`: its length, and the return beyond which a label is up or down."""
    return {"length": length, "unit": unit, "label": "smoothed-mid", "alpha": alpha}


def export(
        module: torch.nn.Module, path, *, feature_names: list[str], horizons: list[dict], warm_up_ticks: int,
        window: int = 1, states: dict[str, list[int]] | None = None, outputs=("probabilities",), samples=None,
        feature_set_version: int = 1, exporter: str = "dynamo", opset: int = OPSET, tolerance: float = TOLERANCE,
        name: str | None = None, precision: str = "fp32", **metadata) -> Exported:
    """Writes `path` and its folder of sample data.

    - window: ticks that `forward` sees. Martlet keeps the last ones itself; before it has seen so many, older ones are zeros.
    - states: shape of each state by name, e.g. {"h": [1, 1, 64]}, in the order of `forward`.
    - outputs: names of what `forward` gives before the next states, in order.
    - samples: features [ticks, F] such as the model will see, to compare with; the default, of mean 0 and variance 1, does
      only for a module that takes features of about that size.
    - metadata: other keys of docs/MODEL.md without their prefix, e.g. training_data_sha256, metrics.
    """
    path, states = pathlib.Path(path), dict(states or {})
    samples = samples_for(len(feature_names), window) if samples is None else np.asarray(samples, np.float32)
    if samples.ndim != 2 or samples.shape[1] != len(feature_names) or len(samples) < window:
        raise ExportError(f"samples are {list(samples.shape)}, expected [{window} or more, {len(feature_names)}]")
    unknown = [output for output in outputs if output not in OUTPUTS]
    if unknown or "probabilities" not in outputs:
        raise ExportError(f"outputs are {list(outputs)}: 'probabilities' and others of {', '.join(OUTPUTS)}")
    module = module.eval()
    arguments = (torch.zeros(1, window, len(feature_names)), *(torch.zeros(*shape) for shape in states.values()))
    names = ["features", *(f"state_{state}" for state in states)]
    model = to_onnx(
        module, arguments, names, [*outputs, *(f"{state}_next" for state in names[1:])], exporter=exporter, opset=opset)
    set_metadata(model, {
        "contract_version": 1, "feature_set_version": feature_set_version, "feature_names": list(feature_names),
        "horizons": list(horizons), "warm_up_ticks": warm_up_ticks, "name": name or path.stem, "precision": precision,
        **metadata})
    check_shapes(model, len(horizons))
    results = save(model, path, samples)
    difference = compare(results, run_torch(module, samples, window, outputs, states))
    if not difference <= tolerance:
        raise ExportError(f"{path}: ONNX Runtime differs from torch by {difference:.2g}, more than {tolerance:g}")
    return Exported(path, difference)


def to_onnx(module, arguments: tuple, inputs: list[str], outputs: list[str], *, exporter="dynamo", opset=OPSET):
    """The module as an ONNX model of fixed shapes, checked, with nothing in it of the machine that exported it."""
    if exporter not in EXPORTERS:
        raise ExportError(f"exporter '{exporter}', expected {' or '.join(EXPORTERS)}")
    buffer = io.BytesIO()
    with _exporting(), torch.no_grad():
        if exporter == "dynamo":
            program = torch.onnx.export(
                module, arguments, input_names=inputs, output_names=outputs, opset_version=opset, dynamo=True,
                external_data=False, verbose=False)
            program.save(buffer, external_data=False)
        else:
            torch.onnx.export(
                module, arguments, buffer, input_names=inputs, output_names=outputs, opset_version=opset, dynamo=False)
        model = onnx.load_from_string(buffer.getvalue())
        if exporter == "torchscript":
            # The newer exporter folds what depends on constants alone by itself.
            model = onnxscript.optimizer.optimize(model)
    clean(model)
    simplify_softplus(model.graph)
    onnx.checker.check_model(model, full_check=True)
    found = [value.name for value in model.graph.input]
    if found != inputs:
        raise ExportError(f"the graph's inputs are {found}, expected {inputs}: is an argument of forward not used?")
    return model


@contextlib.contextmanager
def _exporting():
    """Without what the exporters print of themselves, of packages that they do not need and of deprecations inside torch.

    And without the fused encoder layer of torch's own inference, which has no form in ONNX.
    """
    has_fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    loggers = [logging.getLogger(name) for name in ("", "torch.onnx", "torch.onnx._internal.exporter", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(has_fast_path)
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def clean(model: onnx.ModelProto) -> None:
    """Inlines functions, and takes out stack traces, which name files of this machine, and shapes that can be inferred."""
    if model.functions:
        model.CopyFrom(onnx.inliner.inline_local_functions(model))
    graph = model.graph
    graph.ClearField("value_info")
    for item in [model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer]:
        item.ClearField("doc_string")
        item.ClearField("metadata_props")


def simplify_softplus(graph: onnx.GraphProto) -> None:
    """Leaves of torch's softplus the operator alone.

    The newer exporter writes Where(Greater(x, 20), x, Softplus(x)), as torch computes it. Beyond 20 both are the same float.
    """
    producers = {output: node for node in graph.node for output in node.output}
    for choice in [node for node in graph.node if node.op_type == "Where"]:
        condition, value, other = choice.input
        greater, softplus = producers.get(condition), producers.get(other)
        operators = [node.op_type if node else "" for node in (greater, softplus)]
        if operators == ["Greater", "Softplus"] and greater.input[0] == softplus.input[0] == value:
            readers = [name for node in graph.node for name in node.input]
            if readers.count(condition) == readers.count(other) == 1:
                softplus.output[0] = choice.output[0]
                graph.node.remove(choice)
                graph.node.remove(greater)


def set_metadata(model: onnx.ModelProto, metadata: dict) -> None:
    onnx.helper.set_model_props(model, {f"martlet.{key}": json.dumps(value) for key, value in sorted(metadata.items())})


def check_shapes(model: onnx.ModelProto, horizons: int) -> None:
    """Refuses what the contract refuses, with words for who wrote the module."""
    expected = {
        "probabilities": [1, horizons, 3], "expected_return": [1, horizons], "volatility": [1, horizons],
        "value_at_risk": [1, horizons, 2], "expected_shortfall": [1, horizons, 2], "trend": [1, 3], "position": [1, 1]}
    graph = model.graph
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
              for value in (*graph.input, *graph.output)}
    expected |= {f"{state}_next": shape for state, shape in shapes.items() if f"{state}_next" in shapes}
    for value in graph.output:
        if shapes[value.name] != expected.get(value.name):
            raise ExportError(f"output '{value.name}' is {shapes[value.name]}, expected {expected.get(value.name)}")


def samples_for(features: int, window: int, ticks: int = SAMPLE_TICKS, seed: int = 1) -> np.ndarray:
    """Features of mean 0 and variance 1 that change slowly: as many rows as give `ticks` outputs."""
    return bench_models.ticks(np.random.default_rng(seed), ticks + window - 1, features)


def save(model: onnx.ModelProto, path, samples: np.ndarray) -> dict[str, np.ndarray]:
    """Writes the file and its folder of sample data; returns the outputs of ONNX Runtime.

    A quantised model's expected outputs are the integer reference's: to the bit, if it has no product of floats, whose sums
    NumPy adds in another order.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    operators = [node.op_type for node in model.graph.node]
    line = {"name": path.stem}
    if "QuantizeLinear" not in operators:
        expected, _ = bench_models.run(model, samples)
        bench_models.write_data(path, samples, expected, {}, line)
        return expected
    reference = integer_reference.IntegerReference(model)
    expected, theirs = bench_models.run(model, samples, reference)
    if reference.integer_products < sum(operator in ("MatMul", "Gemm", "Conv") for operator in operators):
        line["expected"] = "integer reference, float products among its own"
    bench_models.write_data(path, samples, expected, theirs, line)
    return theirs


def run_torch(module, samples: np.ndarray, window: int, outputs, states: dict) -> dict[str, np.ndarray]:
    """The module's own outputs by tick and its last states, the state going round."""
    values, rows = [torch.zeros(*shape) for shape in states.values()], {output: [] for output in outputs}
    with torch.no_grad():
        for tick in range(window, len(samples) + 1):
            results = module(torch.from_numpy(samples[None, tick - window:tick]), *values)
            results = results if isinstance(results, (tuple, list)) else (results,)
            for output, value in zip(outputs, results):
                rows[output].append(value[0].numpy())
            values = list(results[len(rows):])
    last = {f"state_{state}_next": value.numpy() for state, value in zip(states, values)}
    return {output: np.array(value) for output, value in rows.items()} | last


def compare(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest |a - b| / max(1, |b|). What is missing or no number is infinitely far."""
    largest = 0.0
    for name, values in expected.items():
        if name not in found or found[name].shape != values.shape or not np.isfinite(found[name]).all():
            return float("inf")
        largest = max(largest, float((np.abs(found[name] - values) / np.maximum(1, np.abs(values))).max()))
    return largest


def load_module(text: str) -> torch.nn.Module:
    """What FUNCTION() of FILE.py:FUNCTION gives. Runs the file."""
    file, _, function = text.rpartition(":")
    spec = importlib.util.spec_from_file_location(pathlib.Path(file).stem, file) if file else None
    if spec is None or not pathlib.Path(file).is_file():
        raise ExportError(f"'{text}' is not FILE.py:FUNCTION")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return getattr(loaded, function)()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m martlet.pytorch_export", description=__doc__.split("\n\n")[0])
    parser.add_argument("module", metavar="FILE.py:FUNCTION", help="a function without arguments that gives the module")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--description", type=pathlib.Path, required=True, help="JSON: arguments of `export` by name")
    parser.add_argument("--weights", type=pathlib.Path, help="a state_dict that torch.save wrote")
    parser.add_argument("--samples", type=pathlib.Path, help="features [ticks, F], a .npy file")
    parser.add_argument("--exporter", choices=EXPORTERS, default=EXPORTERS[0])
    parser.add_argument("--opset", type=int, default=OPSET)
    arguments = parser.parse_args(argv)
    try:
        description = json.loads(arguments.description.read_text())
        needed = [key for key, item in inspect.signature(export).parameters.items()
                  if item.kind == item.KEYWORD_ONLY and item.default is item.empty and key not in description]
        if needed:
            raise ExportError(f"{arguments.description} lacks {', '.join(needed)}")
        module = load_module(arguments.module)
        if arguments.weights:
            module.load_state_dict(torch.load(arguments.weights, weights_only=True))
        samples = None if arguments.samples is None else np.load(arguments.samples)
        exported = export(
            module, arguments.out, samples=samples, exporter=arguments.exporter, opset=arguments.opset, **description)
    except (ExportError, OSError, json.JSONDecodeError, AttributeError) as error:
        print(f"martlet.pytorch_export: {error}", file=sys.stderr)
        return 1
    print(f"{exported.path}: ONNX Runtime within {exported.difference:.1g} of torch")
    return 0


if __name__ == "__main__":
    sys.exit(main())
