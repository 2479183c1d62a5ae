"""What the studies' command lines share: from a recorded file to features."""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import sys
from collections.abc import Callable

# One thread, so that sums are added in one order; JAX reads it when it first computes.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

from martlet.training import engine, stages
from martlet.training.batches import TrainingError
from martlet.training.config import Config, ConfigError, DataSettings
from martlet.training.data import Data, DataError
from martlet.training.evaluation import MismatchError

#: By the end of a file's name; all others are DBN.
FORMATS = {".zip": "lobster", ".gz": "binance"}


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser of what all studies take."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "source", type=pathlib.Path, metavar="RECORDING",
        help="a LOBSTER .zip, a Binance .gz or a DBN file; or a folder that `martlet features` wrote, of which "
             "`martlet score` has no feed to judge")
    parser.add_argument("--work", type=pathlib.Path, required=True, metavar="DIR",
                        help="keeps the features and all that is finished; of one recording")
    parser.add_argument("--martlet", metavar="FILE", help="the built program `martlet` (default: the environment's "
                                                          "MARTLET_BIN, .build/release/martlet or the path)")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE.png", help="draws the figure")
    return parser


def start(study: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Runs a study with the options of the command line."""
    options = parser.parse_args()
    if options.martlet:
        os.environ["MARTLET_BIN"] = str(pathlib.Path(options.martlet).absolute())
    try:
        study(options)
    except (ConfigError, DataError, TrainingError, engine.EngineError, MismatchError, OSError) as error:
        sys.exit(f"{parser.prog}: {' '.join(str(error).split())}")


def load(source: pathlib.Path, work: pathlib.Path) -> tuple[Data, list[pathlib.Path]]:
    """Features of the recording, and its feed as a DBN file, none of a folder. Both are made in the work folder, once.
    """
    work.mkdir(parents=True, exist_ok=True)
    _require_same(source, work)
    settings = DataSettings(folder=str(source)) if source.is_dir() else _settings(source)
    feeds = stages.feeds_of(Config("study", settings), work)
    return stages.load_data(Config("study", settings), work, feeds), feeds


def feed(source: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The recording as a DBN file, which is made in the folder, once."""
    folder.mkdir(parents=True, exist_ok=True)
    return stages.feeds_of(Config("study", _settings(source)), folder)[0]


def _settings(source):
    return DataSettings(feeds=(str(source),), format=FORMATS.get(source.suffix, "dbn"))


def _require_same(source, work):
    """What was made of one recording is not taken for that of another."""
    file = source / "features.json" if source.is_dir() else source
    digest, kept = hashlib.sha256(file.read_bytes()).hexdigest(), work / "source.sha256"
    if kept.exists() and kept.read_text() != digest:
        raise DataError(f"{work} holds what was made of another recording than {source}: choose another folder")
    kept.write_text(digest)
