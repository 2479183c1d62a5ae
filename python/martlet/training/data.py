"""What `martlet features` wrote, with labels, parts in time and scales: the problem that a model is trained on."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import features, labels

#: A feature that hardly ever moves in training must not be blown up where it does.
DEVIATION_MIN = 0.02
#: Fewer ticks leave nothing to learn from after the parts are cut.
TICKS_MIN = 5_000
#: The definitions of martlet.labels by name. Only the first is part of the model contract.
SMOOTHED_MID, TWO_SIDED = LABELS = ("smoothed-mid", "two-sided")
#: Over how many horizons a label reaches together with the last one known at its tick: so long are blocks of ticks that
#: are drawn anew at least.
REACHES = {SMOOTHED_MID: 2, TWO_SIDED: 3}
PARTS = ("train", "validation", "test")
#: Ticks before a part of a recording, after which a network's state is that of the recording's stream.
LEAD = 4_096
#: What NumPy raises for a file that is missing, empty, cut off or of another kind.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class DataError(ValueError):
    """The data are not usable; the text says why."""


def kept_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz that a run has kept."""
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({error}); remove it to have it made anew") from error


def kept_values(path: pathlib.Path) -> tuple[dict, dict[str, np.ndarray]]:
    """What the array `json` of such a file says, and the others."""
    arrays = kept_arrays(path)
    try:
        return json.loads(str(arrays.pop("json"))), arrays
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is no such file as a run keeps ({error}); remove it to have it made anew") from error


@dataclass
class Data:
    """What `martlet features` wrote of one instrument."""

    #: [N, F] float32, finite.
    features: np.ndarray
    #: [N] int64 in 1e-9, `labels.UNDEFINED_PRICE` where a side of the book is empty.
    mid: np.ndarray
    #: [N] int64 in 1e-9 each, the best quotes, `labels.UNDEFINED_PRICE` where there is none.
    bid: np.ndarray
    ask: np.ndarray
    #: [N] uint64, ns since the Unix epoch.
    ts_recv: np.ndarray
    #: [N] uint8, 1 at the first tick after a reset.
    reset: np.ndarray
    #: features.json: names, feature_set_version, warm_up_ticks, files, sha256, instruments; the last three of all
    #: recordings that were joined.
    description: dict
    instrument: str

    @property
    def names(self) -> list[str]:
        return self.description["names"]

    @staticmethod
    def load(folder: pathlib.Path, instrument: str | None = None) -> Data:
        """Reads the folder; `instrument` is DATASET/SYMBOL, needed only where there are several."""
        folder = pathlib.Path(folder)
        try:
            description = json.loads((folder / "features.json").read_text())
            arrays = {name: np.load(folder / f"{name}.npy")
                      for name in ("features", "mid", "bid", "ask", "ts_recv", "reset", "instrument")}
        except UNREADABLE as error:
            raise DataError(f"{folder}: {error}") from error
        _check(folder, description, arrays)
        names = description["instruments"]
        if instrument is None and len(names) != 1 or instrument is not None and instrument not in names:
            raise DataError(f"{folder}: the instrument, data.instrument, is one of {', '.join(names)}")
        chosen = instrument or names[0]
        rows = arrays.pop("instrument") == names.index(chosen)
        if rows.sum() < TICKS_MIN:
            raise DataError(f"{folder}: {chosen} has {rows.sum()} ticks; {TICKS_MIN} are the least to train on")
        data = Data(**{name: array[rows] for name, array in arrays.items()}, description=description, instrument=chosen)
        data.reset[0] = 1
        return data


def _check(folder: pathlib.Path, description: dict, arrays: dict[str, np.ndarray]) -> None:
    wanted = ("names", "feature_set_version", "warm_up_ticks", "files", "sha256", "instruments")
    missing = [key for key in wanted if key not in description]
    if missing:
        raise DataError(f"{folder}/features.json lacks {', '.join(missing)}")
    if description["feature_set_version"] != features.VERSION:
        raise DataError(
            f"{folder} has version {description['feature_set_version']} of the feature set, this package knows version "
            f"{features.VERSION}: write the features anew with the `martlet` of this release")
    count = len(arrays["mid"])
    for name, dtype in [("features", np.float32), ("mid", np.int64), ("bid", np.int64), ("ask", np.int64),
                        ("ts_recv", np.uint64), ("reset", np.uint8), ("instrument", np.uint32)]:
        shape = (count, len(description["names"])) if name == "features" else (count,)
        array = arrays[name]
        if array.dtype != dtype or array.shape != shape:
            raise DataError(f"{folder}/{name}.npy is {array.dtype} {array.shape}, expected {dtype.__name__} {shape}")
    bad = np.flatnonzero(~np.isfinite(arrays["features"]).all(axis=0))
    if len(bad):
        raise DataError(f"{folder}/features.npy holds values that are not finite, as in {description['names'][bad[0]]}")


@dataclass(frozen=True)
class Horizon:
    """How far a label looks ahead."""

    length: int
    #: "ticks" or "milliseconds", as in a model's metadata.
    unit: str = "ticks"

    @staticmethod
    def parse(value: int | str | Horizon) -> Horizon:
        """50 and "50" are ticks, "250ms" is a time."""
        if isinstance(value, Horizon):
            return value
        text = str(value).strip()
        digits = text.removesuffix("ms").strip()
        if not digits.isdecimal() or not 0 < int(digits) < 2**32:
            raise DataError(f"a horizon is a number of ticks from 1, or a time such as 250ms, not '{text}'")
        return Horizon(int(digits), "milliseconds" if text.endswith("ms") else "ticks")

    def ahead(self, data: Data) -> np.ndarray:
        """[N]: the ticks of the horizon after each tick, -1 where it reaches beyond the data."""
        if self.unit == "milliseconds":
            try:
                return labels.ticks_within(data.ts_recv, self.length)
            except ValueError as error:
                raise DataError(f"{data.instrument}, horizon of {self}: {error}") from error
        count = len(data.mid)
        return np.where(np.arange(count) + self.length < count, self.length, -1)

    def __str__(self) -> str:
        return f"{self.length} {'ms' if self.unit == 'milliseconds' else 'ticks'}"


@dataclass(frozen=True)
class Split:
    """Three parts that follow each other in time: ticks from `train_from`, `validation_from`, `test_from` to `end`."""

    train_from: int
    validation_from: int
    test_from: int
    end: int
    #: The least number of ticks at the start of validation and test that are not judged. Never fewer than the longest
    #: horizon, so that neither a label that looks back nor the tick of the last one known is in the part before.
    embargo: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.train_from < self.validation_from < self.test_from < self.end or self.embargo < 0:
            raise DataError(f"each part of the data has at least one tick, and the embargo is not negative: {self}")

    @staticmethod
    def in_time(count: int, shares: Sequence[float] = (0.6, 0.2, 0.2), embargo: int = 0) -> Split:
        """The first share of the ticks to train, the next to choose, the last to test."""
        if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise DataError(f"the shares of the three parts are positive and sum to 1, not {tuple(shares)}")
        return Split(0, int(shares[0] * count), int(round(shares[0] + shares[1], 12) * count), count, embargo)

    def parts(self, ahead: np.ndarray, longest: np.ndarray) -> np.ndarray:
        """[3, N] bool: ticks whose horizon of `ahead` ticks ends in the same part; `longest` is the longest horizon."""
        index = np.arange(len(ahead))
        bounds = (self.train_from, self.validation_from, self.test_from, self.end)
        result = np.zeros((3, len(ahead)), bool)
        for part, (first, end) in enumerate(zip(bounds, bounds[1:])):
            begin = first + max(self.embargo, int(longest[first])) if part else first
            result[part] = (index >= begin) & (ahead >= 0) & (index + ahead < end)
        return result


def splits_in_time(recordings: Sequence[Data], shares: Sequence[float] = (0.6, 0.2, 0.2),
                   embargo: int = 0) -> list[Split]:
    """The parts of each recording, by its own ticks; one that overlaps with earlier ones in time is cut at their
    moments, so that nothing is learned of a moment at which something else is judged. Refuses one that overlaps with
    several that are cut at different moments, or has no tick in a part that is cut so."""
    result: list[Split] = []
    moments: list[tuple[int, int]] = []
    for number, data in enumerate(recordings):
        split = Split.in_time(len(data.mid), shares, embargo)
        own = tuple(data.ts_recv[[split.validation_from, split.test_from]].tolist())
        others = [other for other in range(number) if recordings[other].ts_recv[0] <= data.ts_recv[-1]
                  and data.ts_recv[0] <= recordings[other].ts_recv[-1]]
        if others:
            name, names = _name(data), ", ".join(_name(recordings[other]) for other in others)
            if len({moments[other] for other in others}) > 1:
                raise DataError(f"{name} overlaps in time with {names}, which are cut into parts at different moments: "
                                "leave it out, or name its stretches as recordings of their own")
            own = moments[others[0]]
            cuts = np.searchsorted(data.ts_recv, np.array(own, np.uint64)).tolist()
            if not 0 < cuts[0] < cuts[1] < len(data.mid):
                raise DataError(f"{name} overlaps in time with {names} and is cut at the same moments, which leaves no "
                                "tick in one of its parts: recordings of the same hours, or of others, go together")
            split = Split(0, *cuts, len(data.mid), embargo)
        result.append(split)
        moments.append(own)
    return result


def _name(data: Data) -> str:
    return ", ".join(data.description["files"])


def walk_forward(count: int, folds: int, embargo: int = 0, *, is_anchored: bool = True) -> list[Split]:
    """Splits that move through time: `count` ticks in folds + 2 equal stretches, tested on each from the third on.

    Each fold validates on the stretch before its test, and trains on all before that (anchored) or on one stretch.
    """
    if not 1 <= folds <= count - 2:
        raise DataError(f"walking forward takes at least one fold, and {folds} need {folds + 2} ticks, not {count}")
    bounds = [count * number // (folds + 2) for number in range(folds + 3)]
    return [Split(0 if is_anchored else bounds[fold], *bounds[fold + 1:fold + 4], embargo) for fold in range(folds)]


@dataclass
class Problem:
    """Data with labels and parts: what is learned, and on what it is judged. H horizons."""

    data: Data
    horizons: list[Horizon]
    #: SMOOTHED_MID or TWO_SIDED.
    label: str
    #: The threshold of each horizon.
    alphas: list[float]
    #: [N, H] int8, `labels.NONE` for none.
    classes: np.ndarray
    #: [N, H] int8: the last class known at each tick, `labels.NONE` for none. What persistence predicts.
    known: np.ndarray
    #: [N, H] int64: the ticks of each horizon, -1 where it reaches beyond the data.
    ahead: np.ndarray
    #: [N, H] float64, a fraction of the mid price, NaN for none: the move to the last tick of the horizon …
    returns: np.ndarray
    #: … and the root of the sum of the squared moves on the way.
    volatility: np.ndarray
    #: [N, H] bool for each part: the labels that count in it.
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    #: [N] int8, `labels.NONE` for none, and the ticks that count in each part; nothing where no trend was asked for.
    trend: np.ndarray
    #: Its horizon and threshold; 0 where no trend was asked for.
    trend_ticks: int
    trend_multiple: float
    trend_train: np.ndarray
    trend_validation: np.ndarray
    trend_test: np.ndarray
    split: Split
    #: Ticks after a reset that do not count.
    warm_up: int
    #: [F] float32 each, of the training part: normalised = (features − mean) · scale.
    mean: np.ndarray
    scale: np.ndarray
    #: Where the test part of each recording lies; of one recording from `test_from` to the end.
    tests: tuple[slice, ...] = ()

    @property
    def validation_from(self) -> int:
        return self.split.validation_from

    @property
    def test_from(self) -> int:
        return self.split.test_from

    @property
    def normalised(self) -> np.ndarray:
        """[N, F] float32, computed anew at each call."""
        return ((self.data.features - self.mean) * self.scale).astype(np.float32)

    def apart(self, column: int) -> np.ndarray:
        """[N]: after how many ticks a horizon may begin that does not overlap with a tick's; a time is over when a
        later tick shows it."""
        return self.ahead[:, column] + (self.horizons[column].unit != "ticks")

    def part(self, name: str) -> np.ndarray:
        """[N, H] bool of "train", "validation" or "test"."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def prepare(
    data: Data, horizons: Sequence[int | str | Horizon], warm_up: int | None = None, *, label: str = SMOOTHED_MID,
    alphas: Sequence[float | None] | None = None, split: Split | None = None, trend_ticks: int | None = None,
    trend_multiple: float | None = None,
) -> Problem:
    """Labels, parts, and the means and scales of the training part.

    `warm_up` is the number of ticks after a reset that do not count (None: that of the features). An alpha that is None
    is chosen on the training labels: it makes a third of them flat. So is `trend_multiple`, where `trend_ticks` asks
    for a trend. A tick counts where persistence has a label to go by, as in `martlet score`.
    """
    horizons = [Horizon.parse(value) for value in horizons]
    alphas = list(alphas or [None] * len(horizons))
    if not horizons or len(alphas) != len(horizons) or label not in LABELS:
        raise DataError(f"at least one horizon, one alpha for each, and '{SMOOTHED_MID}' or '{TWO_SIDED}' for labels")
    count = len(data.mid)
    split = split or Split.in_time(count)
    if split.end > count:
        raise DataError(f"{data.instrument} has {count} ticks, and the split ends at {split.end}")
    warm_up = data.description["warm_up_ticks"] if warm_up is None else warm_up
    is_warm = labels.ticks_since_reset(data.reset) >= warm_up
    ahead = np.stack([horizon.ahead(data) for horizon in horizons], axis=1)
    columns = []
    for column, horizon in enumerate(horizons):
        values, usable = _label_values(data, horizon, ahead[:, column], label)
        is_known = _known(data, horizon, ahead[:, column], np.where(usable, labels.FLAT, labels.NONE)) != labels.NONE
        parts = split.parts(ahead[:, column], ahead.max(axis=1)) & usable & is_known & is_warm
        _require_labels(parts, f"the horizon of {horizon}")
        alpha = labels.choose_alpha(values[parts[0]]) if alphas[column] is None else float(alphas[column])
        classes = labels.classify(values, usable, alpha)
        _require_classes(classes, parts, f"the horizon of {horizon}", alpha)
        columns.append((alpha, classes, _known(data, horizon, ahead[:, column], classes), parts,
                        labels.returns(data.mid, data.reset, ahead[:, column]),
                        labels.realised_volatility(data.mid, data.reset, ahead[:, column])))
    alphas, classes, known, parts, returns, volatility = zip(*columns)
    mean, scale = _scales(data, split, warm_up)
    return Problem(
        data, horizons, label, list(alphas), *(np.stack(arrays, axis=1) for arrays in (classes, known)), ahead,
        *(np.stack(arrays, axis=1) for arrays in (returns, volatility)), *np.stack(parts, axis=2),
        *_trend(data, split, is_warm, trend_ticks, trend_multiple), split, warm_up, mean, scale,
        (slice(split.test_from, split.end),))


def prepare_all(
    recordings: Sequence[Data], horizons: Sequence[int | str | Horizon], warm_up: int | None = None, *,
    label: str = SMOOTHED_MID, alphas: Sequence[float | None] | None = None, splits: Sequence[Split] | None = None,
    trend_ticks: int | None = None,
) -> Problem:
    """`prepare` of each recording with its own split, `joined`; thresholds that are not given are chosen on all of
    them."""
    splits = splits or splits_in_time(recordings)

    def of_each(alphas, multiple):
        found = []
        for data, split in zip(recordings, splits, strict=True):
            try:
                found.append(prepare(data, horizons, warm_up, label=label, alphas=alphas, split=split,
                                     trend_ticks=trend_ticks, trend_multiple=multiple))
            except DataError as error:
                raise DataError(f"{_name(data)}: {error}" if len(recordings) > 1 else str(error)) from error
        return found

    problems = of_each(alphas, None)
    if len(problems) == 1:
        return problems[0]
    if alphas is not None and None not in alphas and trend_ticks is None:
        return joined(problems)
    chosen = [labels.choose_alpha(np.concatenate([
        _label_values(one.data, horizon, one.ahead[:, column], label)[0][one.train[:, column]] for one in problems]))
        if alphas is None or alphas[column] is None else float(alphas[column])
        for column, horizon in enumerate(problems[0].horizons)]
    multiple = None if trend_ticks is None else labels.choose_alpha(np.concatenate([
        labels.trend_score(one.data.mid, one.data.reset, trend_ticks)[0][one.trend_train] for one in problems]))
    return joined(of_each(chosen, multiple))


def joined(problems: Sequence[Problem], lead: int = LEAD) -> Problem:
    """One problem of several recordings, prepared alike: the training parts of all, then the validation parts, then the
    test parts. `lead` ticks, but no fewer than the warm-up, before each of the latter, which do not count, stand before
    it once more, after a reset.

    Labels are those of the whole recordings. Times start anew with each recording.
    """
    first = problems[0]
    if any(one.data.names != first.data.names or one.horizons != first.horizons or one.alphas != first.alphas
           or one.label != first.label or one.warm_up != first.warm_up for one in problems):
        raise DataError("recordings are joined that have the same features, horizons, thresholds and warm-up")
    # `martlet score` goes through the whole recording and counts from the warm-up on.
    lead = max(lead, first.warm_up)
    pieces = []
    for part in range(len(PARTS)):
        for one in problems:
            bounds = (one.split.train_from, one.split.validation_from, one.split.test_from, one.split.end)
            begin = max(bounds[part] - lead, one.split.train_from) if part else bounds[part]
            pieces.append((one, slice(begin, bounds[part + 1])))
    lengths = [rows.stop - rows.start for _, rows in pieces]
    ends, count = np.cumsum(lengths).tolist(), len(problems)

    def cut(name, source=lambda one: one):
        return np.concatenate([getattr(source(one), name)[rows] for one, rows in pieces])

    arrays = {name: cut(name) for name in ("classes", "known", "ahead", "returns", "volatility", "trend")}
    part_of = np.repeat(np.arange(len(pieces)) // count, lengths)
    for part, name in enumerate(PARTS):
        arrays[name] = cut(name) & (part_of == part)[:, None]
        arrays[f"trend_{name}"] = cut(f"trend_{name}") & (part_of == part)
    data = Data(**{name: cut(name, lambda one: one.data)
                   for name in ("features", "mid", "bid", "ask", "ts_recv", "reset")},
                description=_described(problems),
                instrument=", ".join(dict.fromkeys(one.data.instrument for one in problems)))
    data.reset[[0, *ends[:-1]]] = 1
    split = Split(0, *ends[count - 1::count], max(one.split.embargo for one in problems))
    mean, scale = _scales(data, split, first.warm_up)
    tests = tuple(map(slice, ends[2 * count - 1:-1], ends[2 * count:]))
    return dataclasses.replace(first, data=data, split=split, mean=mean, scale=scale, tests=tests, **arrays)


def _described(problems: Sequence[Problem]) -> dict:
    found = [one.data.description for one in problems]
    return found[0] | {key: [value for one in found for value in one[key]]
                       for key in ("files", "sha256", "instruments")}


def _scales(data: Data, split: Split, warm_up: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of each feature over the training part."""
    rows = slice(split.train_from, split.validation_from)
    warm = data.features[rows][labels.ticks_since_reset(data.reset)[rows] >= warm_up]
    deviation = warm.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, 1 / np.maximum(deviation, DEVIATION_MIN), 0)
    return warm.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)


def _label_values(data: Data, horizon: Horizon, ahead: np.ndarray, label: str) -> tuple[np.ndarray, np.ndarray]:
    if label == SMOOTHED_MID:
        return labels.smoothed_mid(data.mid, data.reset, ahead)
    if horizon.unit != "ticks":
        raise DataError(f"two-sided labels have a horizon in ticks, not {horizon}")
    try:
        return labels.smoothed_two_sided(data.mid, data.reset, horizon.length)
    except ValueError as error:
        raise DataError(f"{data.instrument}, horizon of {horizon}: {error}: choose a shorter one") from error


def _known(data: Data, horizon: Horizon, ahead: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if horizon.unit == "ticks":
        return labels.persistence(classes, horizon.length)
    return labels.persistence_in_time(classes, data.reset, ahead)


def _trend(data: Data, split: Split, is_warm: np.ndarray, ticks: int | None, multiple: float | None) -> tuple:
    """Classes, horizon, threshold and parts of the trend."""
    count = len(data.mid)
    if ticks is None:
        return np.full(count, labels.NONE, np.int8), 0, 0.0, *np.zeros((3, count), bool)
    try:
        values, usable = labels.trend_score(data.mid, data.reset, ticks)
    except ValueError as error:
        raise DataError(f"{data.instrument}, trend over {ticks} ticks: {error}: choose fewer") from error
    ahead = Horizon(ticks).ahead(data)
    parts = split.parts(ahead, ahead) & usable & is_warm
    _require_labels(parts, f"the trend over {ticks} ticks")
    if multiple is None:
        multiple = labels.choose_alpha(values[parts[0]])
    classes = labels.classify(values, usable, multiple)
    _require_classes(classes, parts, f"the trend over {ticks} ticks", multiple)
    return classes, ticks, multiple, *parts


def _require_labels(parts: np.ndarray, what: str) -> None:
    for name, part in zip(PARTS, parts):
        if not part.any():
            raise DataError(f"the {name} part has no labelled ticks for {what}: more data, or a shorter horizon")


def _require_classes(classes: np.ndarray, parts: np.ndarray, what: str, alpha: float) -> None:
    for name, part in zip(PARTS, parts):
        found = np.unique(classes[part])
        if len(found) < 2:
            raise DataError(
                f"all {part.sum()} labels of the {name} part are {('down', 'flat', 'up')[found[0]]} for {what} with a "
                f"threshold of {alpha:g}: choose another threshold, or bring more data")
