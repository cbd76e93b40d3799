"""From the name of a model to a folder on this machine whose files are safe to load and whole."""

import hashlib
import importlib.util
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from multigen.errors import UsageError

INDEX = "model_index.json"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
LIBRARIES = ("diffusers", "transformers")
PICKLES = (".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth")
CONFIGS = ("config.json", "scheduler_config.json", "preprocessor_config.json", "tokenizer_config.json")
WEIGHTLESS = ("Tokenizer", "TokenizerFast", "FeatureExtractor", "ImageProcessor", "Processor", "Scheduler", "Guider")
"""Ends of the names of classes that have no weights."""
DESCRIBED = (INDEX, "README.md", "*.json", "*.txt", "*.model")
"""Patterns of the files that describe a model: configurations, vocabularies, its card."""
VARIANT = re.compile(r"\.(fp16|bf16)[.-]")
"""Weights that are there twice: these are fetched and used only where a part has no others."""
VARIANTS = ("*.fp16.*", "*.fp16-*", "*.bf16.*", "*.bf16-*")
"""The same, as patterns."""
_PLACE = "give a folder that diffusers saved, or a hub id such as cvssp/audioldm2"


def is_hub_id(name: str, /) -> bool:
    return HUB_ID.fullmatch(name) is not None and not Path(name).exists()


@final
@dataclass(frozen=True)
class Component:
    """One part of a pipeline, as its index names it."""

    name: str
    library: str
    kind: str

    @property
    def weightless(self) -> bool:
        return self.kind.endswith(WEIGHTLESS)


@final
@dataclass(frozen=True)
class Index:
    """A pipeline's ``model_index.json``."""

    pipeline: str
    components: tuple[Component, ...]

    @classmethod
    def read(cls, path: Path, /) -> "Index":
        """Raises UsageError where it is missing, no JSON, or names no pipeline."""
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            pipeline = content["_class_name"]
        except FileNotFoundError:
            raise UsageError(f"{path.parent} has no {INDEX}: {_PLACE}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} cannot be read ({type(error).__name__}: {error}): {_PLACE}") from None
        named = {key: value for key, value in content.items() if isinstance(value, list) and len(value) == 2}
        parts = [Component(key, *value) for key, value in named.items() if all(isinstance(v, str) for v in value)]
        # A pipeline with code of its own is a list of its file and its class.
        return cls(pipeline[-1] if isinstance(pipeline, list) else str(pipeline), tuple(parts))


def fetched(name: str, /, *, revision: str, weights: bool = True, code: bool = False) -> Path:
    """The folder of a hub id, downloaded if need be, or of a path.

    weights, code: whether to fetch those too, beside what describes the model. Raises UsageError for what is not there,
    gated, or out of reach.
    """
    if not is_hub_id(name):
        if revision:
            raise UsageError(f"--revision {revision} is for models with a hub id, and {name} is a folder: leave it out")
        return Path(name)
    folder = snapshot(name, revision, DESCRIBED)
    if not weights:
        return folder
    parts = [component.name for component in Index.read(folder / INDEX).components if not component.weightless]
    wanted = [*DESCRIBED, *(["*.py"] if code else [])]
    folder = snapshot(name, revision, [*wanted, *(f"{part}/*.safetensors" for part in parts)])
    halved = [part for part in parts if not _by_variant(folder / part).get("")]
    if halved:
        folder = snapshot(name, revision, [f"{part}/*.safetensors" for part in halved], but=())
    pickled = [part for part in halved if not _by_variant(folder / part)] if code else []
    if pickled:
        folder = snapshot(name, revision, [f"{part}/*.bin" for part in pickled])
    return folder


def snapshot(name: str, revision: str, patterns: Sequence[str], /, *, but: Sequence[str] = VARIANTS) -> Path:
    """The folder of a hub id with its files of these patterns, except those of others. Raises UsageError as `fetched`
    does."""
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(
            snapshot_download(name, revision=revision or None, allow_patterns=list(patterns), ignore_patterns=list(but))
        )
    except errors.GatedRepoError:
        raise UsageError(
            f"{name} is gated: accept its licence at https://huggingface.co/{name}, then type hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise UsageError(f"{name} has no revision {revision!r}: leave --revision out for its main branch") from None
    except errors.RepositoryNotFoundError:
        raise UsageError(f"no model is called {name} on the hub (or it is private): check its name") from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError, ValueError) as error:
        # also where the network is missing, or HF_HUB_OFFLINE is set
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"{name} is not on this machine and cannot be fetched ({reason}): connect to the network once, or give "
            "the folder of a copy"
        ) from None


def checked(folder: Path, /, *, trusted: bool) -> Index:
    """The index of a folder whose parts all come from libraries, are there, and hold whole safetensors.

    trusted: whether code that comes with the model may run, and pickles be read. Raises UsageError.
    """
    index = Index.read(folder / INDEX)
    for component in index.components:
        if not trusted:
            _check_library(component, folder)
        check_part(component, folder, trusted=trusted)
    return index


def _check_library(component: Component, folder: Path) -> None:
    own = (folder / component.name / f"{component.library}.py").exists()
    if own or not (component.library in LIBRARIES or _is_pipeline_module(component.library)):
        raise UsageError(
            f"{folder}: its {component.name} is {component.library}.{component.kind}, which is neither of diffusers "
            "nor of transformers: read that code, and add --trust-remote-code to run it"
        )


def _is_pipeline_module(library: str) -> bool:
    """Whether diffusers keeps a pipeline and its parts under this name. Nothing is imported."""
    found = importlib.util.find_spec("diffusers")
    homes = [Path(home) / "pipelines" for home in (found.submodule_search_locations or ())] if found else []
    return library.isidentifier() and any((home / library / "__init__.py").exists() for home in homes)


def check_part(component: Component, folder: Path, *, trusted: bool = False) -> None:
    """Raise UsageError unless a part of a folder is there with whole safetensors, or a pickle that is trusted."""
    place = folder / component.name
    if not place.is_dir() or not any((place / name).exists() for name in CONFIGS):
        raise UsageError(
            f"{folder} lacks its part {component.name!r} ({component.kind}), which {INDEX} names: copy it again"
        )
    if component.weightless:
        return
    files = _weights(place)
    if not files:
        raise UsageError(f"{place} holds no .safetensors weights: copy the model again")
    if files[0].suffix in PICKLES and not trusted:
        raise UsageError(
            f"{place} holds only {files[0].name}, a pickle, which can run any code when it is opened: give a model "
            "with .safetensors weights, or add --trust-remote-code to read it, which torch then does without its code"
        )
    for path in place.glob("*.safetensors.index.json"):
        _check_shards(path)
    for path in files:
        if path.suffix not in PICKLES:
            header(path)


def _check_shards(path: Path) -> None:
    try:
        shards = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}): copy the model again") from None
    missing = sorted(shard for shard in shards if not (path.parent / str(shard)).exists())
    if missing:
        raise UsageError(f"{path.parent} lacks {missing[0]}, which {path.name} names: copy the model again")


def header(path: Path, /) -> Mapping[str, Any]:
    """The tensors of a safetensors file, without reading them. Raises UsageError for one that is cut off."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        whole = path.stat().st_size == 8 + length + end
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error, MemoryError, OverflowError):
        raise UsageError(f"{path} is no intact safetensors file: copy the model again") from None
    if not whole:
        raise UsageError(f"{path} is cut off: copy the model again")
    return header


def sizes(folder: Path, index: Index, /) -> Mapping[str, int]:
    """How many weights each part has, from the headers of its files."""
    files = {component.name: _weights(folder / component.name) for component in index.components}
    return {name: sum(map(_count, paths)) for name, paths in files.items() if paths}


def _count(path: Path) -> int:
    if path.suffix in PICKLES:
        return path.stat().st_size // 4  # of float32: nothing is known of what is inside
    return sum(math.prod(entry["shape"]) for entry in header(path).values())


def fingerprint(folder: Path, index: Index, /) -> str:
    """The first 16 hexadecimal digits of a sha256 over the weights of all parts, by their names.

    In the cache of a hub a file is a link to one that is called by its sha256, which is taken for it.
    """
    state = hashlib.sha256()
    for component in index.components:
        for path in _weights(folder / component.name):
            kept = path.resolve().name
            known = path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", kept)
            state.update(f"{component.name}/{path.name} {kept if known else _sha256(path)}\n".encode())
    return state.hexdigest()[:16]


def variant(folder: Path, index: Index, /) -> str | None:
    """What diffusers calls the weights to use, where some part has no plain ones."""
    used = [path for component in index.components for path in _weights(folder / component.name)]
    found = [match[1] for path in used if (match := VARIANT.search(path.name))]
    return found[0] if found else None


def _weights(place: Path) -> list[Path]:
    """The files that are used of a part: plain safetensors, or else those of one variant, or else pickles."""
    found = _by_variant(place) or {"": sorted(path for path in place.glob("*") if path.suffix in PICKLES)}
    return found[min(found)]


def _by_variant(place: Path) -> dict[str, list[Path]]:
    """A part's safetensors by variant; plain ones are that of the empty name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(place.glob("*.safetensors")):
        match = VARIANT.search(path.name)
        found.setdefault(match[1] if match else "", []).append(path)
    return found


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            state.update(block)
    return state.hexdigest()
