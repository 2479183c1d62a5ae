"""Teacher, students, pruned and quantised students of one problem, and the tables of what that costs."""

from __future__ import annotations

import dataclasses

import numpy as np

from martlet.training import distillation, loop
from martlet.training.distillation import Distillation
from martlet.training.pruning import Pruning
from martlet.training.quantization import Quantization
from martlet.training.report import markdown_table
from study import Study

#: Strong dropout, few epochs: one day is soon learned by heart.
TEACHER = loop.Settings(epochs=6, learning_rate=6e-3, weight_decay=3e-2, average_decay=0.98, lanes=96)
STUDENT = loop.Settings(epochs=8, learning_rate=5e-3, average_decay=0.98, lanes=96,
                        distillation=Distillation(temperature=2.0, share=0.7))
#: A dense student's weights are pruned and quantised further.
QUANTISED = dataclasses.replace(STUDENT, epochs=4, learning_rate=2e-3, quantization=Quantization(begin=0.0))


@dataclasses.dataclass(frozen=True)
class Variant:
    name: str
    settings: loop.Settings


@dataclasses.dataclass(frozen=True)
class Course:
    """How long a student learns, dense and pruned, and from which share of the pruning on its blocks are fixed."""

    dense: int = 8
    pruned: int = 6
    fixed_from: float = 0.5
    learning_rate: float = 3e-3

    def variants(self, densities: tuple[float, ...], integer_densities: tuple[float, ...]) -> list[Variant]:
        """All but the dense student of floats, which they begin from. Bytes are quantised once blocks are fixed."""
        quantization = Quantization(begin=self.fixed_from)
        return [Variant(f"fp32 {100 * density:g}%", self._pruned(density, None)) for density in densities] + [
            Variant("int8 dense", QUANTISED)] + [
            Variant(f"int8 {100 * density:g}%", self._pruned(density, quantization)) for density in integer_densities]

    def _pruned(self, density, quantization):
        pruning = Pruning(
            density=density, begin=0.0, end=self.fixed_from, every=5, is_integer=quantization is not None)
        return dataclasses.replace(STUDENT, epochs=self.pruned, learning_rate=self.learning_rate, pruning=pruning,
                                   quantization=quantization)


def teach(study: Study, network, seeds: tuple[int, ...], others: list[np.ndarray] | None = None) -> np.ndarray:
    """[N, H, 3]: the mean of what members of several seeds say of the market and of its mirror image; then the mean of
    that with `others`, NaN where they say nothing."""
    members = []
    for seed in seeds:
        name = f"teacher/{network.cell}-{seed}"
        trained = study.trained(name, network, dataclasses.replace(TEACHER, seed=seed))
        members.append(study.outputs(name, network, trained, is_mirrored=True))
        study.add(f"teacher member {seed}", [members[-1]])
        facts = study.measured(name, network, trained, [0.0] * study.heads.horizons)
        study.rows[f"teacher member {seed}"] |= {"engine": facts}
    taught = distillation.ensemble(members)
    for other in others or []:
        taught = np.where(np.isfinite(other), (taught + other) / 2, taught).astype(np.float32)
    study.add("teacher", [taught])
    # Every member says its own of both sides. The time of `others` is not in it.
    times = [2 * study.rows[f"teacher member {seed}"]["engine"]["p50_ns"] for seed in seeds]
    study.rows["teacher"]["engine"] = {"p50_ns": sum(times), "precision": "fp32", "density": 1.0}
    return taught


def students(study: Study, kind: str, network, taught: np.ndarray, seeds: tuple[int, ...],
             course: Course, densities: tuple[float, ...], integer_densities: tuple[float, ...]) -> None:
    """Adds the dense student, named `kind` and its variant, and each variant of it."""
    dense = [study.trained(f"{kind}/dense-{seed}", network,
                           dataclasses.replace(STUDENT, epochs=course.dense, seed=seed), taught)
             for seed in seeds]
    _judge(study, kind, "fp32 dense", network, dense, seeds)
    for variant in course.variants(densities, integer_densities):
        found = [study.trained(f"{kind}/{variant.name.replace(' ', '-')}-{seed}", network,
                               dataclasses.replace(variant.settings, seed=seed), taught, one.weights)
                 for seed, one in zip(seeds, dense)]
        _judge(study, kind, variant.name, network, found, seeds)


def _judge(study, kind, variant, network, found, seeds):
    names = [f"{kind}/{variant.replace(' ', '-')}-{seed}" for seed in seeds]
    name = f"{kind} {variant}"
    study.add(name, [study.outputs(one, network, trained) for one, trained in zip(names, found)])
    # All seeds are judged; the first one is measured and would be used.
    study.rows[name]["file"] = study.folder / f"{names[0]}.onnx"
    study.rows[name]["engine"] = study.measured(names[0], network, found[0], study.rows[name]["exponents"])


def scores(study: Study, column: int) -> str:
    """All predictors: validation, test with intervals, time in the engine."""
    rows = []
    for name, facts in study.rows.items():
        score, loss = facts[f"validation_{column}"]
        engine = facts.get("engine", {})
        time = f"{engine['p50_ns']:,.0f}" if engine else "–"
        density = f"{engine.get('prunable', engine['density']):.2f}" if engine else "–"
        seeds = len(study.predictions[name])
        tilt = f"{facts['exponents'][column]:g}"
        rows.append([name, seeds, f"{score:.3f}", f"{loss:.3f}", study.score(name, column), tilt, density, time])
    heads = ["", "seeds", "validation F1", "validation loss", "test macro F1", "tilt", "density", "p50 ns"]
    return markdown_table([heads, *rows])


def losses(study: Study, pairs: list[tuple[str, str]], column: int) -> str:
    """Paired: ratio and difference of the first's macro F1 to the second's."""
    rows = [[first, second, study.ratio(first, second, column), study.difference(first, second, column)]
            for first, second in pairs]
    return markdown_table([["", "against", "ratio", "difference"], *rows])
