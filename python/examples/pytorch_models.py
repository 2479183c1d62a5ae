"""Models in plain torch.nn for Martlet: each is trained a little on synthetic ticks, exported and compared with ONNX Runtime.

    python python/examples/pytorch_models.py --out DIR [--small] [--only NAME ...]

`--small` writes the files that Tests/InferenceTests/Golden/pytorch holds; without it each model is written once per exporter
and operator set, DeepLOB and BiN-C(TABL) at their published sizes. A module takes features [batch, window, F], then its
states, and gives probabilities [batch, horizons, 3], other outputs, then the next states: see martlet/pytorch_export.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import pathlib
import tempfile
import zlib
from typing import Callable

import numpy as np
import onnx
import torch
from onnxruntime import quantization
from torch import nn
from torch.nn import functional

from martlet import pytorch_export
from martlet.pytorch_export import horizon


class Head(nn.Module):
    """The last layer: probabilities of each horizon from a vector."""

    def __init__(self, inputs, horizons=1):
        super().__init__()
        self.linear, self.horizons = nn.Linear(inputs, 3 * horizons), horizons

    def forward(self, value):
        return torch.softmax(self.linear(value).unflatten(1, (self.horizons, 3)), -1)


class MLP(nn.Module):
    """Batch-norm and GELU, and every output that a model may have."""

    def __init__(self, features, units, horizons):
        super().__init__()
        self.register_buffer("mean", torch.full((features,), 0.1))
        self.register_buffer("deviation", torch.full((features,), 1.3))
        self.hidden = nn.Sequential(
            nn.Linear(features, units), nn.BatchNorm1d(units), nn.GELU(),
            nn.Linear(units, units), nn.BatchNorm1d(units), nn.GELU(approximate="tanh"))
        self.head, self.expected = Head(units, horizons), nn.Linear(units, horizons)
        self.volatility, self.losses = nn.Linear(units, horizons), nn.Linear(units, 4 * horizons)
        self.trend, self.position = nn.Linear(units, 3), nn.Linear(units, 1)

    def forward(self, features):
        value = self.hidden(((features - self.mean) / self.deviation)[:, 0])
        risk, shortfall = functional.softplus(self.losses(value)).unflatten(1, (-1, 4)).chunk(2, -1)
        return (self.head(value), self.expected(value), functional.softplus(self.volatility(value)), risk, risk + shortfall,
                torch.softmax(self.trend(value), -1), torch.tanh(self.position(value)))


class LSTMStep(nn.Module):
    """nn.LSTM, one tick at a time: `hidden` and `cell` go round."""

    def __init__(self, features, units, layers):
        super().__init__()
        self.lstm, self.head = nn.LSTM(features, units, layers, batch_first=True), Head(units, 2)

    def forward(self, features, hidden, cell):
        value, (hidden, cell) = self.lstm(features, (hidden, cell))
        return self.head(value[:, -1]), hidden, cell


class GRUCellStep(nn.Module):
    """nn.GRUCell, whose gates exporters write one by one."""

    def __init__(self, features, units):
        super().__init__()
        self.norm, self.cell, self.head = nn.LayerNorm(features), nn.GRUCell(features, units), Head(units)

    def forward(self, features, hidden):
        hidden = self.cell(self.norm(features[:, 0]), hidden)
        return self.head(hidden), hidden


class ConvolutionStep(nn.Module):
    """A causal convolution that keeps what it read before as a state."""

    def __init__(self, features, channels, taps, dilation):
        super().__init__()
        self.first, self.head = nn.Conv1d(features, channels, taps, dilation=dilation), Head(channels)

    def forward(self, features, past):
        line = torch.cat([past, features.transpose(1, 2)], 2)
        return self.head(torch.relu(self.first(line))[:, :, -1]), line[:, :, 1:]


class GRUWindow(nn.Module):
    """nn.GRU over a window, from zeros."""

    def __init__(self, features, units, layers=1, is_bidirectional=False):
        super().__init__()
        self.gru = nn.GRU(features, units, layers, batch_first=True, bidirectional=is_bidirectional)
        self.head = Head(units * (2 if is_bidirectional else 1))

    def forward(self, features):
        return self.head(self.gru(features)[0][:, -1])


class TCN(nn.Module):
    """Bai, Kolter and Koltun 2018: causal dilated convolutions, two in a block, with a residual around them."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, taps, dilation):
            super().__init__()
            self.past = (taps - 1) * dilation
            normed = nn.utils.parametrizations.weight_norm
            self.first = normed(nn.Conv1d(inputs, outputs, taps, dilation=dilation))
            self.second = normed(nn.Conv1d(outputs, outputs, taps, dilation=dilation))
            self.short = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

        def forward(self, value):
            line = torch.relu(self.first(functional.pad(value, (self.past, 0))))
            line = torch.relu(self.second(functional.pad(line, (self.past, 0))))
            return torch.relu(line + self.short(value))

    def __init__(self, features, channels, taps, layers):
        super().__init__()
        sizes = [features] + [channels] * layers
        self.blocks = nn.Sequential(
            *(self.Block(a, b, taps, 2**layer) for layer, (a, b) in enumerate(zip(sizes, sizes[1:]))))
        self.head = Head(channels)

    def forward(self, features):
        return self.head(self.blocks(features.transpose(1, 2))[:, :, -1])


class DeepLOB(nn.Module):
    """Zhang, Zohren and Roberts 2019, for ten levels of price and size on two sides: F = 40."""

    def __init__(self, channels=32, inception=64, units=64):
        super().__init__()

        def convolution(inputs, outputs, kernel, stride=(1, 1), padding=0):
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.LeakyReLU(0.01), nn.BatchNorm2d(outputs))

        blocks, inputs = [], 1
        for kernel, stride in (((1, 2), (1, 2)), ((1, 2), (1, 2)), ((1, 10), (1, 1))):
            blocks += [convolution(inputs, channels, kernel, stride)]
            blocks += [convolution(channels, channels, (4, 1)) for _ in range(2)]
            inputs = channels
        self.levels = nn.Sequential(*blocks)
        self.three = nn.Sequential(
            convolution(channels, inception, (1, 1)), convolution(inception, inception, (3, 1), padding=(1, 0)))
        self.five = nn.Sequential(
            convolution(channels, inception, (1, 1)), convolution(inception, inception, (5, 1), padding=(2, 0)))
        self.pooled = nn.Sequential(nn.MaxPool2d((3, 1), 1, (1, 0)), convolution(channels, inception, (1, 1)))
        self.lstm, self.head = nn.LSTM(3 * inception, units, batch_first=True), Head(units)

    def forward(self, features):
        value = self.levels(features.unsqueeze(1))
        value = torch.cat([self.three(value), self.five(value), self.pooled(value)], 1)
        return self.head(self.lstm(value.squeeze(3).transpose(1, 2))[0][:, -1])


class BilinearNormalisation(nn.Module):
    """BiN (Tran, Kanniainen, Gabbouj and Iosifidis 2021) of [features, ticks]: along each axis, then mixed."""

    def __init__(self, features, ticks):
        super().__init__()
        self.scales = nn.ParameterList([torch.ones(features, 1), torch.ones(1, ticks)])
        self.offsets = nn.ParameterList([torch.zeros(features, 1), torch.zeros(1, ticks)])
        self.mix = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, value):
        total = 0
        for index, axis in enumerate((2, 1)):
            deviation = value.std(axis, keepdim=True).clamp(min=1e-4)
            part = (value - value.mean(axis, keepdim=True)) / deviation
            total = total + self.mix[index] * (part * self.scales[index] + self.offsets[index])
        return total


class BiNCTABL(nn.Module):
    """BiN-C(TABL): two bilinear layers, then one with temporal attention (Tran et al. 2019)."""

    def __init__(self, features=40, ticks=10, sizes=((60, 10), (120, 5))):
        super().__init__()
        self.normalisation = BilinearNormalisation(features, ticks)
        self.left, self.right, self.bias = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        rows = features
        for outputs, steps in (*sizes, (3, 1)):
            self.left.append(torch.randn(outputs, rows) / rows**0.5)
            self.right.append(torch.randn(ticks, steps) / ticks**0.5)
            self.bias.append(torch.zeros(outputs, steps))
            rows, last_ticks, ticks = outputs, ticks, steps
        self.attention = nn.Parameter(torch.full((last_ticks, last_ticks), 1 / last_ticks))
        self.share = nn.Parameter(torch.tensor([0.5]))
        self.register_buffer("diagonal", torch.eye(last_ticks))

    def forward(self, features):
        value = self.normalisation(features.transpose(1, 2))
        for left, right, bias in list(zip(self.left, self.right, self.bias))[:-1]:
            value = torch.relu(left @ value @ right + bias)
        value = self.left[-1] @ value
        # Each tick weighs itself the same, whatever was learned.
        weights = self.attention * (1 - self.diagonal) + self.diagonal / len(self.diagonal)
        share = self.share.clamp(0, 1)
        value = share * value + (1 - share) * value * torch.softmax(value @ weights, -1)
        return torch.softmax((value @ self.right[-1] + self.bias[-1]).transpose(1, 2), -1)


class Transformer(nn.Module):
    """One encoder layer over a window, with learned positions; the last tick attends to all."""

    def __init__(self, features, window, units, heads, **options):
        super().__init__()
        self.enter, self.positions = nn.Linear(features, units), nn.Parameter(torch.randn(1, window, units) * 0.02)
        self.encoder = nn.TransformerEncoderLayer(units, heads, 2 * units, 0.1, batch_first=True, **options)
        self.head = Head(units)

    def forward(self, features):
        return self.head(self.encoder(self.enter(features) + self.positions)[:, -1])


class ReLUs(nn.Module):
    """A perceptron that quantises well."""

    def __init__(self, features, units):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(features, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU())
        self.head = Head(units)

    def forward(self, features):
        return self.head(self.hidden(features[:, 0]))


class FakeQuantised(nn.Module):
    """The same, trained with the rounding of 8-bit activations and weights in place."""

    def __init__(self, features, units):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(features, units), nn.Linear(units, units), Head(units)

    @staticmethod
    def layer(linear, value, scale, zero):
        value = torch.fake_quantize_per_tensor_affine(value, scale, zero, 0, 255)
        # Rounded to seven bits and a half: no sum of four products of 8-bit numbers is then too large for any machine.
        weight = torch.fake_quantize_per_tensor_affine(linear.weight, 1 / 64, 0, -128, 127)
        return torch.relu(functional.linear(value, weight, linear.bias))

    def forward(self, features):
        value = self.layer(self.first, features[:, 0], 8 / 256, 128)
        return self.head(self.layer(self.second, value, 6 / 256, 0))


@dataclasses.dataclass(frozen=True)
class Example:
    """A model of the list: how to make it, small and at its real size, and the arguments of its export."""

    small: Callable[[], nn.Module]
    features: int
    window: int = 1
    real: Callable[[], nn.Module] | None = None
    #: Ticks of the window at the real size.
    real_window: int | None = None
    states: dict = dataclasses.field(default_factory=dict)
    outputs: tuple = ("probabilities",)
    horizons: int = 1
    is_quantised_after: bool = False
    #: Operator sets that can hold the model in operators that Martlet runs.
    opsets: range = range(13, 28)


#: Exporter and operator set; the small files are of the first.
FORMS = (("dynamo", 18), ("dynamo", 20), ("dynamo", 23), ("torchscript", 13), ("torchscript", 17))
#: Torch writes attention from 14 on, and as one operator, which Martlet does not run, from 23 on.
ATTENTION_OPSETS = range(14, 23)

EXAMPLES = {
    "mlp": Example(lambda: MLP(10, 24, 2), 10, horizons=2, outputs=pytorch_export.OUTPUTS),
    "lstm_step": Example(
        lambda: LSTMStep(9, 18, 2), 9, horizons=2, states={"hidden": [2, 1, 18], "cell": [2, 1, 18]}),
    "gru_cell_step": Example(lambda: GRUCellStep(9, 20), 9, states={"hidden": [1, 20]}),
    "convolution_step": Example(lambda: ConvolutionStep(7, 20, 3, 4), 7, states={"past": [1, 7, 8]}),
    "gru_window": Example(lambda: GRUWindow(8, 20, 2), 8, window=12),
    "gru_both_ways": Example(lambda: GRUWindow(6, 12, is_bidirectional=True), 6, window=9),
    "tcn": Example(
        lambda: TCN(8, 16, 3, 2), 8, window=20, real=lambda: TCN(40, 32, 3, 4), real_window=80),
    "deeplob": Example(
        lambda: DeepLOB(6, 8, 10), 40, window=24, real=DeepLOB, real_window=100),
    "binctabl": Example(
        lambda: BiNCTABL(20, 10, ((24, 10), (36, 5))), 20, window=10, real=lambda: BiNCTABL(40, 10), real_window=10),
    "transformer": Example(lambda: Transformer(8, 12, 16, 2, activation="gelu"), 8, window=12, opsets=ATTENTION_OPSETS),
    "transformer_first_norm": Example(lambda: Transformer(8, 12, 16, 4, norm_first=True), 8, window=12, opsets=ATTENTION_OPSETS),
    "mlp_quantised": Example(lambda: ReLUs(12, 32), 12, is_quantised_after=True),
    "tcn_quantised": Example(lambda: TCN(8, 16, 3, 1), 8, window=8, is_quantised_after=True),
    "mlp_fake_quantised": Example(lambda: FakeQuantised(12, 32), 12),
}


def synthetic(generator: torch.Generator, features: int, window: int, count: int):
    """Windows of slow features, and the class of the next move, which the newest two ticks decide with some noise."""
    line = torch.randn(count, window + 1, features, generator=generator)
    for tick in range(1, window + 1):
        line[:, tick] = 0.9 * line[:, tick - 1] + 0.436 * line[:, tick]
    drift = line[:, -1, 0] + 0.5 * (line[:, -1, 1] - line[:, -2, 1]) + 0.2 * torch.randn(count, generator=generator)
    return line[:, 1:], (drift > 0.4).long() - (drift < -0.4).long() + 1


def train(module: nn.Module, example: Example, steps: int, generator: torch.Generator) -> tuple[float, float]:
    """Some steps of Adam; the loss of the first and of the last. A step module is unrolled over 16 ticks."""
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    losses = []
    module.train()
    for _ in range(steps):
        ticks, classes = synthetic(generator, example.features, max(example.window, 16 if example.states else 2), 32)
        if example.states:
            values = [torch.zeros(*(32 if extent == 1 else extent for extent in shape)) for shape in example.states.values()]
            for tick in range(ticks.shape[1]):
                probabilities, *values = module(ticks[:, tick:tick + 1], *values)
        else:
            results = module(ticks[:, -example.window:])
            probabilities = results if isinstance(results, torch.Tensor) else results[0]
        loss = functional.nll_loss(torch.log(probabilities[:, 0] + 1e-9), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


class Calibration(quantization.CalibrationDataReader):
    """The windows of some ticks, one by one."""

    def __init__(self, features, window):
        self.windows = iter([features[None, at:at + window] for at in range(len(features) - window + 1)])

    def get_next(self):
        window = next(self.windows, None)
        return None if window is None else {"features": window}


def quantise(path: pathlib.Path, window: int, samples: np.ndarray) -> None:
    """Replaces a float model by its 8-bit form, by ONNX Runtime's static quantisation, and its sample data with it."""
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / path.name
        quantization.quantize_static(
            path, target, Calibration(samples, window), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            reduce_range=True, activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["Gemm", "MatMul", "Conv"], extra_options={"QuantizeBias": False})
        model = onnx.load(target)
    properties = {item.key: item.value for item in onnx.load(path).metadata_props}
    pytorch_export.clean(model)
    onnx.helper.set_model_props(model, properties | {"martlet.precision": '"int8"'})
    pytorch_export.save(model, path, samples)


def write(out: pathlib.Path, name: str, is_small: bool, steps: int) -> None:
    """Trains one model, exports it in each form and compares; says how it went."""
    example = EXAMPLES[name]
    torch.manual_seed(zlib.crc32(name.encode()))
    module = example.small()
    if not is_small and example.real is not None:
        module = example.real()
        example = dataclasses.replace(example, features=40, window=example.real_window)
    first, last = train(module, example, steps, torch.Generator().manual_seed(7))
    print(f"{name}: loss {first:.3f} to {last:.3f}", flush=True)
    samples = pytorch_export.samples_for(example.features, example.window, ticks=24 if is_small else 64)
    forms = [form for form in FORMS if form[1] in example.opsets]
    for exporter, opset in forms[:1] if is_small else forms:
        path = out / (f"{name}.onnx" if is_small else f"{name}.{exporter}{opset}.onnx")
        exported = pytorch_export.export(
            module, path, feature_names=[f"f{number}" for number in range(example.features)], window=example.window,
            horizons=[horizon(10 * (number + 1), 1e-5) for number in range(example.horizons)], name=name,
            warm_up_ticks=example.window - 1, states=example.states, outputs=example.outputs, samples=samples,
            exporter=exporter, opset=opset)
        if example.is_quantised_after:
            quantise(path, example.window, samples)
        size = path.stat().st_size
        print(f"  {path.name}: {size:,} bytes, ONNX Runtime within {exported.difference:.1g} of torch", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the files")
    parser.add_argument("--small", action="store_true", help="the small files of the Swift tests")
    parser.add_argument("--only", nargs="+", choices=EXAMPLES, default=list(EXAMPLES))
    parser.add_argument("--steps", type=int, default=40, help="of training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # ONNX Runtime's quantisation recommends steps that change nothing here.
    logging.getLogger().setLevel(logging.ERROR)
    for name in arguments.only:
        write(arguments.out, name, arguments.small, arguments.steps)


if __name__ == "__main__":
    main()
