"""How a result came about, in plain text and numbers, so that it can be judged and repeated."""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from multigen.evaluation.collection import Collection
from multigen.evaluation.contract import Extractor
from multigen.request import Request

PACKAGES = ("multigen-suite", "torch", "numpy", "scipy", "diffusers", "librosa", "soxr", "av", "trimesh")


def versions() -> dict[str, str]:
    """Of Python and of the packages that can change a figure."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def sha(parts: Sequence[str], /) -> str:
    """16 hexadecimal digits of some texts."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:16]


def told_of(collection: Collection, /) -> dict[str, Any]:
    """How many samples there are, which, of what rates, sizes and prompts, and which of them could not be measured."""
    every = collection.every
    return {
        "samples": len(collection),
        "clusters": len(set(collection.clusters().tolist())),
        "sha256": collection.fingerprint(),
        "prompts": told_of_prompts([record.prompt for record in every if record.prompt]),
        "rates": {unit: sorted(values) for unit, values in _told([record.rates for record in every]).items()},
        "sizes": {name: [min(values), max(values)] for name, values in _told([r.sizes for r in every]).items()},
        "measured_from_files": sum(record.from_file for record in every),
        "faulty": {record.name: list(record.faults) for record in collection.faulty},
    }


def told_of_prompts(prompts: Sequence[str], /) -> dict[str, Any]:
    """How many different ones there are, and a hash of all of them in their order."""
    return {"different": len(set(prompts)), "sha256": sha(prompts)}


def told_of_making(collection: Collection, request: Request, seeds: Sequence[int], /) -> dict[str, Any]:
    """How samples were made: everything but the prompts, and what it took, after a warm-up that is not counted.

    evaluations: the median of what `multigen.evaluation.making.make` counts.
    """
    records = collection.every
    asked = {key: value for key, value in vars(request).items() if key != "prompt"}
    seconds = [record.made["seconds"] for record in records if "seconds" in record.made]
    evaluations = sorted(record.made["evaluations"] for record in records if "evaluations" in record.made)
    return {
        "request": asked,
        "seeds": {"first": min(seeds), "last": max(seeds), "n": len(seeds)},
        "seconds": {"all": sum(seconds), "each": sum(seconds) / max(1, len(seconds))},
        "evaluations": evaluations[len(evaluations) // 2] if evaluations else None,
        "threads": threads_of(collection),
    }


def threads_of(*collections: Collection) -> list[int]:
    """With how many threads samples were made."""
    return sorted({int(made["threads"]) for made in _made(collections) if "threads" in made})


def _made(collections: Sequence[Collection]) -> list[Mapping[str, float]]:
    return [record.made for collection in collections for record in collection.every]


def _told(rows: Sequence[Mapping[str, float]]) -> dict[str, set[float]]:
    """All values by name."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: {row[name] for row in rows if name in row} for name in names}


def told_of_extractor(extractor: Extractor | None, /) -> Mapping[str, str]:
    return {} if extractor is None else {"name": extractor.name, "fingerprint": extractor.fingerprint}


def most_memory(*collections: Collection) -> dict[str, float]:
    """The most that this process or one that made the samples has held, in MiB; see `peak_memory`."""
    found = peak_memory()
    for made in _made(collections):
        for place in ("process", "cuda"):
            if f"{place}_mib" in made:
                found[place] = max(found.get(place, 0.0), made[f"{place}_mib"])
    return found


def peak_memory() -> dict[str, float]:
    """The most memory that the process has held, in MiB: of the machine, and of a CUDA device where there is one.

    The latter since the last sample was begun.
    """
    found = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        found["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.max_memory_allocated() / 2**20
    return found
