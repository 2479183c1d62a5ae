"""What the studies' command lines share: from a recorded file to features."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Callable

# One thread, so that sums are added in one order; JAX reads it when it first computes.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

from martlet.training import engine, origin, stages
from martlet.training.batches import TrainingError
from martlet.training.config import Config, ConfigError, DataSettings
from martlet.training.data import Data, DataError
from martlet.training.evaluation import MismatchError

#: By the end of a file's name; all others are DBN.
FORMATS = {".zip": "lobster", ".gz": "binance"}


def make_parser(description: str, is_of_several: bool = False) -> argparse.ArgumentParser:
    """A parser of what all studies take: one recording as `source`, or several as `sources`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    name, several = ("sources", {"nargs": "+"}) if is_of_several else ("source", {})
    parser.add_argument(
        name, type=pathlib.Path, metavar="RECORDING", **several,
        help="a LOBSTER .zip, a Binance .gz or a DBN file; or a folder that `martlet features` wrote, of which "
             "`martlet score` has no feed to judge")
    parser.add_argument("--work", type=pathlib.Path, required=True, metavar="DIR",
                        help="keeps the features and all that is finished; of the same recordings")
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


def load(source: pathlib.Path, work: pathlib.Path) -> tuple[Data, list[list[pathlib.Path]]]:
    """Features of the recording, and its feed as a DBN file, none of a folder. Both are made in the work folder, once.
    """
    recordings, feeds = load_all([source], work)
    return recordings[0], feeds


def load_all(sources: list[pathlib.Path], work: pathlib.Path) -> tuple[list[Data], list[list[pathlib.Path]]]:
    """Features and feed of each recording; all are of one kind, by the end of their names."""
    config = _config(sources)
    found = origin.of(config)
    if (work / origin.NAME).exists():
        origin.require_same(found, work)
    work.mkdir(parents=True, exist_ok=True)
    origin.write(found, work)
    feeds = stages.feeds_of(config, work)
    return stages.load_data(config, work, feeds), feeds


def feed(source: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The recording as a DBN file, which is made in the folder, once."""
    folder.mkdir(parents=True, exist_ok=True)
    return stages.feeds_of(_config([source]), folder)[0][0]


def _config(sources):
    if sources[0].is_dir() and len(sources) == 1:
        return Config("study", DataSettings(folder=str(sources[0])))
    kinds = {FORMATS.get(source.suffix, "dbn") for source in sources}
    if len(kinds) > 1:
        raise DataError(f"recordings of one study are of one kind, not {', '.join(sorted(kinds))}")
    return Config("study", DataSettings(recordings=tuple(map(str, sources)), format=kinds.pop()))
