"""The built program as its users meet it: separate processes over loopback TCP, files, flags and exit codes.

Needs the release build in MARTLET_BIN; `make test` sets it. Real days need MARTLET_FEEDS.
"""

import json
import pathlib
import subprocess
import threading
import time

import pytest
import zmq

from martlet import wire
from martlet.subscriber import subscribe
from support import BIN, FEED, FEEDS, MODEL, MULTIHEAD, TIMEOUT, free_port, martlet

pytestmark = pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")
real_days = pytest.mark.skipif(not FEEDS, reason="MARTLET_FEEDS is not set")


class Collector(threading.Thread):
    """Subscribes with pyzmq before anything is sent, and keeps what it gets."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.subscription = subscribe(endpoint, "sig/", timeout=TIMEOUT, until_end=True)
        self.digest = wire.SignalDigest()
        self.signals = 0
        self.last = None

    def run(self):
        for packet in self.subscription:
            self.digest.add(packet.topic, packet.payload)
            found = packet.of_type(wire.SIGNAL_TYPE)
            self.signals += len(found)
            self.last = found if len(found) else self.last


def live(feed, *flags, records_per_packet=50, model=MODEL):
    """Replays `feed` through the processor to a pyzmq subscriber; the processor's and the replay's reports."""
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    collector = Collector(signals)
    collector.start()
    processor = subprocess.Popen(
        [BIN, "run", "--once", "--digest", "--json", "--model", str(model), "--input", ticks, "--output", signals,
         "--subscribers", "1", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        replay = martlet(
            "replay", feed, "--output", ticks, "--subscribers", 1, "--speed", "max", "--json",
            "--records-per-packet", records_per_packet)
        out, errors = processor.communicate(timeout=TIMEOUT)
    finally:
        processor.kill()
    assert processor.returncode == 0, errors
    collector.join(TIMEOUT)
    assert not collector.is_alive()
    return json.loads(out), json.loads(replay.stdout), collector


def assert_live_equals_score(feed):
    expected = json.loads(martlet("score", feed, "--model", MODEL, "--json", "--passes", 1).stdout)
    for flags, cut in ([["--inline"], 50], [["--workers", "2"], 7], [[], 1]):
        processor, replay, collector = live(feed, *flags, records_per_packet=cut)
        assert processor["signals_sha256"] == expected["signals_sha256"], flags
        assert collector.digest.hexdigest() == expected["signals_sha256"]
        assert collector.subscription.lost == processor["lost"] == replay["lost"] == 0
        assert processor["ticks"] == replay["ticks"] == expected["ticks"]
        assert collector.signals == processor["signals"] == expected["signals"]
    return expected


def test_live_replay_gives_the_bytes_of_score():
    expected = assert_live_equals_score(FEED)
    again = json.loads(martlet("score", FEED, "--model", MODEL, "--json", "--passes", 1, "--records-per-packet", 7).stdout)
    assert again["signals_sha256"] == expected["signals_sha256"]
    for key in ("ticks", "signals", "lost", "ticks_per_second", "file_ticks_per_second", "latency_ns", "macro_f1",
                "weighted_f1", "persistence_macro_f1", "horizons", "signals_sha256"):
        assert key in expected, key
    assert {"p50", "p99", "p999"} <= set(expected["latency_ns"])
    assert expected["macro_f1"] > expected["persistence_macro_f1"]


def test_all_heads_of_a_model_are_published():
    expected = json.loads(martlet("score", FEED, "--model", MULTIHEAD, "--json", "--passes", 1).stdout)
    processor, _, collector = live(FEED, model=MULTIHEAD)
    assert collector.digest.hexdigest() == processor["signals_sha256"] == expected["signals_sha256"]
    last = collector.last[-4:]
    assert last["horizon"].tolist() == [20, 50, 100, 2000] and last["horizon_unit"].tolist() == [0, 0, 0, 1]
    for kind in ("probability", "trend"):
        assert sum(last[f"{kind}_{side}"] for side in ("down", "flat", "up")) == pytest.approx(1, abs=1e-5)
    assert (0 < last["value_at_risk_95"]).all() and (last["volatility"] > 0).all()
    order = ("value_at_risk_95", "value_at_risk_99", "expected_shortfall_99")
    assert all((last[small] <= last[large]).all() for small, large in zip(order, order[1:]))
    assert (last["value_at_risk_95"] <= last["expected_shortfall_95"]).all()
    assert (last["expected_return"] != 0).all() and (0 < abs(last["position"])).all() and (abs(last["position"]) < 1).all()


@real_days
@pytest.mark.parametrize("kind, source, ticks", [
    ("lobster", "lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip", 147_916),
    ("binance", "binance/usdm_btcusdt_20240808.gz", 93_950),
])
def test_a_real_day_runs_end_to_end_without_loss(kind, source, ticks, tmp_path):
    feed = tmp_path / "day.dbn.zst"
    martlet("convert", "--from", kind, pathlib.Path(FEEDS) / source, "--out", feed)
    assert assert_live_equals_score(feed)["ticks"] == ticks


@real_days
def test_order_by_order_data_is_inspected_and_refused_elsewhere(tmp_path):
    feed = pathlib.Path(FEEDS) / "databento/recordings/esh4-glbx-mdp3-20231225.mbo.dbn.zst"
    assert json.loads(martlet("inspect", feed, "--json").stdout)["records"] == 68_792
    for command in (["score", feed, "--model", MODEL], ["features", feed, "--out", tmp_path / "x"]):
        result = martlet(*command, "--instrument", "ESH4:tick=0.25,lot=1", check=False)
        assert result.returncode == 65
        assert len(result.stderr.strip().splitlines()) == 1
        assert "mbp-1" in result.stderr


def test_signals_are_shown_as_csv_and_json():
    for output, count in (("csv", 1), ("json", 0)):
        ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        reader = subprocess.Popen(
            [BIN, "subscribe", signals, "--format", output, "--once"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        processor = subprocess.Popen(
            [BIN, "run", "--once", "--model", str(MODEL), "--input", ticks, "--output", signals, "--subscribers", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            martlet("replay", FEED, "--output", ticks, "--subscribers", 1, "--speed", "max")
            out, errors = reader.communicate(timeout=TIMEOUT)
            processor.communicate(timeout=TIMEOUT)
        finally:
            reader.kill()
            processor.kill()
        lines = out.splitlines()
        assert len(lines) == 320_000 + count
        assert "0 lost" in errors
        if output == "json":
            assert json.loads(lines[-1])["topic"] == "sig/default/MARTLET.SIM/SIM1/"


def test_a_slow_subscriber_gets_all_of_a_lossless_replay():
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with zmq.Context() as context, context.socket(zmq.SUB) as reader:
        reader.set(zmq.RCVHWM, 10)
        reader.set(zmq.RCVTIMEO, TIMEOUT * 1000)
        reader.set(zmq.SUBSCRIBE, b"")
        reader.connect(endpoint)
        replay = subprocess.Popen(
            [BIN, "replay", str(FEED), "--output", endpoint, "--subscribers", "1", "--speed", "max", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            time.sleep(2)  # The publisher has filled all queues by now, and waits.
            records, ended = 0, False
            while not ended:
                packet = wire.parse(reader.recv())
                ended = packet.header["kind"] == wire.END_OF_SESSION
                if packet.topic.startswith("md/") and packet.header["kind"] == wire.RECORDS:
                    records += int(packet.header["count"])
            out, errors = replay.communicate(timeout=TIMEOUT)
        finally:
            replay.kill()
    assert replay.returncode == 0, errors
    assert records == json.loads(out)["records"] == 84_049
    assert json.loads(out)["lost"] == 0


def test_a_closed_pipe_ends_a_subscriber_quietly():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    reader = subprocess.Popen(
        f"{BIN} subscribe {signals} --format csv | head -2", shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
    processor = subprocess.Popen(
        [BIN, "run", "--once", "--model", str(MODEL), "--input", ticks, "--output", signals, "--subscribers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        martlet("replay", FEED, "--output", ticks, "--subscribers", 1, "--speed", "max", check=False)
        out, errors = reader.communicate(timeout=TIMEOUT)
        processor.communicate(timeout=TIMEOUT)
    finally:
        reader.kill()
        processor.kill()
    assert len(out.splitlines()) == 2
    assert "Fatal" not in errors and "rash" not in errors


@pytest.mark.parametrize("arguments, code, words", [
    (["score", "nowhere.dbn"], 66, "nowhere.dbn"),
    (["score", str(MODEL), "--model", str(MODEL)], 65, "default.onnx"),
    (["score", str(FEED), "--model", str(FEED)], 65, "dbn.zst"),
    (["score", str(FEED), "--model", str(MODEL), "--evaluate-from", "2"], 64, "fraction"),
    (["score", str(FEED), "--model", str(MODEL), "--evaluate-from", "soon"], 64, "fraction"),
    (["score", str(FEED), "--model", str(MODEL), "--workers", "0"], 64, "1 to 64"),
    (["run", "--model", str(MODEL), "--input", "tcp:/x"], 64, "tcp://127.0.0.1"),
    (["run", "--model", str(MODEL), "--topic", "sig/"], 64, "md/"),
    (["replay", str(FEED), "--speed", "fast"], 64, "max"),
    (["run", "--model", str(MODEL), "--output", "tcp://127.0.0.1:99999"], 69, "99999"),
    (["convert", "--from", "lobster", str(FEED), "--out", "/dev/null/x"], 65, "zip"),
    (["replay", str(FEED), "--live", "--subscribers", "1"], 64, "--live"),
    (["score", str(FEED), "--instrument", "X"], 64, "SYMBOL:tick"),
    (["nonsense"], 64, ""),
])
def test_wrong_use_gets_one_line_that_says_what_is_right(arguments, code, words):
    result = martlet(*arguments, check=False)
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    if code != 0:
        assert len(result.stderr.strip().splitlines()) == 1


def test_options_come_from_the_environment_and_from_a_file(tmp_path):
    wrong = martlet("score", FEED, "--model", MODEL, env={"MARTLET_SCORE_WORKERS": "many"}, check=False)
    assert wrong.returncode == 64 and "many" in wrong.stderr
    config = tmp_path / "martlet.yaml"
    config.write_text(f"score:\n  model: {MODEL}\n  passes: 1\n  name: from-file\n")
    report = json.loads(martlet("score", FEED, "--config", config, "--json").stdout)
    assert report["model"] == "from-file"
    report = json.loads(martlet(
        "score", FEED, "--config", config, "--json", env={"MARTLET_SCORE_NAME": "from-environment"}).stdout)
    assert report["model"] == "from-environment"


def test_an_interrupted_processor_drains_and_says_what_it_did():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    collector = Collector(signals)
    collector.start()
    processor = subprocess.Popen(
        [BIN, "run", "--json", "--model", str(MODEL), "--input", ticks, "--output", signals, "--subscribers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    replay = subprocess.Popen(
        [BIN, "replay", str(FEED), "--output", ticks, "--subscribers", "1", "--speed", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + TIMEOUT
        while collector.signals < 1_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        processor.terminate()
        out, errors = processor.communicate(timeout=TIMEOUT)
        replay.terminate()
        replay.communicate(timeout=TIMEOUT)
    finally:
        processor.kill()
        replay.kill()
    assert processor.returncode == 0, errors
    report = json.loads(out)
    collector.join(TIMEOUT)
    assert report["signals"] == 4 * report["ticks"] == collector.signals
    assert report["lost"] == collector.subscription.lost == 0
