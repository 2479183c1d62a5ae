"""A run goes on only with what it was made of, and `make train` begins anew where one is finished."""

import shutil
import subprocess

import pytest

pytest.importorskip("jax")
yaml = pytest.importorskip("yaml")

from martlet import features as definition  # noqa: E402
from martlet.training import config, origin, run, stages  # noqa: E402
from run_support import COUNT, features, small  # noqa: E402, F401
from support import ROOT  # noqa: E402
from training_support import describe  # noqa: E402


def resume(settings, folder):
    run.open_folder(settings, folder, is_resumed=True)


def refused(settings, folder, what):
    with pytest.raises(config.ConfigError, match=f"holds a run of other {what} .*remove the folder to begin") as caught:
        resume(settings, folder)
    assert "\n" not in str(caught.value)


def test_a_run_of_a_folder_goes_on_only_with_the_same_features(features, tmp_path):  # noqa: F811
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    settings, folder = small(copy), tmp_path / "run"
    resume(settings, folder)
    resume(settings, folder)
    describe(copy, ticks=COUNT, sha256=["cd" * 32])
    refused(settings, folder, "data")


def test_a_run_of_feeds_goes_on_only_with_the_same_feeds(tmp_path):
    feeds = [tmp_path / "a.dbn", tmp_path / "b.dbn"]
    for feed in feeds:
        feed.write_text("first")
    settings = config.parse(yaml.safe_dump({"name": "x", "data": {"feeds": [str(feed) for feed in feeds]}}))
    folder = tmp_path / "run"
    resume(settings, folder)
    resume(settings, folder)
    feeds[1].write_text("other")
    refused(settings, folder, "data")
    feeds[1].unlink()
    with pytest.raises(stages.DataError, match="b.dbn is not there"):
        resume(settings, folder)


def test_a_run_of_another_release_is_not_gone_on_with(features, tmp_path, monkeypatch):  # noqa: F811
    settings, folder = small(features), tmp_path / "run"
    resume(settings, folder)
    with monkeypatch.context() as patch:
        patch.setattr(origin, "STAGES_VERSION", origin.STAGES_VERSION + 1)
        refused(settings, folder, "stages")
    with monkeypatch.context() as patch:
        patch.setattr(definition, "VERSION", definition.VERSION + 1)
        refused(settings, folder, "feature set")
    resume(settings, folder)
    for text in ("", "[]"):
        (folder / origin.NAME).write_text(text)
        refused(settings, folder, "data or release, of which it says nothing")
    (folder / origin.NAME).unlink()
    refused(settings, folder, "data or release, of which it says nothing")


def test_training_the_default_model_begins_anew_where_it_was_finished(tmp_path):
    def train():
        command = ["make", "-f", ROOT / "Makefile", "-o", "build", "-o", ".venv/.stamp", "train", "PYTHON=echo"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    folder = tmp_path / ".build" / "train-default"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("")
    assert "anew" not in train() and (folder / "config.yaml").exists()
    (folder / "report.html").write_text("")
    printed = train()
    assert "begins anew: removes the finished run in .build/train-default" in printed and not folder.exists()
    assert "--resume" in printed
