"""Style that a program can check. Each rule names what to do instead."""

import hashlib
import json
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOT = {"MarketData", "RingBuffer", "Features", "Inference", "Pipeline", "Wire", "ZeroMQ"}
FILE_LINES_MAX = 400
LINE_MAX = 130

BANNED_EVERYWHERE = {
    r"\btry\?": "handle the error or pass it on",
    r"fatalError\(": "say the rule that must hold with precondition, or throw",
    r"\b(TODO|FIXME)\b": "do it, or file an issue",
}
BANNED_IN_HOT_MODULES = {
    r"import Foundation": "the hot path has no Foundation",
    r"\bprint\(": "count it, or report an incident",
    r"\bDate\(": "take the clock that is passed in",
    r"\bTask\s*\{|\bawait\b": "agents step; nothing awaits",
}


def swift_files():
    tracked = subprocess.run(
        ["git", "ls-files", "Sources/**/*.swift"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in tracked.stdout.split() if not name.endswith(".pb.swift")]


def code(line):
    """The line without its comment and string texts."""
    return re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]


def findings(files, rules):
    return [
        f"{path.relative_to(ROOT)}:{number}: {pattern}: {advice}"
        for path in files for number, line in enumerate(path.read_text().splitlines(), 1)
        for pattern, advice in rules.items() if re.search(pattern, code(line))
    ]


def test_banned_calls_are_nowhere():
    assert not findings(swift_files(), BANNED_EVERYWHERE)


def test_hot_modules_stay_hot():
    hot = [path for path in swift_files() if path.relative_to(ROOT).parts[1] in HOT]
    assert len(hot) > 30
    assert not findings(hot, BANNED_IN_HOT_MODULES)


def test_files_and_lines_are_short():
    for path in swift_files():
        lines = path.read_text().splitlines()
        assert len(lines) <= FILE_LINES_MAX, f"{path}: split it"
        for number, line in enumerate(lines, 1):
            assert len(line) <= LINE_MAX, f"{path}:{number}: {len(line)} columns"


def test_every_feed_says_what_it_is():
    feeds = sorted((ROOT / "feeds").glob("*.dbn.zst"))
    assert feeds
    for feed in feeds:
        metadata = json.loads(feed.with_name(feed.name.removesuffix(".dbn.zst") + ".json").read_text())
        assert metadata["sha256"] == hashlib.sha256(feed.read_bytes()).hexdigest()
        assert {"source", "schema", "instrument", "date", "licence", "how_made"} <= metadata.keys()
        assert not metadata["simulated"] or "simulated" in feed.name


def test_every_model_has_a_card():
    for model in (ROOT / "models").glob("*.onnx"):
        assert model.with_suffix(".md").exists()


@pytest.mark.parametrize("text", ["        try? f()", "// fine\nfatalError(\"x\")"])
def test_the_rules_find_what_they_are_for(text, tmp_path, monkeypatch):
    file = tmp_path / "Bad.swift"
    file.write_text(text)
    monkeypatch.setattr("test_tidy.ROOT", tmp_path)
    assert findings([file], BANNED_EVERYWHERE)
