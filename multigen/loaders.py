"""A model by its name: of the zoo, a folder that was trained, or what a source knows."""

import dataclasses
from pathlib import Path
from typing import Any

from multigen import registry
from multigen.errors import UsageError
from multigen.loading import AUTOMATIC, Loading, choose, tuned
from multigen.model import Model, Whole
from multigen.sources import Source

PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")


def load_any(
    name: str, /, *, modality: str | None = None, revision: str = "", loading: Loading = AUTOMATIC
) -> Model | Whole:
    """A model as a whole or one that can be taken apart.

    Raises UsageError where there is no such model, where it is not safe to load, or where it is another modality's.
    """
    if Path(name).suffix in PICKLES:
        raise UsageError(
            f"{name} is a pickle, which can run any code when it is opened: give a folder with .safetensors weights"
        )
    source = source_of(name)
    if source is not None:
        found = source.load(name, modality=modality, revision=revision, loading=loading)
    else:
        if revision:
            raise UsageError(f"--revision {revision} is for models with a hub id, and {name} is none: leave it out")
        found = _registered(name, modality, choose(loading))
    if modality is not None and found.modality != modality:
        raise UsageError(f"the model {name!r} makes {found.modality}, not {modality}: type multigen {found.modality}")
    return found


def load(
    name: str,
    /,
    *,
    modality: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    revision: str = "",
    loading: Loading = AUTOMATIC,
) -> Model:
    """A model by its name in the zoo, its hub id, or the folder that ``multigen train`` or diffusers wrote.

    device, dtype: in place of those of `loading`. Raises UsageError as `load_any` does, and for a model that runs only
    as a whole.
    """
    found = load_any(name, modality=modality, revision=revision, loading=placed(loading, device, dtype))
    if isinstance(found, Whole):
        raise UsageError(
            f"the model {name!r} runs only as a whole, and here its denoiser is needed: "
            f"make samples with multigen {found.modality} --model {name}, or choose another model"
        )
    return found


def placed(loading: Loading, device: str | None, dtype: str | None, /) -> Loading:
    """`loading` with another device and dtype, where they are given."""
    return dataclasses.replace(loading, device=device or loading.device, dtype=dtype or loading.dtype)


def source_of(name: str, /) -> Source | None:
    """The source that knows a name; what is registered or was trained here comes first."""
    if name in registry.models or (Path(name) / "multigen.json").is_file():
        return None
    for group in registry.sources.names():
        source: Source = registry.sources[group]
        if source.knows(name):
            return source
    return None


def _registered(name: str, modality: str | None, loading: Loading) -> Model:
    path = Path(name)
    where: dict[str, Any] = {"device": loading.device, "dtype": loading.dtype}
    if name in registry.models:
        model: Model = registry.models[name](**where)
    elif path.is_dir():
        from multigen.lora_files import FILE
        from multigen.provenance import read_loader

        if (path / FILE).is_file():
            raise UsageError(f"{name} is a LoRA and no model: give the model that it is for, and --lora {name}")
        if not (path / "multigen.json").is_file():
            raise UsageError(
                f"{name} holds no model: there is neither multigen.json (of multigen train) nor model_index.json (of "
                "diffusers) in it"
            )
        model = registry.models[read_loader(path)](path, **where)
    else:
        from multigen.listing import zoo

        names = [told.name for told in zoo() if modality is None or told.modality in ("", modality)]
        known = registry.unknown("model", name, names)
        raise UsageError(f"{known}, or give a hub id, or a folder that multigen train or diffusers wrote")
    return tuned(model, loading)
