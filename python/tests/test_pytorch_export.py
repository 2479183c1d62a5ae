"""The exporter for PyTorch; `make test-pytorch` runs these, for want of torch elsewhere."""

import json

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from martlet import pytorch_export  # noqa: E402
from martlet.pytorch_export import ExportError, export, horizon  # noqa: E402

CONTRACT = {"feature_names": ["a", "b", "c"], "horizons": [horizon(10, 1e-5)], "warm_up_ticks": 4, "exporter": "torchscript"}


class Step(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.leave = torch.nn.GRUCell(3, 5), torch.nn.Linear(5, 3)

    def forward(self, features, hidden):
        hidden = self.cell(features[:, 0], hidden)
        return torch.softmax(self.leave(hidden), -1)[:, None], hidden


class Stateless(torch.nn.Module):
    def __init__(self, shape=(1, 1, 3), volatility=False):
        super().__init__()
        self.leave, self.shape, self.volatility = torch.nn.Linear(3, shape[1] * 3), shape, volatility

    def forward(self, features):
        scores = torch.softmax(self.leave(features[:, -1]).view(self.shape), -1)
        return (scores, torch.nn.functional.softplus(self.leave(features[:, -1])[:, :1])) if self.volatility else scores


@pytest.mark.parametrize("exporter", pytorch_export.EXPORTERS)
def test_a_step_is_exported_with_its_state_metadata_and_data(exporter, tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "step.onnx"
    exported = export(
        Step(), path, states={"h": [1, 5]}, **CONTRACT | {"exporter": exporter}, metrics={"macro_f1": 0.5})
    assert exported.difference < 1e-6
    model = onnx.load(path)
    assert [value.name for value in model.graph.input] == ["features", "state_h"]
    assert [value.name for value in model.graph.output] == ["probabilities", "state_h_next"]
    properties = {item.key: json.loads(item.value) for item in model.metadata_props}
    assert properties["martlet.feature_names"] == ["a", "b", "c"] and properties["martlet.metrics"] == {"macro_f1": 0.5}
    assert b"site-packages" not in path.read_bytes() and b"test_pytorch_export" not in path.read_bytes()
    data = path.with_suffix(".data")
    assert np.load(data / "probabilities.npy").shape == (pytorch_export.SAMPLE_TICKS, 1, 3)
    assert np.load(data / "state_h_next.npy").shape == (1, 5)


def test_a_window_has_an_output_from_its_first_full_window_on(tmp_path):
    export(Stateless(), tmp_path / "window.onnx", window=4, samples=np.ones((10, 3), np.float32), **CONTRACT)
    assert len(np.load(tmp_path / "window.data" / "probabilities.npy")) == 7


def test_softplus_is_one_operator(tmp_path):
    path = tmp_path / "softplus.onnx"
    export(Stateless(volatility=True), path, outputs=("probabilities", "volatility"), **CONTRACT | {"exporter": "dynamo"})
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert "Softplus" in operators and not operators & {"Where", "Greater"}


@pytest.mark.parametrize("change, words", [
    ({"outputs": ("scores",)}, "outputs are"),
    ({"samples": np.zeros((10, 2), np.float32)}, "samples are"),
    ({"window": 4, "samples": np.zeros((3, 3), np.float32)}, "samples are"),
    ({"horizons": [horizon(10, 0), horizon(20, 0)]}, "expected [1, 2, 3]"),
    ({"exporter": "other"}, "exporter 'other'"),
    ({"samples": np.full((4, 3), np.nan, np.float32)}, "differs from torch by inf"),
])
def test_what_breaks_the_contract_is_refused(change, words, tmp_path):
    with pytest.raises(ExportError) as error:
        export(Stateless(), tmp_path / "refused.onnx", **CONTRACT | change)
    assert words in str(error.value)


def test_a_module_that_torch_runs_otherwise_is_refused(tmp_path):
    class Drifting(Stateless):
        calls = 0

        def forward(self, features):
            self.calls += 1
            return super().forward(features + 0.01 * self.calls)

    with pytest.raises(ExportError, match="differs from torch by"):
        export(Drifting(), tmp_path / "drifting.onnx", **CONTRACT)


def test_the_command_exports(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "import torch\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Softmax(-1))\n")
    (tmp_path / "mine.json").write_text(json.dumps({key: CONTRACT[key] for key in CONTRACT if key != "exporter"}))
    arguments = ["--out", str(tmp_path / "mine.onnx"), "--description", str(tmp_path / "mine.json")]
    assert pytorch_export.main([f"{tmp_path / 'mine.py'}:make", *arguments]) == 0
    assert "of torch" in capsys.readouterr().out and (tmp_path / "mine.data" / "features.npy").exists()
    assert pytorch_export.main([f"{tmp_path / 'none.py'}:make", *arguments]) == 1
    (tmp_path / "mine.json").write_text("{}")
    assert pytorch_export.main([f"{tmp_path / 'mine.py'}:make", *arguments]) == 1
    assert "lacks feature_names, horizons, warm_up_ticks" in capsys.readouterr().err
