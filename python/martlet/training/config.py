"""A run's configuration: YAML to checked dataclasses. docs/MODELS.md describes every key.

Each section is a dataclass with defaults; `training`, `pruning`, `quantization` and `distillation` are those of the
loop. A key that is not known, or a value of the wrong type or range, is refused in one line with what is allowed.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import pathlib
import re
import types
import typing
from dataclasses import dataclass, field

import yaml

from . import networks
from .data import LABELS, SMOOTHED_MID, TWO_SIDED, DataError, Horizon
from .distillation import Distillation
from .heads import NAMES, Heads
from .loop import Settings
from .pruning import Pruning
from .quantization import Quantization

#: What `martlet convert` reads, beside DBN files, which need no conversion.
FORMATS = ("dbn", "lobster", "binance")
BASELINES = ("majority", "persistence", "logistic", "mirrored", "trees")
#: Of a model, teacher or peer: each names a file or a folder.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
#: LightGBM takes no larger one.
SEED_MAX = 2**31 - 1


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names the key and says what is allowed."""


@dataclass(frozen=True)
class DataSettings:
    #: Recorded feeds, one session in the order of time; relative to the folder that the program is started in.
    feeds: tuple[str, ...] = ()
    #: Instead of feeds: recorded files that are a session each, with parts in time of its own; all are learned from, and
    #: judged together.
    recordings: tuple[str, ...] = ()
    format: str = "dbn"
    #: Instead of feeds: a folder that `martlet features` wrote. Then `martlet score` has nothing to check.
    folder: str | None = None
    #: DATASET/SYMBOL, needed where the folder holds several.
    instrument: str | None = None
    #: Tick and lot size where the feed does not say, as SYMBOL:tick=0.01,lot=1.
    sizes: tuple[str, ...] = ()
    #: Patterns such as order_flow_*; all features that fit one of them, in the order of the set …
    features: tuple[str, ...] = ("*",)
    #: … but for those that fit one of these.
    without: tuple[str, ...] = ()
    #: Ticks, or times such as 250ms.
    horizons: tuple[int | str, ...] = (10, 20, 50, 100)
    #: The definition of martlet.labels. Two-sided ones are for research: the model contract has only smoothed-mid.
    label: str = SMOOTHED_MID
    #: A threshold for each horizon; without it a third of the training labels is flat.
    alphas: tuple[float, ...] | None = None
    #: Shares of training, validation and test, in time.
    shares: tuple[float, ...] = (0.6, 0.2, 0.2)
    #: The least number of ticks left out before validation and test; never fewer than the longest horizon.
    embargo: int = 0
    #: Ticks after a reset that do not count; without it those that the features ask for.
    warm_up: int | None = None
    #: Ticks over which the trend is defined; needed by the head `trend`.
    trend_ticks: int | None = None


@dataclass(frozen=True)
class HeadSettings:
    names: tuple[str, ...] = ("probabilities",)
    #: What each head's loss counts; 1 where it is not named.
    shares: dict[str, float] = field(default_factory=dict)
    volatility_target: str = "returns"
    #: Whether BiN-C(TABL)'s own values are the logits.
    is_direct: bool = False


@dataclass(frozen=True)
class TradingSettings:
    """What the head `position` trades at, in training as in the judgement, and how it is learned."""

    #: Basis points of the value traded, negative for a rebate; half the spread is paid beside it.
    fee_bps: float
    #: Ticks from decision to fill.
    latency: int = 1
    #: What is learned by direct reinforcement: the mean net reward, or the differential Sharpe ratio.
    objective: str = "sharpe"
    #: How much of the moving means in that ratio stays from chunk to chunk.
    decay: float = 0.95
    #: Hours of a trading day, for the Sharpe ratio of a day: 24 for crypto-currencies.
    day_hours: float = 6.5


@dataclass(frozen=True)
class Peer:
    """A network trained by the same loop on the same labels: a teacher, or a published model to stand beside."""

    name: str
    network: dict[str, object]
    training: Settings = Settings()
    #: Only for probabilities: whether the network's own values are the logits.
    is_direct: bool = False


@dataclass(frozen=True)
class Config:
    #: Of the model in its file and in signal topics.
    name: str
    data: DataSettings = DataSettings()
    #: `kind`, one of networks.KINDS, and its options.
    network: dict[str, object] = field(default_factory=lambda: {"kind": "gru"})
    heads: HeadSettings = HeadSettings()
    #: With the head `position`, and only with it.
    trading: TradingSettings | None = None
    training: Settings = Settings()
    pruning: Pruning | None = None
    quantization: Quantization | None = None
    #: With teachers; without this section it has its defaults.
    distillation: Distillation = Distillation()
    #: Their mean is what the student learns from.
    teachers: tuple[Peer, ...] = ()
    #: Published models that stand beside it.
    peers: tuple[Peer, ...] = ()
    baselines: tuple[str, ...] = BASELINES
    #: Whether the same network is trained without compression too, to stand beside it.
    has_dense: bool = True
    #: Whether class shares are divided out of the probabilities by a power that validation chooses, for macro F1.
    is_tilted: bool = True
    seed: int = 1


#: By kind and key: the least and the greatest value (None for none), and in brackets whether these themselves are
#: allowed. Beyond a share of 1 of the training nothing is left to choose weights from.
AT_LEAST_0, AT_LEAST_1, ABOVE_0 = (0, None, "[)"), (1, None, "[)"), (0, None, "()")
SHARE, INNER_SHARE, BELOW_1 = (0, 1, "[]"), (0, 1, "()"), (0, 1, "[)")
RANGES: dict[tuple[type, str], tuple[float | None, float | None, str]] = {
    (kind, name): bounds for kind, values in {
        Config: {"seed": (0, SEED_MAX, "[]")},
        DataSettings: {"alphas": AT_LEAST_0, "shares": INNER_SHARE, "embargo": AT_LEAST_0, "warm_up": AT_LEAST_0,
                       "trend_ticks": (2, None, "[)")},
        HeadSettings: {"shares": AT_LEAST_0},
        TradingSettings: {"fee_bps": (-100, 100, "[]"), "latency": (0, 1_000, "[]"), "decay": BELOW_1,
                          "day_hours": (0, 24, "(]")},
        Settings: {"epochs": AT_LEAST_1, "learning_rate": ABOVE_0, "weight_decay": AT_LEAST_0, "warm_up": SHARE,
                   "clip": ABOVE_0, "average_decay": SHARE, "lanes": AT_LEAST_1, "steps": AT_LEAST_1,
                   "burn_in": AT_LEAST_0, "batch": AT_LEAST_1, "windows": AT_LEAST_1, "validation_every": AT_LEAST_1,
                   "patience": AT_LEAST_1, "least_settled": BELOW_1},
        Pruning: {"density": INNER_SHARE, "begin": SHARE, "end": BELOW_1, "every": AT_LEAST_1, "regrowth": SHARE},
        Quantization: {"begin": BELOW_1, "percentile": (50, 100, "[]"), "ticks": (100, None, "[)")},
        Distillation: {"temperature": ABOVE_0, "share": SHARE, "features": AT_LEAST_0},
        **dict.fromkeys(networks.KINDS.values(), {
            "dropout": BELOW_1, "input_dropout": BELOW_1, **dict.fromkeys(
                ("units", "dense", "sizes", "channels", "layers", "kernel", "window", "expansion", "inception",
                 "outputs"), AT_LEAST_1)}),
    }.items() for name, bounds in values.items()}
CHOICES = {
    (DataSettings, "format"): FORMATS, (DataSettings, "label"): LABELS, (HeadSettings, "names"): NAMES,
    (Config, "baselines"): BASELINES,
    (HeadSettings, "volatility_target"): ("returns", "volatility"),
    (TradingSettings, "objective"): ("return", "sharpe")}
#: Fields of the loop's settings that have sections of their own, or follow from them.
ELSEWHERE = {
    Settings: ("seed", "pruning", "quantization", "distillation", "keeps_zeros", "trading"), Pruning: ("is_integer",)}


def load(path: pathlib.Path) -> Config:
    """The configuration in a YAML file."""
    return parse(read_text(pathlib.Path(path)), str(path))


def read_text(path: pathlib.Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8 ({error.reason} at byte {error.start})") from error


def parse(text: str, where: str = "configuration") -> Config:
    """The configuration in a YAML text; `where` stands before each message."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is no YAML: {' '.join(str(error).split())}") from error
    try:
        config = _section(Config, values, "")
        _check(config)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return config


def as_text(config: Config) -> str:
    """YAML of all keys, defaults filled in; `parse` gives the same configuration."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=110)


def network_of(options: dict, is_direct: bool, horizons: int):
    """The network of a section; BiN-C(TABL) as a classifier has as many outputs as there are logits."""
    options = ({"outputs": 3 * horizons} if is_direct else {}) | options
    return networks.make(**{name: _frozen(value) for name, value in options.items()})


def _frozen(value):
    """Lists as tuples, so that a network can be told from another."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def expanded(path: str, key: str) -> pathlib.Path:
    """A path with the environment's variables in it put in place; `key` is where the configuration names it."""
    found = os.path.expandvars(os.path.expanduser(path))
    if "$" in found:
        raise ConfigError(f"{key}: {path} names a variable that is not set in the environment")
    return pathlib.Path(found)


def _keys(kind) -> dict[str, dataclasses.Field]:
    return {item.name: item for item in dataclasses.fields(kind) if item.name not in ELSEWHERE.get(kind, ())}


def _section(kind, values, where):
    keys = _keys(kind)
    if not isinstance(values, dict):
        raise ConfigError(f"{where or 'the file'} holds keys and values, not {values!r}; keys are {', '.join(keys)}")
    for name in values:
        if name not in keys:
            near = difflib.get_close_matches(str(name), keys, 1)
            hint = f"; did you mean {near[0]}" if near else ""
            raise ConfigError(f"there is no key {_join(where, name)}{hint}; there are {', '.join(keys)}")
    needed = [name for name, item in keys.items() if name not in values
              and item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING]
    if needed:
        raise ConfigError(f"the key {_join(where, needed[0])} is missing")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, _join(where, name), (kind, name))
                   for name, value in values.items()})


def _value(hint, value, where, key):
    """A value of the type that the field has, within its range."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kinds = [kind for kind in kinds if kind is not type(None)]
    origin = typing.get_origin(kinds[0])
    if dataclasses.is_dataclass(kinds[0]):
        return _section(kinds[0], {} if value is None else value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is a list, not {value!r}")
        inner = typing.get_args(kinds[0])
        if inner[-1] is not ... and len(value) != len(inner):
            raise ConfigError(f"{where} is a list of {len(inner)}, not {value!r}")
        return tuple(_value(inner[0], item, f"{where}[{n}]", key) for n, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise ConfigError(f"{where} holds keys and values, not {value!r}")
        inner = typing.get_args(kinds[0])[1]
        return dict(value) if inner is object else {
            name: _value(inner, item, _join(where, name), key) for name, item in value.items()}
    return _scalar(kinds, value, where, key)


def _scalar(kinds, value, where, key):
    if float in kinds and isinstance(value, str):
        # YAML 1.1 takes 1e-3 for text.
        try:
            value = float(value)
        except ValueError:
            pass
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = any(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) for kind in kinds)
    if not fits and not (float in kinds and is_number):
        raise ConfigError(f"{where} is {' or '.join(names[kind] for kind in kinds)}, not {value!r}")
    if float in kinds and is_number:
        value = float(value)
    if key in CHOICES and value not in CHOICES[key]:
        raise ConfigError(f"{where} is one of {', '.join(CHOICES[key])}, not {value!r}")
    low, high, brackets = RANGES.get(key, (None, None, "[]"))
    if is_number and not _within(value, low, high, brackets):
        bounds = [f"{'at least' if brackets[0] == '[' else 'above'} {low}" if low is not None else "",
                  f"{'at most' if brackets[1] == ']' else 'below'} {high}" if high is not None else ""]
        raise ConfigError(f"{where} is {' and '.join(filter(None, bounds)) or 'finite'}, not {value}")
    return value


def _within(value, low, high, brackets):
    if not abs(value) < float("inf"):
        return False
    above = low is None or value > low or brackets[0] == "[" and value == low
    return above and (high is None or value < high or brackets[1] == "]" and value == high)


def _check(config: Config) -> None:
    """What concerns several keys at once."""
    data = config.data
    for where, name in [("name", config.name), *((f"{kind}[{number}].name", peer.name) for kind in ("teachers", "peers")
                                                 for number, peer in enumerate(getattr(config, kind)))]:
        if not PLAIN_NAME.fullmatch(name):
            raise ConfigError(f"{where} is letters, digits, '-', '_' and '.', which is not first, not {name!r}")
    if sum(map(bool, (data.feeds, data.recordings, data.folder))) != 1:
        raise ConfigError("data has one of feeds, recordings, and folder, which holds features")
    if data.recordings and config.trading:
        raise ConfigError("trading is learned and judged on one session: data.feeds, not data.recordings")
    try:
        horizons = [Horizon.parse(value) for value in data.horizons]
    except DataError as error:
        raise ConfigError(f"data.horizons: {error}") from error
    if not horizons or data.alphas is not None and len(data.alphas) != len(horizons):
        raise ConfigError(
            f"data.horizons has at least one, and data.alphas a threshold for each of {len(horizons)} horizons")
    in_time = [str(horizon) for horizon in horizons if horizon.unit != "ticks"]
    if data.label == TWO_SIDED and in_time:
        raise ConfigError(f"data.label: {TWO_SIDED} labels have horizons in ticks, not {in_time[0]}")
    for where, values in [("data.horizons", list(map(str, horizons))), ("data.recordings", data.recordings),
                          ("heads.names", config.heads.names), ("baselines", config.baselines)]:
        repeated = [value for number, value in enumerate(values) if value in values[:number]]
        if repeated:
            raise ConfigError(f"{where} names {repeated[0]} twice")
    if len(data.shares) != 3 or abs(sum(data.shares) - 1) > 1e-9:
        raise ConfigError(f"data.shares are three and sum to 1, not {list(data.shares)}")
    weighed = [name for name in config.heads.names if name != "expected_shortfall"]
    for name in config.heads.shares:
        if name not in weighed:
            raise ConfigError(f"heads.shares.{name} is of no loss of heads.names: there are {', '.join(weighed)}; both "
                              "risks have one, value_at_risk")
    if "trend" in config.heads.names and data.trend_ticks is None:
        raise ConfigError("data.trend_ticks is needed by the head trend")
    if config.is_tilted and config.heads.is_direct:
        raise ConfigError("is_tilted is false where heads.is_direct is true: there is no last bias that could tilt")
    if "probabilities" not in config.heads.names:
        raise ConfigError("heads.names has probabilities, which the model contract requires")
    if ("position" in config.heads.names) != (config.trading is not None):
        raise ConfigError("the head position and the section trading, which holds fee and latency, need each other")
    if config.pruning and config.pruning.begin >= config.pruning.end:
        raise ConfigError("pruning.begin is below pruning.end")
    try:
        Heads(len(horizons), config.heads.names, (1.0,) * len(horizons), is_direct=config.heads.is_direct)
    except ValueError as error:
        raise ConfigError(f"heads: {error}") from error
    names = [peer.name for peer in (*config.teachers, *config.peers)]
    if len(set(names)) < len(names) or set(names) & {"student", "dense", "teacher", *BASELINES}:
        raise ConfigError(f"teachers and peers have names of their own, not {', '.join(names)}")
    for where, options, is_direct in [("network", config.network, config.heads.is_direct), *(
            (f"{peer.name}: network", peer.network, peer.is_direct) for peer in (*config.teachers, *config.peers))]:
        _check_network(where, options, is_direct, len(horizons))
    network = network_of(config.network, config.heads.is_direct, len(horizons))
    if config.trading and not network.is_stream:
        raise ConfigError(f"trading: a {config.network['kind']} of these options does not stream, and a position is "
                          "learned along a stream; gru, lstm, tcn and mlp do")
    if config.quantization and not network.is_quantizable:
        raise ConfigError(f"quantization: a {config.network['kind']} is not trained quantised; "
                          "`martlet model quantize` quantises its file")


def _check_network(where, options, is_direct, horizons):
    if not isinstance(options.get("kind"), str) or options["kind"] not in networks.KINDS:
        raise ConfigError(f"{where}.kind is one of {', '.join(networks.KINDS)}, not {options.get('kind')!r}")
    kind = networks.KINDS[options["kind"]]
    hints = typing.get_type_hints(kind)
    for name, value in options.items():
        if name == "kind":
            continue
        if name not in hints:
            known = ", ".join(sorted(_keys(kind)))
            raise ConfigError(f"there is no key {where}.{name}; a {options['kind']} has {known}")
        _value(hints[name], value, f"{where}.{name}", (kind, name))
    try:
        network_of(options, is_direct, horizons)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _join(where, name):
    return f"{where}.{name}" if where else str(name)


def _plain(value):
    """What YAML can say of a dataclass."""
    if dataclasses.is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in _keys(type(value))}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
