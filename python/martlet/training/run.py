"""A run: from a configuration to a folder with the model, its metrics, figures, card and report.

    config.yaml      all keys, defaults filled in
    origin.json      digests of the data, versions of the feature set and of the stages
    features/        what `martlet features` wrote
    baselines.npz    probabilities of the baselines
    teachers/ peers/ dense/ student/    trained weights, and checkpoints while they train
    model.onnx card.md metrics.json plots/ report.md report.html

Each stage leaves a file and is not repeated when the run goes on. The same configuration gives the same model.onnx on
the same machine.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from ..labels import most_probable
from . import (
    backtest, baselines, card, comparison, engine, evaluation, export, guesses, loop, metrics, origin, plots, pruning,
    risk, stages)
from . import config as configuration
from .config import Config, ConfigError
from .data import SMOOTHED_MID, TWO_SIDED, DataError, Problem, kept_arrays
from .progress import stage

CONFIG, METRICS, MODEL = "config.yaml", "metrics.json", "model.onnx"


def open_folder(config: Config, folder: pathlib.Path, is_resumed: bool, more: dict | None = None) -> None:
    """Makes the run's folder, or takes the one of an earlier run with the same configuration, data and stages, and with
    the same of what is `more`."""
    path, text, made_of = folder / CONFIG, configuration.as_text(config), origin.of(config) | (more or {})
    if path.exists():
        if not is_resumed:
            raise ConfigError(f"{folder} holds a run already: --resume goes on with it, --out names another folder")
        if path.read_text() != text:
            raise ConfigError(
                f"{folder} holds a run with another configuration ({path}): remove the folder to begin anew, "
                "or choose another --out")
        origin.require_same(made_of, folder)
        return
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty and holds no run: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    origin.write(made_of, folder)


def run(config: Config, folder: pathlib.Path, *, is_resumed: bool = False) -> dict:
    """All stages; what metrics.json holds."""
    require_tools(config)
    open_folder(config, folder, is_resumed)
    stage("features")
    feeds = stages.feeds_of(config, folder)
    problem = stages.problem_of(config, stages.load_data(config, folder, feeds))
    predictions, positions, job, result = train_all(config, problem, folder)
    return finish(config, problem, job, result, predictions, positions, feeds, folder)


def require_tools(config: Config) -> None:
    """Says what is missing before the first hour, not after it."""
    plots.figure()
    if not config.data.folder:
        engine.program()


def require_file(config: Config, what: str) -> None:
    """Refuses what needs a model file where none is written, as the model contract does not have the labels."""
    if config.data.label != SMOOTHED_MID:
        raise ConfigError(f"{what} needs a model file, and none is written of data.label {config.data.label}, which "
                          "the model contract does not have (docs/MODEL.md); `run` gives its metrics and report")


def train_all(config: Config, problem: Problem, folder: pathlib.Path) -> tuple[dict, dict, stages.Job, loop.Trained]:
    """All predictors of a problem, the student last: probabilities [N, H, 3] of the others and positions [N] of the
    dense student, by name; the student's job and what was trained."""
    predictions, positions = baseline_predictions(config, problem, folder), {}
    taught = train_teachers(config, problem, folder, predictions)
    for peer in config.peers:
        stage(peer.name)
        job = stages.peer_job(config, peer, problem)
        result = stages.trained(job, problem, folder / "peers" / peer.name)
        predictions[peer.name] = tilted(config, problem, stages.outputs(job, problem, result)["probabilities"])
    if config.has_dense:
        stage("dense student")
        job = stages.student_job(config, problem, is_taught=bool(taught))
        result = stages.trained(job, problem, folder / "dense", taught)
        found = stages.outputs(job, problem, result)
        predictions["student, dense fp32"] = tilted(config, problem, found["probabilities"])
        if "position" in found:
            positions["student, dense fp32"] = found["position"][:, 0]
    stage("student")
    job = stages.student_job(config, problem, is_taught=bool(taught), pruned=config.pruning,
                             quantized=config.quantization)
    return predictions, positions, job, stages.trained(job, problem, folder / "student", taught)


def baseline_predictions(config: Config, problem: Problem, folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Probabilities of the baselines, and tilted ones of those that learn."""
    stage("baselines")
    path, found = folder / "baselines.npz", {}
    if path.exists():
        found = kept_arrays(path)
    else:
        make = {"majority": baselines.majority, "persistence": baselines.persistence, "logistic": baselines.logistic,
                "mirrored": baselines.mirrored, "trees": lambda problem: baselines.trees(problem, config.seed)}
        found = {name: make[name](problem) for name in config.baselines}
        with open(folder / "new.npz", "wb") as file:
            np.savez(file, **found)
        (folder / "new.npz").replace(path)
    result = {}
    for name, values in found.items():
        result[name] = values
        if name in ("logistic", "mirrored", "trees") and config.is_tilted:
            result[f"{name}, tilted"] = baselines.tilted(problem, values, name == "mirrored")[0]
    if problem.label == TWO_SIDED:
        result["known half"] = guesses.known_two_sided(problem)
    return result


def train_teachers(config: Config, problem: Problem, folder: pathlib.Path, predictions: dict) -> dict | None:
    """What the student learns from; adds the teachers' mean to the predictions."""
    if not config.teachers:
        return None
    jobs = []
    for peer in config.teachers:
        stage(f"teacher {peer.name}")
        job = stages.peer_job(config, peer, problem)
        jobs.append((job, stages.trained(job, problem, folder / "teachers" / peer.name)))
    taught = stages.teach(jobs, problem, with_hidden=config.distillation.features > 0)
    predictions["teacher"] = tilted(config, problem, taught[stages.TEACHER])
    return taught


def tilted(config: Config, problem: Problem, probabilities: np.ndarray) -> np.ndarray:
    """The probabilities as they are judged: by macro F1, so that class shares are divided out where the run says so."""
    return baselines.tilted(problem, probabilities)[0] if config.is_tilted else probabilities


def exported(config: Config, problem: Problem, job, result, metrics: dict | None = None):
    """The model as it is written to a file."""
    return export.to_onnx(job.network, job.heads, result.weights, problem.mean, problem.scale,
                          stages.metadata(config.name, problem, metrics or {}), result.ranges)


def export_student(config: Config, problem: Problem, job, result, path: pathlib.Path, metrics: dict | None = None):
    """Writes the file; the model."""
    model = exported(config, problem, job, result, metrics)
    export.save(model, path)
    return model


@dataclass(frozen=True)
class Judged:
    """The student as it is exported, and what that gives."""

    job: stages.Job
    result: loop.Trained
    #: Outputs [N, …] of the exported model: of floats the training code's, of bytes the integer reference's.
    outputs: dict[str, np.ndarray]
    #: By which class shares are divided out, for each horizon; none without tilt.
    powers: list[float]
    #: The largest difference of the exported model's outputs from those of the training code.
    difference: float


def judged_student(config: Config, problem: Problem, job, result, predictions: dict) -> Judged:
    """The student with its tilt and its factors of risk, exported and run; adds what it gives to the predictions."""
    stage("export and checks")
    found, powers = stages.outputs(job, problem, result), []
    if config.is_tilted:
        predictions["student, not tilted"] = found["probabilities"]
        result, powers = stages.tilt(problem, result, found["probabilities"])
    if "value_at_risk" in found:
        job = stages.with_risk_factors(job, problem, found)
    found = stages.outputs(job, problem, result)
    model = exported(config, problem, job, result)
    if result.ranges is not None:
        simulated, found = found, evaluation.exact_outputs(model, problem, found)
        difference = float(np.abs(found["probabilities"] - simulated["probabilities"])[problem.test_from:].max())
    else:
        difference = evaluation.check_file(model, problem, found)
    predictions["student"] = found["probabilities"]
    return Judged(job, result, found, powers, difference)


def finish(config, problem, job, result, predictions, positions, feeds, folder) -> dict:
    """Exports, checks that the file does what was evaluated, and writes what there is to read."""
    student = judged_student(config, problem, job, result, predictions)
    job, result, found = student.job, student.result, student.outputs
    rows = comparison.compare(problem, predictions)
    risks = risk.compare(problem, "student", found) if "value_at_risk" in found else {}
    accounts, judged = {}, []
    if config.trading:
        positions = {"student": found["position"][:, 0]} | positions
        accounts = backtest.compare(problem, job.market, positions, found["probabilities"], config.trading.latency)
        per_day = backtest.ticks_per_day(problem.data.ts_recv[problem.test_from:], config.trading.day_hours)
        judged = [backtest.judge(name, account, per_day) for name, account in accounts.items()]
    values = {"name": config.name, "test": evaluation.plain(rows),
              "other_heads": evaluation.other_heads(problem, found, rows),
              "risk_factors": job.heads.risk_factors, "risk": risk.plain(risks), "trading": backtest.plain(judged),
              "tilt": student.powers, "density": pruning.density(result.weights, job.network.prunable),
              "precision": "int8" if result.ranges is not None else "fp32", "largest_difference": student.difference,
              "best_epoch": result.best_epoch, "history": result.history, "beaten_by": beaten_by(rows),
              "is_exported": problem.label == SMOOTHED_MID}
    if values["is_exported"]:
        export_student(config, problem, job, result, folder / MODEL, evaluation.file_metrics(rows, problem, "student"))
        values |= ask_engine(config, problem, student, feeds, folder / MODEL)
    values = finite(values)
    (folder / METRICS).write_text(json.dumps(values, indent=1, default=float, allow_nan=False) + "\n")
    text = card.write(config, problem, job, result, rows, risks, judged, values)
    (folder / "card.md").write_text(text.markdown())
    figures = draw(problem, rows, predictions["student"], values["history"], folder / "plots")
    figures += draw_heads(problem, risks, accounts, folder / "plots")
    write_report(config, text, figures, folder)
    stage(None)
    return values


def ask_engine(config: Config, problem: Problem, student: Judged, feeds: list[list[pathlib.Path]], path: pathlib.Path,
               ) -> dict:
    """What the engine says of the file: `engine`, its times, and with feeds `score_check`, its scores."""
    values = {}
    try:
        values["engine"] = {key: value for key, value in engine.frontier_row(path).items() if key != "layers"}
    except engine.EngineError:
        if feeds:
            raise
    if feeds:
        values["score_check"] = evaluation.check_score(path, feeds, problem, student.outputs["probabilities"],
                                                       student.result.ranges is not None, config.data.sizes)
    return values


def beaten_by(rows) -> list[str]:
    """What has a higher macro F1 at which horizon."""
    scores = [(row.name, row.horizon, row.intervals["macro_f1"].value) for row in rows]
    student = {horizon: score for name, horizon, score in scores if name == "student"}
    return [f"{name} at {horizon} ({score:.3f} against {student[horizon]:.3f})" for name, horizon, score in scores
            if not name.startswith("student,") and score > student[horizon]]


def finite(value):
    """What JSON can hold: None for a number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, (float, np.floating)) and not np.isfinite(value) else value


def write_report(config, text, figures, folder) -> None:
    """The card with figures before its limits."""
    text.title = f"Run of {config.name}"
    place = next(index for index, block in enumerate(text.blocks) if block == ("heading", "Limits"))
    text.blocks[place:place] = [("heading", "Figures"), *(("figure", path, name) for path, name in figures)]
    text.write(folder)


def draw(problem, rows, probabilities, history, folder) -> list[tuple[pathlib.Path, str]]:
    """Figures as PNG, with what they show."""
    horizons = [str(horizon) for horizon in problem.horizons]
    names = list(dict.fromkeys(row.name for row in rows))
    scores = {name: [row.intervals["macro_f1"] for row in rows if row.name == name] for name in names}
    figures = [(folder / "f1.png", "Macro F1 by horizon with 95 % intervals")]
    plots.f1_bars(figures[0][0], horizons, scores, "test part")
    for column, horizon in enumerate(horizons):
        chosen = problem.test[:, column]
        expected, stated = problem.classes[chosen, column], probabilities[chosen, column]
        short = horizon.replace(" ", "")
        figures += [(folder / f"reliability-{short}.png", f"Reliability, {horizon}"),
                    (folder / f"confusion-{short}.png", f"Confusion, {horizon}")]
        plots.reliability_plot(figures[-2][0], expected, stated, horizon)
        plots.confusion_plot(figures[-1][0], metrics.confusion(expected, most_probable(stated)), horizon)
    figures.append((folder / "loss.png", "Loss by epoch; validation where weights may be chosen"))
    plots.loss_plot(figures[-1][0], history)
    return figures


def draw_heads(problem, risks, accounts, folder) -> list[tuple[pathlib.Path, str]]:
    """Figures of value at risk by horizon, and of what positions earned: all of them, and those but the sides taken at
    each prediction, whose costs leave nothing to be seen of the others."""
    figures = []
    for column, (horizon, found) in enumerate(risks.items()):
        ticks = metrics.non_overlapping(
            problem.test[:, column] & np.isfinite(problem.returns[:, column]), problem.apart(column))
        returns, stated = problem.returns[ticks, column], {one.name: one.value_at_risk[ticks, 0] for one, _ in found}
        figures.append((folder / f"risk-{horizon.replace(' ', '')}.png", f"Value at risk at 95 %, {horizon}"))
        plots.value_at_risk_plot(
            figures[-1][0], returns, stated, metrics.violations(returns, stated["student"]), figures[-1][1])
    rare = {name: one for name, one in accounts.items() if not name.startswith(backtest.SIGN)}
    for name, chosen, text in (("equity", accounts, "Equity after costs"),
                               ("equity-rare", rare, "Equity after costs, without the sign at each prediction")):
        if chosen:
            figures.append((folder / f"{name}.png", text))
            plots.equity_plot(figures[-1][0], {name: one.equity for name, one in chosen.items()}, "test part")
    return figures


def save_to(folder: pathlib.Path, target: pathlib.Path, name: str) -> None:
    """Puts a run's model and card where models are kept."""
    target.mkdir(parents=True, exist_ok=True)
    for source, ending in ((MODEL, "onnx"), ("card.md", "md")):
        if not (folder / source).exists():
            raise DataError(f"{folder / source} is not there: the run is not finished")
        shutil.copyfile(folder / source, target / f"{name}.{ending}")


def sameness(made: pathlib.Path, shipped: pathlib.Path) -> str:
    """Whether the model that was made is the shipped file, byte by byte; if not, how far their scores are apart."""
    if not shipped.exists():
        return f"{shipped} is not there: {made} stands beside nothing"
    new, old = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (made, shipped))
    if new == old:
        return f"{made} equals {shipped} to the byte (SHA-256 {new})"
    ours, theirs = (_scores_in(path) for path in (made, shipped))
    gaps = {name: abs(value - theirs[name]) for name, value in ours.items() if name in theirs}
    far = max(gaps, key=gaps.__getitem__, default=None)
    apart = (f"their scores are apart by at most {gaps[far]:.4f} ({far})" if far else
             "one of them holds no scores that can be read")
    return (f"{made} differs from {shipped} (SHA-256 {new}, there {old}), as it does on another kind of processor or "
            f"with other package versions; {apart}")


def _scores_in(path: pathlib.Path) -> dict[str, float]:
    """The scores that a model's file holds; none where it cannot be read."""
    try:
        found = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        return json.loads(found["martlet.metrics"])
    except (DecodeError, KeyError, ValueError):
        return {}


def summary(values: dict) -> str:
    """What a run says at its end: scores by horizon and predictor, and the file."""
    width = max(len(row["name"]) for row in values["test"])
    lines = [f"{row['horizon']:>12}  {row['name']:<{width}}  macro F1 {row['macro_f1']['value']:.3f} "
             f"[{row['macro_f1']['low']:.3f}, {row['macro_f1']['high']:.3f}]" for row in values["test"]]
    last = f"density {values['density']:.3f}, {values['precision']}"
    if "engine" in values:
        last += f", {values['engine']['bytes']:,} bytes, p50 {values['engine']['p50_ns']:,.0f} ns"
    if not values["is_exported"]:
        last += "; no model file: the model contract does not have these labels"
    checked = values.get("score_check", {}).get("horizons", [])
    if checked:
        largest = max(row["difference"] for row in checked)
        last += f"; martlet score reproduces the scores, largest difference {largest:.1e}"
    return "\n".join([*lines, last])

