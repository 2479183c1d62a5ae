"""The command line `martlet-train`."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

EPILOG = """examples, from the repository's root:
  martlet-train run python/configs/default.yaml              features, baselines, training, checks, report
  martlet-train run python/configs/default.yaml --resume     goes on where that was interrupted
  martlet-train walk python/configs/default.yaml --folds 4   macro F1 in one stretch of time after another
  martlet-train compress runs/default --densities 0.5,0.2    the frontier of F1 against time, size and density
  martlet-train reproduce default                            a shipped model anew, from its card
  martlet-train fi2010 --data DIR                            the published protocol of FI-2010
  martlet-train config my.yaml                               checks a configuration and shows all its keys

The program `martlet` makes the features and checks the model: it is taken from --martlet, the environment's
MARTLET_BIN, .build/release/martlet or the path. docs/MODELS.md describes the configuration, the stages and the figures.
Exit codes: 0 done; 1 the data, the configuration or a check says no, in one line; 2 wrong use; 130 interrupted."""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="martlet-train", description="From recorded ticks to a pruned, quantised model that the engine runs.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", metavar="FILE", help="the built program `martlet`")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="from a configuration to a folder with model, card, metrics and report")
    run.add_argument("config", type=pathlib.Path, metavar="CONFIG.yaml")
    _add_run_options(run)

    reproduce = commands.add_parser("reproduce", help="train a model anew from the configuration in its card")
    reproduce.add_argument("name", metavar="NAME", help=(
        "models/NAME.md is its card, as of default, multihead and lstm-a; btcusdt is made by python/studies/btcusdt.py"))
    reproduce.add_argument("--models", type=pathlib.Path, default=pathlib.Path("models"), metavar="DIR")
    _add_run_options(reproduce)

    walk = commands.add_parser("walk", help="train and judge anew as time goes on, fold after fold; leaves no model")
    walk.add_argument("config", type=pathlib.Path, metavar="CONFIG.yaml")
    walk.add_argument("--folds", type=_whole(1), default=4, metavar="N", help="test parts (default: %(default)s)")
    walk.add_argument("--rolling", action="store_true",
                      help="train on the stretch before the validation alone, not on all before it")
    walk.add_argument("--out", type=pathlib.Path, metavar="DIR", help="(default: runs/NAME-walk)")
    walk.add_argument("--resume", action="store_true", help="go on with what is in that folder, if there is something")

    compress = commands.add_parser("compress", help="the frontier of macro F1 against time, size and density")
    compress.add_argument("source", type=pathlib.Path, metavar="RUN|CONFIG.yaml")
    compress.add_argument("--densities", type=_numbers(float), default=(0.5, 0.25, 0.1), metavar="LIST",
                          help="shares of blocks that are kept, each in fp32 and int8 (default: 0.5,0.25,0.1)")
    compress.add_argument("--neurons", type=_shares, metavar="LIST",
                          help="shares of neurons that are kept, each as it is and at each density, or none (default: "
                               "0.5 where the network has neurons to remove)")
    compress.add_argument("--seeds", type=_numbers(int), metavar="LIST", help="such as 1,2,3 (default: the run's)")
    compress.add_argument("--horizon", type=int, default=0, metavar="INDEX",
                          help="which of the configuration's horizons is drawn, from 0 (default: %(default)s)")
    compress.add_argument("--out", type=pathlib.Path, metavar="DIR", help="(default: the run, or runs/NAME)")

    fi2010 = commands.add_parser("fi2010", help="the published protocol of FI-2010, ours beside the papers'")
    fi2010.add_argument("--data", type=pathlib.Path, required=True, metavar="DIR", help="its files, at any depth")
    fi2010.add_argument("--setup", type=int, choices=(1, 2), default=2)
    fi2010.add_argument("--horizons", type=_numbers(int), default=(10, 20, 50, 100), metavar="LIST")
    fi2010.add_argument("--models", type=lambda text: tuple(text.split(",")), default=("logistic", "binctabl"),
                        metavar="LIST", help="logistic, binctabl, deeplob (default: logistic,binctabl)")
    fi2010.add_argument("--epochs", type=_whole(1), default=10, help="of the networks (default: %(default)s)")
    fi2010.add_argument("--windows", type=_whole(1), help="windows in an epoch of the networks (default: all)")
    fi2010.add_argument("--seed", type=_whole(0, 2**31 - 1), default=1)

    show = commands.add_parser("config", help="check a configuration and show it with all its defaults")
    show.add_argument("config", type=pathlib.Path, metavar="CONFIG.yaml")
    return parser


def _add_run_options(parser):
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="the run's folder (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with a run in that folder, if there is one")
    parser.add_argument("--save", type=pathlib.Path, metavar="DIR",
                        help="copy model and card there as NAME.onnx and NAME.md")


def _whole(least: int, most: int | None = None):
    """A whole number in a range, both ends in it."""
    def parse(text):
        if not text.isdecimal() or int(text) < least or most is not None and int(text) > most:
            end = "" if most is None else f" to {most}"
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least}{end}")
        return int(text)
    return parse


def _numbers(kind):
    def parse(text):
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers such as 1,2,3") from None
    return parse


def _shares(text):
    return () if text == "none" else _numbers(float)(text)


def main(argv: list[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    if arguments.martlet:
        os.environ["MARTLET_BIN"] = str(pathlib.Path(arguments.martlet).absolute())
    # One thread: sums are added in one order, and figures hold for one core.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    try:
        from . import run  # noqa: F401  Here, because JAX reads its flags when it is loaded.
    except ImportError as error:
        print(f"martlet-train: {error.name} is missing: pip install 'martlet[train]'", file=sys.stderr)
        return 1
    from .batches import TrainingError
    from .config import ConfigError
    from .data import DataError
    from .engine import EngineError
    from .evaluation import MismatchError

    try:
        return COMMANDS[arguments.command](arguments)
    except (ConfigError, DataError, TrainingError, EngineError, MismatchError, OSError) as error:
        print(f"martlet-train: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        hint = "; --resume goes on" if hasattr(arguments, "resume") else ""
        print(f"martlet-train: interrupted{hint}", file=sys.stderr)
        return 130


def _run(arguments) -> int:
    from .config import load

    return _whole_run(load(arguments.config), arguments)


def _reproduce(arguments) -> int:
    from .card import read_config

    return _whole_run(read_config(arguments.models / f"{arguments.name}.md"), arguments,
                      arguments.models / f"{arguments.name}.onnx")


def _whole_run(config, arguments, shipped: pathlib.Path | None = None) -> int:
    """A run with what it says at its end; last, whether its model is the `shipped` file."""
    from . import run

    folder = arguments.out or pathlib.Path("runs") / config.name
    if arguments.save or shipped:
        run.require_file(config, "--save" if arguments.save else "reproduce")
    values = run.run(config, folder, is_resumed=arguments.resume)
    # Before --save, which may put the new file in the old one's place.
    verdict = [run.sameness(folder / run.MODEL, shipped)] if shipped else []
    if arguments.save:
        run.save_to(folder, arguments.save, config.name)
    print(run.summary(values))
    print(folder / "report.html", *verdict, sep="\n")
    return 0


def _walk(arguments) -> int:
    from . import walk
    from .config import load

    config = load(arguments.config)
    folder = arguments.out or pathlib.Path("runs") / f"{config.name}-walk"
    print(walk.walk(config, folder, arguments.folds, is_anchored=not arguments.rolling, is_resumed=arguments.resume))
    print(folder / "report.html")
    return 0


def _compress(arguments) -> int:
    from . import config as configuration
    from . import frontier
    from .run import CONFIG

    is_run = arguments.source.is_dir()
    config = configuration.load(arguments.source / CONFIG if is_run else arguments.source)
    folder = arguments.out or (arguments.source if is_run else pathlib.Path("runs") / config.name)
    print(frontier.compress(config, folder, arguments.densities, arguments.seeds or (config.seed,), arguments.horizon,
                            arguments.neurons))
    print(f"{folder / 'compress'}")
    return 0


def _fi2010(arguments) -> int:
    from . import fi2010_networks

    print(fi2010_networks.report(arguments.data, arguments.setup, arguments.horizons, arguments.models,
                                 epochs=arguments.epochs, windows=arguments.windows, seed=arguments.seed))
    return 0


def _config(arguments) -> int:
    from . import config as configuration

    print(configuration.as_text(configuration.load(arguments.config)), end="")
    return 0


COMMANDS = {"run": _run, "reproduce": _reproduce, "walk": _walk, "compress": _compress, "fi2010": _fi2010,
            "config": _config}
