"""Which extractor looks at samples: the modality's own, one that is registered, or one by its folder or hub id."""

from collections.abc import Sequence
from pathlib import Path

from multigen import registry
from multigen.errors import UsageError
from multigen.evaluation.contract import Extractor, ExtractorLoader, Measured, Reads
from multigen.modality import Modality

ELSEWHERE = "pretrained"
"""The registered loader of what is not multigen's own: a folder or hub id of other libraries."""


def own(modality: Modality, /) -> Sequence[Extractor]:
    """Those of the modality itself, the one that is used unless another is named first."""
    return modality.extractors() if isinstance(modality, Measured) else ()


def registered(modality: Modality, /) -> list[str]:
    """Names of registered extractors of the modality's samples that need no place."""
    return [name for name in registry.extractors.names() if _fits(registry.extractors[name], modality)]


def find(name: str, modality: Modality, known: Sequence[Extractor], /) -> Extractor:
    """One of the known, a registered one, one in a folder that ``multigen train`` wrote, or one of other libraries.

    Raises UsageError where there is no such extractor, or it sees samples of another modality.
    """
    for extractor in known:
        if extractor.name == name:
            return extractor
    if name in registry.extractors and name != ELSEWHERE:
        return _of(modality, registry.extractors[name](), name)
    if Path(name).is_dir() or (name.count("/") == 1 and not name.startswith((".", "/"))):
        return _of(modality, _open(name), name)
    names = [*(extractor.name for extractor in known), *registered(modality)]
    raise UsageError(f"{registry.unknown('extractor', name, names)}, or give a folder or hub id")


def reader(modality: Modality, known: Sequence[Extractor], /) -> Reads | None:
    """The first of the known extractors that knows texts, or else the first registered one that does."""
    for extractor in known:
        if isinstance(extractor, Reads):
            return extractor
    for name in registered(modality):
        extractor = registry.extractors[name]()
        if isinstance(extractor, Reads):
            return extractor
    return None


def _fits(loader: ExtractorLoader, modality: Modality) -> bool:
    return loader.modality == modality.name and loader.ready


def _open(place: str) -> Extractor:
    from multigen.provenance import read_loader

    loader = read_loader(Path(place)) if (Path(place) / "multigen.json").is_file() else ELSEWHERE
    if loader not in registry.extractors:
        raise UsageError(f"{place} is no extractor: give a folder that multigen train wrote for an encoder")
    found: Extractor = registry.extractors[loader](place)
    return found


def _of(modality: Modality, extractor: Extractor, name: str) -> Extractor:
    sees = getattr(extractor, "modality", modality.name)
    if sees != modality.name:
        raise UsageError(f"the extractor {name!r} sees {sees}, not {modality.name}: choose another --extractor")
    return extractor
