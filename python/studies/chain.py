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
    """How long a student learns, dense and pruned, from which share of the pruning on its blocks are fixed, and in how
    many lanes: half as many are twice the steps."""

    dense: int = 8
    pruned: int = 6
    fixed_from: float = 0.5
    learning_rate: float = 3e-3
    lanes: int = STUDENT.lanes

    def variants(self, densities: tuple[float, ...], integer_densities: tuple[float, ...]) -> list[Variant]:
        """All but the dense student of floats, which they begin from. Bytes are quantised once blocks are fixed."""
        quantization = Quantization(begin=self.fixed_from)
        return [Variant(f"fp32 {100 * density:g}%", self._pruned(density, None)) for density in densities] + [
            Variant("int8 dense", dataclasses.replace(QUANTISED, lanes=self.lanes))] + [
            Variant(f"int8 {100 * density:g}%", self._pruned(density, quantization)) for density in integer_densities]

    def _pruned(self, density, quantization):
        pruning = Pruning(
            density=density, begin=0.0, end=self.fixed_from, every=5, is_integer=quantization is not None)
        return dataclasses.replace(STUDENT, epochs=self.pruned, learning_rate=self.learning_rate, lanes=self.lanes,
                                   pruning=pruning, quantization=quantization)


@dataclasses.dataclass(frozen=True)
class Member:
    """A network of its own beside those of `teach`'s seeds."""

    name: str
    network: object
    settings: loop.Settings


def teach(study: Study, network, seeds: tuple[int, ...], others: list[np.ndarray] | None = None,
          further: tuple[Member, ...] = ()) -> np.ndarray:
    """[N, H, 3]: the mean of what members, one of each seed and the further ones, say of the market and of its mirror
    image; then the mean of that with `others`, NaN where they say nothing."""
    every = [Member(f"teacher member {seed}", network, dataclasses.replace(TEACHER, seed=seed)) for seed in seeds]
    files = [f"teacher/{network.cell}-{seed}" for seed in seeds]
    every, files = [*every, *further], [*files, *(f"teacher/{one.name}" for one in further)]
    taught = distillation.ensemble([_said(study, one, file) for one, file in zip(every, files)])
    for other in others or []:
        taught = np.where(np.isfinite(other), (taught + other) / 2, taught).astype(np.float32)
    study.add("teacher", [taught])
    # Every member says its own of both sides. The time of `others` is not in it.
    times = [2 * study.rows[one.name]["engine"]["p50_ns"] for one in every]
    study.rows["teacher"]["engine"] = {"p50_ns": sum(times), "precision": "fp32", "density": 1.0}
    return taught


def beside(study: Study, member: Member, taught: np.ndarray) -> None:
    """Adds a member that does not teach, and what the teacher would be with a quarter of it."""
    said = _said(study, member, f"beside/{member.name}")
    both = np.where(np.isfinite(said), (3 * taught + said) / 4, taught).astype(np.float32)
    study.add(f"teacher and {member.name}", [both])
    time = study.rows["teacher"]["engine"]["p50_ns"] + 2 * study.rows[member.name]["engine"]["p50_ns"]
    study.rows[f"teacher and {member.name}"]["engine"] = study.rows["teacher"]["engine"] | {"p50_ns": time}


def _said(study, member, file):
    """Adds the member; what it says, [N, H, 3], the mean of both sides."""
    trained = study.trained(file, member.network, member.settings)
    said = study.outputs(file, member.network, trained, is_mirrored=True)
    study.add(member.name, [said])
    facts = study.measured(file, member.network, trained, [0.0] * study.heads.horizons)
    study.rows[member.name] |= {"engine": facts}
    return said


def students(study: Study, kind: str, network, taught: np.ndarray, seeds: tuple[int, ...],
             course: Course, densities: tuple[float, ...], integer_densities: tuple[float, ...]) -> None:
    """Adds the dense student, named `kind` and its variant, and each variant of it."""
    dense = [study.trained(f"{kind}/dense-{seed}", network,
                           dataclasses.replace(STUDENT, epochs=course.dense, lanes=course.lanes, seed=seed), taught)
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
