"""What a study asks, and its arms."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multigen import registry
from multigen.errors import UsageError
from multigen.request import Request

VARIED = ("model", "sampler", "schedule", "steps", "guidance")
"""What arms differ in, beside the modality; the names are those of `Request`."""
MEASURED = ("against", "training", "data", "metrics", "extractor")
"""What samples do not depend on: it can change when a study goes on."""
_GUIDED = re.compile(r"(\S*)(?:\s+within\s+(\S+))?(?:\s+beside\s+(\S.*))?")


@dataclass(frozen=True)
class Study:
    """Every combination of what is varied, for every modality; an empty tuple is the model's own choice.

    prompts: of each modality. options: of each modality, such as {"audio": {"duration": 2.0}}. against, training:
    folders of real samples of each modality, where there are any; data: or else the dataset of its first model, whose
    held-out part is the one and the rest is the other. named: what a level is in each modality, where that differs, by
    its name: {"strong": {"audio": "cfg:scale=7", "3d": "cfg:scale=3"}}. metrics: names; all that there are if empty.
    extractor: whose features sets are compared by, of each modality, where it is not the modality's own.

    A level of guidance is ``NAME:KEY=VALUE,...``, and may go on with ``within LOW:HIGH``, the noise levels at which it
    is on, and with ``beside MODEL``, the weaker model to steer away from.
    """

    modalities: tuple[str, ...]
    prompts: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    model: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sampler: tuple[str, ...] = ()
    schedule: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    guidance: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    against: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    extractor: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.modalities:
            if name not in registry.modalities:
                raise UsageError(registry.unknown("modality", name, registry.modalities.names()))
            if not self.prompts.get(name):
                raise UsageError(f"there are no prompts for {name}: give --prompts FILE, or {name}=FILE,... for each")
        if not self.modalities or not self.seeds:
            raise UsageError("a study needs a modality and a seed: such as --modalities audio,3d --seeds 0-7")
        self._check_names()
        for name in self.modalities:
            if len(self.prompts[name]) > len(self.seeds):
                raise UsageError(
                    f"{len(self.prompts[name])} prompts of {name} for {len(self.seeds)} seeds, each of which takes one "
                    f"prompt: give more --seeds, such as 0-{len(self.prompts[name]) - 1}, or fewer prompts"
                )
        for name in set(self.data) & {*self.against, *self.training}:
            raise UsageError(f"--data {name}={self.data[name]} has both parts: leave out --against and --training")
        for name in VARIED:
            given = getattr(self, name)
            for values in given.values() if isinstance(given, Mapping) else [given]:
                if len(set(values)) < len(values):
                    raise UsageError(f"--{name} names {_repeated(values)!r} twice: give every level once")

    def _check_names(self) -> None:
        """Nothing that is asked may have no effect. Raises UsageError."""
        levels = sorted({*self.sampler, *self.schedule, *self.guidance})
        for name, meanings in self.named.items():
            if name not in levels:
                raise UsageError(registry.unknown("level in [named]", name, levels))
            self._check_modalities(f"[named.{name}]", meanings)
        self._check_modalities("--models", self.model)
        for flag in ("prompts", "options", "against", "training", "data", "extractor"):
            self._check_modalities(f"--{flag}", getattr(self, flag))

    def _check_modalities(self, place: str, told: Mapping[str, Any]) -> None:
        for name in told:
            if name not in self.modalities:
                raise UsageError(
                    f"{place} is about {name!r}, which is not in the study: leave it out, or add it to --modalities"
                )

    @property
    def items(self) -> int:
        """Samples of an arm: one for each seed, the prompts in turn."""
        return len(self.seeds)

    def item(self, modality: str, index: int, /) -> tuple[str, int]:
        """The prompt and the seed of a sample, the same in every arm."""
        prompts = self.prompts[modality]
        return prompts[index % len(prompts)], self.seeds[index]

    def fingerprint(self) -> str:
        """Of all that the samples depend on, but for the models' weights."""
        return _hash({name: value for name, value in dataclasses.asdict(self).items() if name not in MEASURED})


@dataclass(frozen=True)
class Arm:
    """One combination. Empty strings and 0 steps are the model's own."""

    modality: str
    model: str = ""
    sampler: str = ""
    schedule: str = ""
    steps: int = 0
    guidance: str = ""

    @property
    def key(self) -> str:
        """A name for its folder: readable, and different for different arms."""
        told = [str(value) for value in self.levels().values() if value]
        readable = re.sub(r"[^a-z0-9.=-]+", "-", "_".join(told).lower())[:80].strip("-") or "own"
        return f"{readable}_{_hash(dataclasses.asdict(self))[:8]}"

    def levels(self) -> dict[str, Any]:
        """What it is in everything that is varied."""
        return {name: getattr(self, name) for name in VARIED}

    def request(self, study: Study, prompt: str, /) -> Request:
        """For a sample of a prompt."""
        sampler, schedule, guidance = (
            study.named.get(level, {}).get(self.modality, level)
            for level in (self.sampler, self.schedule, self.guidance)
        )
        found = _GUIDED.fullmatch(guidance)
        if found is None:
            raise UsageError(f"--guidance {guidance!r} is not of the form NAME:KEY=VALUE within LOW:HIGH beside MODEL")
        return Request(
            modality=self.modality,
            prompt=prompt,
            options=dict(study.options.get(self.modality, {})),
            model=self.model,
            sampler=sampler,
            schedule=schedule,
            steps=self.steps or None,
            guidance=found[1],
            guidance_interval=found[2] or "",
            guide_model=found[3] or "",
        )


def arms(study: Study, /) -> list[Arm]:
    """All combinations, modality by modality."""
    return [
        Arm(modality, *levels)
        for modality in study.modalities
        for levels in itertools.product(
            study.model.get(modality) or ("",),
            study.sampler or ("",),
            study.schedule or ("",),
            study.steps or (0,),
            study.guidance or ("",),
        )
    ]


def ranges(numbers: Sequence[int], /) -> str:
    """As they are typed: 0-3, 100."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _repeated(values: Sequence[Any]) -> Any:
    return next(value for value in values if list(values).count(value) > 1)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()[:16]
