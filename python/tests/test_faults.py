"""What goes wrong outside the program is said in one line, and loses nothing else."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import zmq

from martlet import wire
from martlet.subscriber import subscribe
from support import (
    BIN, FEED, MODEL, TIMEOUT, end, free_port, martlet, one_line, publishing, run_once, start, trades, wait_until)

pytestmark = pytest.mark.skipif(not BIN, reason="MARTLET_BIN is not set")


def test_a_name_that_no_option_has_is_refused(tmp_path):
    one_line(martlet("run", env={"MARTLET_RUN_WORKER": "2"}, check=False), 64, "MARTLET_RUN_WORKER", "workers")
    config = tmp_path / "martlet.yaml"
    for text, words in [
        ("run:\n  workrs: 2\n", (":2:", "workrs", "workers")),
        ("rum:\n  workers: 2\n", (":1:", "rum", "replay")),
        ("run:\n  workers: {a: 1}\n", (":2:", "one value")),
        ("run:\n  workers: [1, 2]\n", (":2:", "one value")),
        ("run: 3\n", (":1:", "no mapping")),
        ("- 3\n", ("mapping",)),
        ("run: [\n", ("YAML",)),
    ]:
        config.write_text(text)
        one_line(martlet("run", "--config", config, check=False), 64, *words)


@pytest.mark.parametrize("text", ["", "# run:\n#   workers: 2\n", "---\n", "inspect:\n  # json: true\n"])
def test_a_file_without_options_gives_none(tmp_path, text):
    config = tmp_path / "martlet.yaml"
    config.write_text(text)
    report = martlet("inspect", FEED, "--config", config, env={"MARTLET_INSPECT_JSON": "true"})
    assert json.loads(report.stdout)["records"] == 84_050


def test_a_configuration_or_model_that_is_no_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, words in [(pipe, "regular"), (tmp_path, "regular"), ("/dev/zero", "regular"), (tmp_path / "no", "No such file")]:
        one_line(martlet("inspect", FEED, "--config", path, check=False), 66, str(path), words)
        one_line(martlet("score", FEED, "--model", path, check=False), 66, str(path), words)


def test_a_name_that_a_terminal_would_obey_is_refused(tmp_path):
    for name in ("a\nlost 0", "a\x1b[2Jb", "\x9b2J", "x" * 65, ""):
        one_line(martlet("score", FEED, "--model", MODEL, "--name", name, check=False), 64, "--name", "control characters")
    model = tmp_path / "a\x1b[2Jb.onnx"
    model.write_bytes(MODEL.read_bytes())
    one_line(martlet("score", FEED, "--model", model, check=False), 64, "give --name")


def test_every_command_reads_the_file_and_the_environment(tmp_path):
    config = tmp_path / "martlet.yaml"
    config.write_text("inspect:\n  json: true\nsimulate:\n  events: 100\n")
    assert json.loads(martlet("inspect", FEED, "--config", config).stdout)["records"] == 84_050
    out = tmp_path / "sim.dbn"
    martlet("simulate", "--out", out, "--config", config, env={"MARTLET_SIMULATE_QUIET": "true"})
    assert json.loads(martlet("inspect", out, env={"MARTLET_INSPECT_JSON": "1"}).stdout)["ticks"] == 100


@pytest.mark.parametrize("command", [["inspect", FEED], ["score", FEED, "--model", MODEL, "--passes", 1]])
def test_output_that_cannot_be_written_is_a_failure(command):
    with open("/dev/full", "w") as full:
        result = subprocess.run([BIN, *map(str, command)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
    one_line(result, 66, "cannot be written")


@contextlib.contextmanager
def open_folder(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_files_that_are_none_are_told_from_bad_data(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "nothing"):
        one_line(martlet("score", path, "--model", MODEL, check=False), 66, str(path))
    one_line(martlet("simulate", "--events", 10, "--out", tmp_path, check=False), 66, "regular file")
    one_line(martlet("simulate", "--events", 10, "--out", tmp_path / "no" / "x.dbn", check=False), 66, "No such file")
    (tmp_path / "link").symlink_to(FEED)
    os.link(shutil.copy(FEED, tmp_path / "copy"), tmp_path / "same")
    for first, second in [(FEED, FEED), (FEED, f"{FEED.parent}/./{FEED.name}"), (FEED, tmp_path / "link"),
                          (tmp_path / "copy", tmp_path / "same")]:
        one_line(martlet("score", first, second, "--model", MODEL, check=False), 64, "twice")
    # The folder is not the root.
    for command in (["features", FEED], ["simulate", "--events", 10], ["convert", "--from", "binance", FEED]):
        one_line(martlet(*command, "--out", "", check=False), 64, "--out is empty")
    for out in (tmp_path / "copy", tmp_path / "copy" / "x", "/dev/null"):
        one_line(martlet("features", FEED, "--out", out, check=False), 66, str(out), "cannot be made: ")


def test_an_export_has_its_folder_for_itself(tmp_path):
    with open_folder(tmp_path) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        one_line(martlet("features", FEED, "--out", tmp_path, check=False), 66, "another process")
    martlet("features", FEED, "--out", tmp_path)
    assert len(list(tmp_path.iterdir())) == 8


def test_rings_larger_than_half_the_machine_are_refused():
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    workers = 64
    # Two rings a worker; their length is a power of two.
    fits = 1 << (half // (2 * workers)).bit_length() - 1
    if fits >= 1 << 30:
        pytest.skip("half of this machine holds more than the largest rings")
    for ring_bytes, words in [(2 * fits, f"would take {2 * workers * 2 * fits >> 20} MiB"), (fits, "--max-instruments 0")]:
        # The number of instruments is looked at next: no ring is made here.
        result = martlet("run", "--workers", workers, "--ring-bytes", ring_bytes, "--max-instruments", 0, "--model", MODEL,
                         check=False)
        one_line(result, 64, words)


def test_rings_that_cannot_hold_every_packet_are_refused():
    for command in (["run"], ["score", FEED]):
        one_line(martlet(*command, "--model", MODEL, "--ring-bytes", 131_072, check=False), 64, "131072", "from 262144")


def test_the_smallest_rings_hold_the_largest_packet():
    endpoint, topic = f"tcp://127.0.0.1:{free_port()}", b"md/D/A/"
    count = (wire.MESSAGE_LENGTH_MAX - wire.padded_length(len(topic)) - wire.HEADER.itemsize) // wire.TRADE.itemsize
    command = run_once(endpoint, "--instrument", "A:tick=0.01,lot=1", "--ring-bytes", 262_144)
    with publishing(endpoint, 2, command) as (publisher, processor):
        for number in range(8):
            publisher.send(trades(topic, 1 + number * count, count))
        publisher.send(end(topic, 1 + 8 * count))
        out, errors = processor.communicate(timeout=TIMEOUT)
    assert processor.returncode == 0, errors
    report = json.loads(out)
    assert report["ticks"] == 8 * count and report["dropped"] == 0 and report["incidents"] == []


def test_a_publisher_says_whom_it_waits_for_and_counts_narrower_subscribers():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    replay = start("replay", FEED, "--output", ticks, "--speed", "max", "--json")
    try:
        said = replay.stderr.readline()
        assert "waiting for subscribers to md/" in said and "0 of 1" in said
        processor = start(
            "run", "--once", "--json", "--model", MODEL, "--topic", "md/MARTLET.SIM/SIM1/", "--input", ticks, "--output", signals)
        out, errors = processor.communicate(timeout=TIMEOUT)
        assert json.loads(replay.communicate(timeout=TIMEOUT)[0])["lost"] == 0
    finally:
        replay.kill()
        processor.kill()
    assert processor.returncode == 0, errors
    assert json.loads(out)["ticks"] == 80_000


def test_a_silent_publisher_is_given_up_after_the_timeout():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    processor = start("run", "--once", "--timeout", 2, "--json", "--model", MODEL, "--input", ticks, "--output", signals)
    reader = start("subscribe", signals, "--once", "--timeout", 4, "--format", "csv")
    replay = start("replay", FEED, "--output", ticks, "--speed", 1000)
    try:
        assert next(iter(subscribe(signals, "sig/", timeout=TIMEOUT)), None), "no signal has come"
        replay.kill()
        out, errors = processor.communicate(timeout=TIMEOUT)
        assert processor.returncode == 69 and "--timeout" in errors
        assert json.loads(out)["ticks"] > 0
        # The processor ended its sessions; a reader of nothing at all gives up by itself.
        reader.communicate(timeout=TIMEOUT)
        assert reader.returncode == 0
    finally:
        for process in (processor, reader, replay):
            process.kill()
    result = martlet("subscribe", signals, "--timeout", 0.3, check=False)
    assert result.returncode == 69 and "0.3 s" in result.stderr


def with_metadata(path, **changes):
    """The default model with other metadata."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(MODEL)
    entries = {entry.key: entry for entry in model.metadata_props}
    for key, change in changes.items():
        entry = entries.get(f"martlet.{key}") or model.metadata_props.add(key=f"martlet.{key}")
        entry.value = change(entry.value)
    onnx.save(model, path)
    return path


def test_a_horizon_that_is_not_evaluated_is_shown_as_such(tmp_path):
    model = with_metadata(tmp_path / "ms.onnx", horizons=lambda text: text.replace('"ticks"', '"milliseconds"', 1))
    report = json.loads(martlet("score", FEED, "--model", model, "--passes", 1, "--json").stdout)
    assert report["macro_f1"] is None and len(report["horizons"]) == 4
    assert report["horizons"][0]["milliseconds"] == 10 and report["horizons"][0]["evaluated"] == 0
    assert report["horizons"][1]["ticks"] == 20 and report["horizons"][1]["macro_f1"] > 0.5


def test_a_label_that_has_no_definition_and_a_key_that_is_not_known(tmp_path):
    model = with_metadata(tmp_path / "label.onnx", horizons=lambda text: text.replace("smoothed-mid", "nope", 1))
    one_line(martlet("score", FEED, "--model", model, check=False), 65, "label", "smoothed-mid")
    model = with_metadata(tmp_path / "key.onnx", foo=lambda _: "1")
    report = json.loads(martlet("score", FEED, "--model", model, "--passes", 1, "--json").stdout)
    assert report["incidents"] == ["the model's metadata key martlet.foo is not known and has no effect"]


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_closed_streams_trap_nothing(redirection):
    result = subprocess.run(f"{BIN} score /nonexistent {redirection}", shell=True, timeout=TIMEOUT)
    assert result.returncode == 66


def test_the_same_key_press_told_twice_is_one_interruption():
    ticks, signals = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    processor = start("run", "--json", "--model", MODEL, "--input", ticks, "--output", signals)
    replay = start("replay", FEED, "--output", ticks, "--speed", 100, "--json")
    try:
        assert next(iter(subscribe(signals, "sig/", timeout=TIMEOUT)), None), "no signal has come"
        for process in (processor, replay):
            # Two different ones: of two alike the second is lost while the first is pending.
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
        out, errors = processor.communicate(timeout=TIMEOUT)
        played = json.loads(replay.communicate(timeout=TIMEOUT)[0])
    finally:
        processor.kill()
        replay.kill()
    assert processor.returncode == 0, errors
    assert json.loads(out)["lost"] == 0 and json.loads(out)["ticks"] > 0
    assert replay.returncode == 0
    assert played["was_interrupted"] and 0 < played["ticks"] < 80_000


def unsent_bytes(port):
    """What connected peers of `port` on this machine have not taken from the kernel."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(int(row[4].split(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01")


def test_a_second_interruption_ends_a_publisher_that_waits_for_its_subscriber():
    port = free_port()
    with zmq.Context() as context, context.socket(zmq.SUB) as stalled:
        stalled.set(zmq.LINGER, 0)
        stalled.set(zmq.RCVHWM, 1)
        stalled.set(zmq.RCVBUF, 4096)
        stalled.set(zmq.SUBSCRIBE, b"")
        stalled.connect(f"tcp://127.0.0.1:{port}")
        replay = start("replay", FEED, "--output", f"tcp://127.0.0.1:{port}", "--subscribers", 1, "--speed", "max", "--json")
        try:
            seen = []

            def is_full():
                seen.append(unsent_bytes(port))
                return len(seen) > 3 and seen[-1] > 0 and len(set(seen[-3:])) == 1

            wait_until(is_full, replay)
            replay.send_signal(signal.SIGINT)
            # Longer than a key press that is told twice, shorter than it waits for a slow subscriber.
            with pytest.raises(subprocess.TimeoutExpired):
                replay.wait(timeout=1)
            replay.send_signal(signal.SIGTERM)
            assert replay.wait(timeout=3) == 128 + signal.SIGTERM
        finally:
            replay.kill()


def test_an_interrupted_simulation_leaves_no_part_of_a_file(tmp_path):
    process = start("simulate", "--events", 20_000_000, "--quiet", "--out", tmp_path / "x.dbn.zst")
    try:
        wait_until(lambda: any(path.stat().st_size > 0 for path in tmp_path.iterdir()), process)
        process.terminate()
        errors = process.communicate(timeout=TIMEOUT)[1]
    finally:
        process.kill()
    assert process.returncode == 143 and "nothing was written" in errors
    assert not list(tmp_path.iterdir())


def test_other_wrong_values(tmp_path):
    one_line(martlet("subscribe", "tcp://127.0.0.1:1", "--topic", "foo/", check=False), 64, "sig/")
    twice = ["--instrument", "A:tick=1,lot=1", "--instrument", "A:tick=2,lot=1"]
    one_line(martlet("score", FEED, "--model", MODEL, *twice, check=False), 64, "twice")
    result = martlet("convert", "--from", "binance", FEED, "--out", tmp_path / "x.dbn", check=False)
    one_line(result, 65)


def test_cores_are_numbers():
    for text in ("", ",", "0,", "0,,0", "x", "-0.5"):
        one_line(martlet("run", "--model", MODEL, f"--cores={text}", check=False), 64, "--cores")
    for arguments, count in [((), 3), (("--workers", 2), 4), (("--inline",), 1)]:
        cores = ",".join(["0"] * (count + 1))
        one_line(martlet("run", "--model", MODEL, *arguments, "--cores", cores, check=False), 64, f"at most {count}")


def test_a_core_that_this_process_may_not_have_is_refused_by_name(tmp_path):
    """A container has some of the machine's cores: the kernel refuses the others, here a library in front of it."""
    (tmp_path / "cores.c").write_text("""
        #define _GNU_SOURCE
        #include <errno.h>
        #include <pthread.h>
        #include <sched.h>
        int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *set) {
            return CPU_COUNT(set) == 1 && CPU_ISSET(0, set) ? EINVAL : 0;
        }""")
    library = tmp_path / "cores.so"
    subprocess.run(["g++", "-x", "c", "-shared", "-fPIC", "-o", library, tmp_path / "cores.c"], check=True)
    result = martlet("run", "--model", MODEL, "--cores", "0", "--timeout", 5, env={"LD_PRELOAD": str(library)}, check=False)
    one_line(result, 64, "core 0")


def test_an_output_that_does_not_wait_is_waited_for():
    """Whoever shares a pipe with the program may have made it one that takes what it can and refuses the rest."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    filler = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filler += os.write(write, bytes(4_096))
    process = subprocess.Popen([BIN, "inspect", str(FEED)], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
        with open(read, "rb") as output:
            text = output.read()[filler:]
        assert process.wait(TIMEOUT) == 0 and process.stderr.read() == ""
        assert b"80000 ticks" in text
    finally:
        process.kill()


def test_a_failed_export_leaves_the_earlier_one(tmp_path):
    out = tmp_path / "features"
    martlet("simulate", "--events", 2_000, "--quiet", "--out", tmp_path / "day.dbn")
    martlet("features", tmp_path / "day.dbn", "--out", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert len(before) == 8
    (tmp_path / "cut.dbn").write_bytes((tmp_path / "day.dbn").read_bytes()[:-100])
    one_line(martlet("features", tmp_path / "cut.dbn", "--out", out, check=False), 65, "cut.dbn")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    martlet("simulate", "--events", 3_000, "--quiet", "--out", tmp_path / "day.dbn")
    martlet("features", tmp_path / "day.dbn", "--out", out)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert after.keys() == before.keys() and after != before
