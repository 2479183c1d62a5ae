"""The comparison with the peers: its arithmetic, and one tiny round with ONNX Runtime through its C interface."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest
from martlet import bench_models
from martlet.bench_graph import DENSE

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPARE = ROOT / "Tests" / "Benchmarks" / "ModelPeers" / "compare.py"


@pytest.fixture(scope="module")
def compare():
    specification = importlib.util.spec_from_file_location("model_peers_compare", COMPARE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model without state, one with state and one with a window, and the list of them."""
    folder = tmp_path_factory.mktemp("models")
    names = ["a_mlp", "c_lstm", "g_binctabl"]
    subprocess.run(
        [sys.executable, "-m", "martlet.bench_models", "--out", folder, "--only", *names], check=True, capture_output=True)
    return folder


def run(compare, *arguments, **environment):
    return subprocess.run(
        [sys.executable, COMPARE, *map(str, arguments)], capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "python"), **environment})


def test_a_row_has_medians_spread_and_ratio(compare):
    results = compare.Results()
    for p50 in (2000, 1000, 9000):
        results.add("a_mlp.dense", "Martlet", {"p50_ns": p50, "p99_ns": 4000})
        results.add("a_mlp.dense", "ONNX Runtime", {"p50_ns": 10 * p50, "p99_ns": 50_000}, 20)
    heading, row = compare.table(results, [{"name": "a_mlp", "variant": "dense", "macs": 6848}])
    cells = dict(zip(heading, row))
    assert cells["Martlet p50"] == "2.00 [1.00–9.00]"
    assert cells["ONNX Runtime p50"] == "20.0 [10.0–90.0]"
    assert cells["ratio"] == "10.00"
    assert cells["critical path p50"] == cells["critical path p99"] == "–"
    assert compare.as_markdown([heading, row]).count("\n") == 2


def test_a_program_given_as_peer_and_a_martlet_are_measured(compare, models, tmp_path):
    martlet, peer = tmp_path / "martlet", tmp_path / "peer"
    answer = (
        '{"p50_ns": 500, "p99_ns": 700, "p999_ns": 900, "timer_ns": 20, "macs": 1, "critical_path_p50_ns": 300, '
        '"critical_path_p99_ns": 400, "checksum": 0}')
    martlet.write_text(f"#!/bin/sh\n[ \"$1 $2 $4\" = 'model bench --json' ] && echo '{answer}'\n")
    peer.write_text("#!/bin/sh\necho c_lstm.dense 1500 1700\n")
    martlet.chmod(0o755)
    peer.chmod(0o755)
    result = run(
        compare, models, "--martlet", martlet, "--rounds", 1, "--milliseconds", 5, "--only", "c_lstm", "--build",
        tmp_path / "build", "--markdown", tmp_path / "table.md", PEER=str(peer))
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.startswith("c_lstm.")}
    assert "c_lstm.dense: Martlet is off by" in result.stdout, "it computed something else"
    assert rows["c_lstm.dense"].split()[5:9] == ["0.300", "[0.300–0.300]", "0.400", "[0.400–0.400]"]
    assert rows["c_lstm.dense"].split()[-4:] == ["1.50", "[1.50–1.50]", "1.70", "3.00"]
    assert rows["c_lstm.int8"].split()[-3:] == ["–", "–", "–"]
    assert "| c_lstm.dense |" in (tmp_path / "table.md").read_text()


def test_onnx_runtime_computes_what_was_stored(compare, models, tmp_path):
    """Its checksum is over all ticks with the state fed back, so that it would show buffers exchanged wrongly."""
    folder = compare.build(tmp_path)
    library, _ = compare.runtime_library()
    for line in compare.json.loads((models / "models.json").read_text()):
        text = compare.run([folder / "ort_bench", "--milliseconds", "2", library, "0", models / line["file"]])
        name, *numbers = text.split()
        assert name == f"{line['name']}.{line['variant']}"
        assert float(numbers[-1]) == pytest.approx(compare.expected_checksum(models, line), abs=1e-3), name
        assert float(numbers[0]) > 0 and int(numbers[4]) > 0


def test_peers_that_are_not_installed_are_left_out_by_name(compare, models, tmp_path):
    (models / "trees.lightgbm.txt").write_text("not needed")
    missing = tmp_path / "python"
    missing.write_text("#!/bin/sh\nexit 1\n")
    missing.chmod(0o755)
    trees = compare.TreePeers(missing, tmp_path, models, [])
    assert trees.commands == {}
    assert any("lleaves" in text and "left out" in text for text in trees.versions)
    assert any("LightGBM" in text and "left out" in text for text in trees.versions)


def test_a_file_that_is_not_a_model_ends_with_its_name(compare, tmp_path):
    folder = compare.build(tmp_path)
    library, _ = compare.runtime_library()
    for arguments in ([library, "99", "nothing.onnx"], [library, "99", "nothing"], [folder / "ort_bench", "99", "a.onnx"]):
        result = subprocess.run([folder / "ort_bench", *arguments], capture_output=True, text=True)
        assert result.returncode == 1
        assert "nothing" in result.stderr or "ort_bench" in result.stderr


def test_models_of_one_stem_share_their_weights():
    window, _ = bench_models.make("A_lstm_window", DENSE, 1)
    step, _ = bench_models.make("A_lstm_step", DENSE, 1)
    first, second = ([array.raw_data for array in net.constants if len(array.dims) == 3] for net in (window, step))
    assert first == second and len(first) == 4
