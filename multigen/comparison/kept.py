"""What the samples in a study's folder depend on: the study can go on and grow there, and never mixes what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multigen.atomic import replace_file
from multigen.comparison.study import Arm, Study
from multigen.errors import UsageError
from multigen.evaluation.making import told_of_job
from multigen.job import Job

NAME = "study.json"
LAYOUT = 2
"""Raised when what is kept of a study changes."""


def keep(folder: Path, study: Study, jobs: Mapping[Arm, Job], /) -> None:
    """Add a study to what its folder was asked for before, in study.json.

    Arms and modalities may be new or left out, and there may be more or fewer seeds: a sample is told by its arm and
    its number, so all that is there stays as it is.

    Raises
    ------
    UsageError: a sample that may be there already would be made in another way; nothing is written then.
    """
    path = folder / NAME
    items = {name: [list(study.item(name, i)) for i in range(study.items)] for name in study.modalities}
    told = {f"{arm.modality}/{arm.key}": told_of_job(job) for arm, job in jobs.items()}
    asked: dict[str, Any] = json.loads(json.dumps({"layout": LAYOUT, "items": items, "arms": told}))
    empty: dict[str, Any] = {"layout": LAYOUT, "items": {}, "arms": {}}
    there: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else empty
    if there.get("layout") != LAYOUT:
        raise UsageError(f"{folder} holds a study that another version of multigen made: give another -o")
    _check_items(there["items"], asked["items"], path)
    _check_arms(there["arms"], asked["arms"], path)
    longest = {name: max(items, there["items"].get(name, []), key=len) for name, items in asked["items"].items()}
    whole = {"layout": LAYOUT, "items": there["items"] | longest, "arms": there["arms"] | asked["arms"]}
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(whole, indent=1).encode())


def _check_items(there: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    """Numbers that both have must be of the same prompts and seeds."""
    for modality in there.keys() & asked.keys():
        for i, (old, new) in enumerate(zip(there[modality], asked[modality], strict=False)):
            if old != new:
                raise UsageError(
                    f"{path.parent} holds another study: its {modality} sample {i} is of {old[0]!r}, seed {old[1]}, "
                    f"not of {new[0]!r}, seed {new[1]}: give another -o, or the prompts and seeds of {path}, with any "
                    "more seeds after them"
                )


def _check_arms(there: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    """Arms that both have must be made in the same way."""
    for arm in sorted(there.keys() & asked.keys()):
        (old, guide), (new, other) = ((told["request"], told["guide"]) for told in (there[arm], asked[arm]))
        if (old["fingerprint"], guide) != (new["fingerprint"], other):
            raise UsageError(
                f"the weights of {arm} are no longer those that {path.parent} was begun with: give another -o, or put "
                "the former ones back"
            )
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                raise UsageError(
                    f"{path.parent} holds another study: the {name.replace('_', ' ')} of {arm} is {old.get(name)!r} "
                    f"there, not {new.get(name)!r}: give another -o, or ask for the former"
                )
