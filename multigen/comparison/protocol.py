"""How the figures of a study came about, as JSON."""

from __future__ import annotations

from typing import Any

from multigen.comparison.run import Runner
from multigen.comparison.study import ranges
from multigen.evaluation import Collection
from multigen.evaluation.protocol import (
    most_memory,
    threads_of,
    told_of,
    told_of_extractor,
    told_of_prompts,
    versions,
)
from multigen.modality import Rated


def protocol_of(runner: Runner, /) -> dict[str, Any]:
    """Of a complete study. Versions and devices are those of the process that asks.

    Memory of the machine is told for all processes together, because one that made several arms cannot tell them apart;
    that of a CUDA device of each arm.
    """
    made = {arm: runner.collection(arm) for arm in runner.arms}
    return {
        "study": runner.study.fingerprint(),
        "seeds": ranges(runner.study.seeds),
        "modalities": {name: _modality(runner, name) for name in runner.study.modalities},
        "arms": {arm.key: _arm(runner.request(arm).fingerprint, made[arm]) for arm in runner.arms},
        "threads": threads_of(*made.values()),
        "peak_memory_mib": most_memory(*made.values()),
        "versions": versions(),
    }


def _modality(runner: Runner, name: str) -> dict[str, Any]:
    modality, first = runner.modality(name), next(arm for arm in runner.arms if arm.modality == name)
    real, training = runner.real(name), runner.training(name)
    return {
        "prompts": told_of_prompts(runner.study.prompts[name]),
        "metrics": {metric.name: metric.version for metric in runner.metrics(name)},
        "extractor": told_of_extractor(runner.extractor(name)),
        "reader": told_of_extractor(runner.reader(name)),
        "resampler": modality.resampler if isinstance(modality, Rated) else None,
        "device": getattr(runner.pipeline(first).model, "device", None),
        "real": told_of(real) if real is not None else None,
        "training": told_of(training) if training is not None else None,
    }


def _arm(weights: str, made: Collection) -> dict[str, Any]:
    told = told_of(made)
    cuda = [record.made["cuda_mib"] for record in made.every if "cuda_mib" in record.made]
    kept = {name: told[name] for name in ("samples", "sha256", "rates", "sizes", "measured_from_files", "faulty")}
    return {"weights": weights, **kept, "peak_cuda_mib": max(cuda, default=None)}
