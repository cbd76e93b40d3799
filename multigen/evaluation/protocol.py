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
    """How many samples there are, which, and which of them could not be measured."""
    return {
        "samples": len(collection),
        "clusters": len(set(collection.clusters().tolist())),
        "sha256": collection.fingerprint(),
        "faulty": {record.name: list(record.faults) for record in collection.faulty},
    }


def told_of_making(collection: Collection, request: Request, seeds: Sequence[int], /) -> dict[str, Any]:
    """How samples were made: everything but the prompts, of which there is a hash, and what it took."""
    records = [*collection.records, *collection.faulty]
    prompts = [record.prompt for record in records]
    asked = {key: value for key, value in vars(request).items() if key != "prompt"}
    seconds = [record.made["seconds"] for record in records if "seconds" in record.made]
    evaluations = sorted(record.made["evaluations"] for record in records if "evaluations" in record.made)
    return {
        "request": asked,
        "prompts": {"different": len(set(prompts)), "sha256": sha(prompts)},
        "seeds": {"first": min(seeds), "last": max(seeds), "n": len(seeds)},
        "seconds": {"all": sum(seconds), "each": sum(seconds) / max(1, len(seconds))},
        "evaluations": evaluations[len(evaluations) // 2] if evaluations else None,
        "threads": torch.get_num_threads(),
    }


def told_of_extractor(extractor: Extractor | None, /) -> Mapping[str, str]:
    return {} if extractor is None else {"name": extractor.name, "fingerprint": extractor.fingerprint}


def peak_memory() -> dict[str, float]:
    """The most memory that the process has held, in MiB: of the machine, and of a CUDA device where there is one."""
    found = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        found["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.max_memory_allocated() / 2**20
    return found
