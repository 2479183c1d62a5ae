"""The parts of a run that frontier and run share: data, examples, trained networks, exported files."""

from __future__ import annotations

import dataclasses
import fnmatch
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import baselines, distillation, engine, export, inference, loop, risk
from .batches import Examples
from .config import Config, Peer, expanded, network_of
from .data import REACHES, Data, DataError, Problem, Split, prepare_all, splits_in_time
from .distillation import TEACHER, TEACHER_HIDDEN
from .environment import Market
from .heads import Heads
from .networks import deeplob
from .policy import MARKET, Trading, scale_of


def given_feeds(config: Config) -> list[pathlib.Path]:
    """The recorded files as they are named; none where features are given."""
    key = "data.recordings" if config.data.recordings else "data.feeds"
    paths = [expanded(path, key) for path in config.data.recordings or config.data.feeds]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise DataError(f"{key}: {missing[0]} is not there (looked from {pathlib.Path.cwd()})")
    return paths


def feeds_of(config: Config, folder: pathlib.Path) -> list[list[pathlib.Path]]:
    """The files of each recording as DBN, converted where they are of another format; none where features are given.
    """
    paths = given_feeds(config)
    sessions = [[path] for path in paths] if config.data.recordings else [paths] * bool(paths)
    if config.data.format == "dbn":
        return sessions
    names = ["feed"] if len(sessions) == 1 else [
        f"feed-{number}-{paths[0].name.split('.')[0]}" for number, paths in enumerate(sessions, 1)]
    return [[_converted(config, session, folder / f"{name}.dbn.zst")] for session, name in zip(sessions, names)]


def _converted(config, session, path):
    if not path.exists():
        partial = path.with_name("partial.dbn.zst")
        engine.convert(config.data.format, session, partial, config.data.sizes)
        partial.replace(path)
    return path


def load_data(config: Config, folder: pathlib.Path, feeds: list[list[pathlib.Path]]) -> list[Data]:
    """Features of each recording from `martlet features`, or from the folder that is named; the columns that are asked
    for."""
    if not feeds:
        return [_loaded(config, expanded(config.data.folder, "data.folder"))]
    result = []
    for number, session in enumerate(feeds, 1):
        source = folder / ("features" if len(feeds) == 1 else f"features-{number}")
        if not (source / "features.json").exists():
            engine.features(session, source, config.data.sizes)
        result.append(_loaded(config, source))
        names = result[-1].description["instruments"]
        if len(names) > 1:
            raise DataError(f"{session[0]} holds {', '.join(names)}: `martlet score` judges all together, so a recording "
                            "holds one instrument")
    return result


def _loaded(config, source):
    return selected(Data.load(source, config.data.instrument), config.data.features, config.data.without)


def selected(data: Data, wanted: tuple[str, ...], without: tuple[str, ...] = ()) -> Data:
    """The data with the features that fit a pattern of `wanted` and none of `without`."""
    for pattern in (*wanted, *without):
        if not fnmatch.filter(data.names, pattern):
            raise DataError(f"data.features: no feature fits {pattern}; docs/FEATURES.md lists them")
    chosen = [column for column, name in enumerate(data.names)
              if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)
              and not any(fnmatch.fnmatchcase(name, pattern) for pattern in without)]
    if not chosen:
        raise DataError("data.features: nothing is left of the features")
    if len(chosen) == len(data.names):
        return data
    names = [data.names[column] for column in chosen]
    return dataclasses.replace(data, features=np.ascontiguousarray(data.features[:, chosen]),
                               description=data.description | {"names": names})


def problem_of(config: Config, recordings: list[Data], splits: list[Split] | None = None) -> Problem:
    """Labels and parts, those of the configuration's shares where no splits are given; refuses a window that is not
    full at the first tick that counts, and a test part too short for intervals of its scores."""
    settings = config.data
    warm_up = recordings[0].description["warm_up_ticks"] if settings.warm_up is None else settings.warm_up
    for name, options in [("network", config.network), *((one.name, one.network)
                                                         for one in (*config.teachers, *config.peers))]:
        window = getattr(network_of(options, False, 1), "window", 1)
        if window > warm_up + 1:
            raise DataError(f"{name} looks back {window} ticks, but ticks count from {warm_up} after a reset on: "
                            f"data.warm_up is at least {window - 1}")
    splits = splits or splits_in_time(recordings, settings.shares, settings.embargo)
    problem = prepare_all(recordings, settings.horizons, settings.warm_up, label=settings.label, alphas=settings.alphas,
                          splits=splits, trend_ticks=settings.trend_ticks)
    for column, horizon in enumerate(problem.horizons):
        chosen = problem.test[:, column]
        judged, longest = int(chosen.sum()), max(int(problem.ahead[chosen, column].max()), 1)
        # What the shortest block of bootstrap.Resamples needs, said before the training, not after it.
        reach = REACHES[problem.label]
        if reach * longest > judged:
            raise DataError(
                f"the test part has {judged} judged ticks for the horizon of {horizon}, and intervals of its scores "
                f"need {reach * longest}, {reach} times the horizon: more data, a larger share, or a shorter horizon")
    return problem


def heads_of(config: Config, problem: Problem) -> Heads:
    """The heads, with the deviation of the training returns as their scales."""
    deviations = tuple(float(np.std(problem.returns[problem.train[:, column], column]))
                       for column in range(len(problem.horizons)))
    settings = config.heads
    is_scaled = set(settings.names) & {"expected_return", "volatility", "value_at_risk", "expected_shortfall"}
    return Heads(len(problem.horizons), settings.names, deviations if is_scaled else (), settings.volatility_target,
                 tuple(sorted(settings.shares.items())), is_direct=settings.is_direct)


@dataclass
class Job:
    """A network with what it is trained on and by."""

    network: object
    heads: Heads
    settings: loop.Settings
    #: [N, F], normalised.
    features: np.ndarray
    #: The columns of the problem's features that it reads.
    columns: list[int] | None = None
    #: Where it learns to trade.
    market: Market | None = None


def peer_job(config: Config, peer: Peer, problem: Problem) -> Job:
    """A teacher or published model: probabilities only, in floats. DeepLOB reads the book alone."""
    network = network_of(peer.network, peer.is_direct, len(problem.horizons))
    columns = None
    if peer.network["kind"] == "deeplob":
        try:
            columns = deeplob.columns(problem.data.names)
        except ValueError as error:
            raise DataError(f"{peer.name}: DeepLOB needs the features of all levels of the book: {error}") from error
    features = problem.normalised if columns is None else problem.normalised[:, columns]
    heads = Heads(len(problem.horizons), is_direct=peer.is_direct)
    return Job(network, heads, dataclasses.replace(peer.training, seed=config.seed), features, columns)


def student_job(config: Config, problem: Problem, *, is_taught: bool, pruned=None, quantized=None,
                seed: int | None = None) -> Job:
    """The model itself; without pruning and quantisation it is the dense one. Blocks are those of the kernels."""
    network = network_of(config.network, config.heads.is_direct, len(problem.horizons))
    # To the bit as the engine has them, so that what is trained quantised is what is served.
    features = export.normalised(problem.data.features, problem.mean, problem.scale)
    if pruned is not None:
        pruned = dataclasses.replace(pruned, is_integer=quantized is not None)
    settings = dataclasses.replace(
        config.training, seed=config.seed if seed is None else seed, pruning=pruned, quantization=quantized,
        distillation=config.distillation if is_taught else None)
    if config.trading is None:
        return Job(network, heads_of(config, problem), settings, features)
    market, chosen = market_of(config, problem), config.trading
    trading = Trading(scale_of(market, problem.split.train_from, problem.validation_from), chosen.objective,
                      chosen.latency, decay=chosen.decay)
    return Job(network, heads_of(config, problem), dataclasses.replace(settings, trading=trading), features,
               market=market)


def market_of(config: Config, problem: Problem) -> Market:
    """What trading brings and costs; no position is carried from one part into the next."""
    cuts = problem.validation_from, problem.test_from
    return Market.of(problem.data, config.trading.fee_bps, cuts, problem.warm_up)


def examples_of(job: Job, problem: Problem, taught: dict[str, np.ndarray] | None = None) -> Examples:
    """The targets of the heads with the parts in which they count; `taught` holds those of a teacher."""
    every = {
        "classes": (problem.classes, problem.train, problem.validation),
        "returns": (problem.returns, problem.train, problem.validation),
        "volatility": (problem.volatility, problem.train, problem.validation),
        "trend": (problem.trend, problem.trend_train, problem.trend_validation)}
    chosen = {name: every[name] for name in job.heads.targets()}
    if job.settings.distillation:
        chosen[TEACHER] = (taught[TEACHER], problem.train, problem.validation)
        if job.settings.distillation.features:
            counts = (problem.train.any(axis=1), problem.validation.any(axis=1))
            chosen[TEACHER_HIDDEN] = (taught[TEACHER_HIDDEN], *counts)
    if job.market:
        index = np.arange(len(job.features))
        chosen[MARKET] = (job.market.columns,
                          (index >= problem.split.train_from) & (index < problem.validation_from),
                          (index >= problem.validation_from) & (index < problem.test_from))
    targets, train, validation = ({name: parts[n] for name, parts in chosen.items()} for n in range(3))
    return Examples(job.features, problem.data.reset, targets, train, validation)


def trained(job: Job, problem: Problem, folder: pathlib.Path, taught: dict | None = None,
            first: dict | None = None) -> loop.Trained:
    """Trains, from `first` weights or random ones, or reads what an earlier run has finished; an interrupted training
    goes on from its checkpoint."""
    return kept(folder, lambda: loop.train(
        job.network, job.heads, examples_of(job, problem, taught), job.settings, first, folder))


def kept(folder: pathlib.Path, train: Callable[[], loop.Trained]) -> loop.Trained:
    """What was trained in the folder, or is now."""
    finished = folder / "trained.npz"
    if not finished.exists():
        train().save(folder / "new.npz")
        (folder / "new.npz").replace(finished)
    return loop.Trained.load(finished)


def outputs(job: Job, problem: Problem, result: loop.Trained, with_hidden: bool = False) -> dict[str, np.ndarray]:
    """What the training code gives at every tick."""
    return inference.outputs(
        job.network, job.heads, result.weights, job.features, problem.data.reset, result.ranges, with_hidden)


def teach(jobs: list[tuple[Job, loop.Trained]], problem: Problem, with_hidden: bool) -> dict[str, np.ndarray]:
    """The mean of the teachers' probabilities, and the first one's hidden values where features are matched."""
    found = [outputs(job, problem, result, with_hidden) for job, result in jobs]
    taught = {TEACHER: distillation.ensemble([one["probabilities"] for one in found])}
    return taught | ({TEACHER_HIDDEN: found[0]["hidden"]} if with_hidden else {})


def tilt(problem: Problem, result: loop.Trained, probabilities: np.ndarray):
    """The weights with class shares divided out by the power that validation likes best for each horizon, which the
    last bias does: −e · log(share) on each logit. Also the powers."""
    _, powers = baselines.tilted(problem, probabilities)
    shares = [baselines.prior(problem, column) for column in range(len(problem.horizons))]
    return dataclasses.replace(result, weights=tilted_weights(result.weights, shares, powers)), powers


def tilted_weights(weights: dict, shares: Sequence[np.ndarray], powers: Sequence[float]) -> dict:
    """Weights whose last bias divides the `shares` [H, 3] of the classes out to the powers [H]."""
    change = -np.array(powers)[:, None] * np.log(np.maximum(shares, 1e-6))
    bias = (np.asarray(weights["head_probabilities_b"], np.float64) + change.ravel()).astype(np.float32)
    return weights | {"head_probabilities_b": bias}


def with_risk_factors(job: Job, problem: Problem, found: dict[str, np.ndarray]) -> Job:
    """The job whose heads multiply the risks by what training and validation make of the outputs `found`."""
    return dataclasses.replace(job, heads=dataclasses.replace(job.heads, risk_factors=risk.factors(problem, found)))


def metadata(name: str, problem: Problem, metrics: dict[str, float]) -> dict:
    """The `martlet.*` values of docs/MODEL.md, of a model of that name."""
    return {
        "contract_version": 1, "feature_set_version": problem.data.description["feature_set_version"],
        "feature_names": problem.data.names,
        "horizons": [{"length": horizon.length, "unit": horizon.unit, "label": problem.label, "alpha": alpha}
                     for horizon, alpha in zip(problem.horizons, problem.alphas)],
        "warm_up_ticks": problem.warm_up, "name": name,
        "training_data_sha256": problem.data.description["sha256"],
        # Validation chose the weights, so training ends where the test begins.
        "training_end_timestamp": int(problem.data.ts_recv[:problem.test_from].max()), "metrics": metrics}

