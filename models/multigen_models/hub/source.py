"""Models from folders and hubs in the layout of diffusers: the source that `multigen.registry.sources` names.

Light to import, so that what is known can be listed quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from multigen.errors import UsageError
from multigen.loading import Loading
from multigen.sources import Described
from multigen_models.hub import files
from multigen_models.hub.families import FAMILIES, Checkpoint, Family, family_of

if TYPE_CHECKING:
    from multigen.model import Model, Whole

MOST_STEPS_SIGMA = 1000.0
"""Other schedules than a model's own start no higher than this: from there on next to nothing is left to see."""


@final
class Diffusers:
    """A `multigen.sources.Source`."""

    def knows(self, name: str, /) -> bool:
        return files.is_hub_id(name) or (Path(name) / files.INDEX).is_file()

    def load(self, name: str, /, *, modality: str | None, revision: str, loading: Loading) -> Model | Whole:
        trusted = loading.trust_remote_code
        described = files.fetched(name, revision=revision, weights=False)
        _check_modality(name, files.Index.read(described / files.INDEX), modality)
        folder = files.fetched(name, revision=revision, code=trusted)
        index = files.checked(folder, trusted=trusted)
        from multigen_models.hub.levels import UnknownLevelsError
        from multigen_models.hub.pipelines import load_pipeline
        from multigen_models.hub.whole import by_signature

        family = family_of(index.pipeline)
        pipe = load_pipeline(folder, index, family, loading)
        mark = files.fingerprint(folder, index)
        if family is not None and family.opened:
            with suppress(UnknownLevelsError):
                return _opened(pipe, family.of(name), name, mark)
        family = family.of(name) if family else by_signature(pipe, name, modality)
        return _entire(pipe, family, name, mark)

    def describe(self, name: str, /, *, revision: str) -> Described:
        known = {c.name: _described(family, c) for family in FAMILIES for c in family.checkpoints}
        try:
            folder = files.fetched(name, revision=revision, weights=False)
        except UsageError:
            if name not in known:
                raise
            return known[name]
        index = files.Index.read(folder / files.INDEX)
        family = family_of(index.pipeline)
        told = known.get(name) or (_described(family, None) if family else Described(name, "", index.pipeline))
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        return replace(told, name=name, card=text)

    def known(self) -> Sequence[Described]:
        return [_described(family, checkpoint) for family in FAMILIES for checkpoint in family.checkpoints]


def _described(family: Family, checkpoint: Checkpoint | None) -> Described:
    family = family.of(checkpoint.name) if checkpoint else family
    told = {"licence": checkpoint.licence, "size": checkpoint.size, "needs": checkpoint.needs} if checkpoint else {}
    return Described(
        checkpoint.name if checkpoint else family.pipeline,
        family.modality,
        family.makes,
        suggested=family.suggested,
        whole=not family.opened,
        **told,
    )


def _check_modality(name: str, index: files.Index, modality: str | None) -> None:
    """Before gigabytes are fetched."""
    family = family_of(index.pipeline)
    if family is not None and modality is not None and family.modality != modality:
        raise UsageError(f"the model {name!r} makes {family.modality}, not {modality}: type multigen {family.modality}")


def _opened(pipe: Any, family: Family, name: str, mark: str) -> Model:
    from multigen.model import Defaults
    from multigen_models.hub.levels import read_levels
    from multigen_models.hub.opened import Opened

    module, _, function = family.opened.partition(":")
    anatomy = getattr(import_module(f"multigen_models.hub.{module}"), function)(pipe)
    levels = read_levels(pipe.scheduler)
    defaults = Defaults(
        steps=family.steps,
        sampler=family.sampler,
        schedule="own",
        guidance=f"cfg:scale={family.guidance:g}",
        sigma_min=levels.sigma_min,
        sigma_max=min(levels.sigma_max, MOST_STEPS_SIGMA),
    )
    network = getattr(pipe, family.network)
    return Opened(
        anatomy,
        network,
        levels,
        name,
        family.modality,
        mark,
        defaults,
        family.suggested,
        network.dtype,
        family.kind,
    )


def _entire(pipe: Any, family: Family, name: str, mark: str) -> Whole:
    from multigen.model import Defaults
    from multigen_models.hub.whole import Entire

    defaults = Defaults(steps=family.steps, schedule="own", guidance=f"cfg:scale={family.guidance:g}")
    return Entire(
        pipe,
        family.arguments,
        family.fixed,
        name,
        family.modality,
        mark,
        defaults,
        family.suggested,
        family.kind,
    )


source = Diffusers()
