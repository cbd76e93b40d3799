"""Model folders: weights in safetensors, and ``multigen.json`` that says what reads them."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from multigen.errors import UsageError
from multigen.model import Model

ZOO = Path(__file__).parent / "zoo"
WEIGHTS = "diffusion_pytorch_model.safetensors"
ABOUT = "multigen.json"


@final
@dataclass(frozen=True)
class Published:
    """A model of the zoo, called as a `multigen.model.Loader`."""

    folder: Path
    read: Callable[..., Model]

    @property
    def card(self) -> Path:
        return self.folder / "README.md"

    def __call__(self, folder: Path | None = None, /, *, device: str = "cpu", dtype: str = "float32") -> Model:
        """Raises UsageError where nothing is published under this name yet."""
        if folder is None and not (self.folder / WEIGHTS).exists():
            name = self.folder.name
            raise UsageError(
                f"{name} has no published weights yet: train it with multigen train {name} --data DIR, "
                f"and give the folder as --model runs/{name}/model"
            )
        return self.read(folder or self.folder, device=device, dtype=dtype)


def read_about(folder: Path, /) -> dict[str, Any]:
    """The contents of a folder's ``multigen.json``. Raises UsageError."""
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder / ABOUT} cannot be read ({error}): give a folder that multigen train wrote"
        ) from None
    return about


def read_network(kind: Any, folder: Path, /, *, dtype: str = "float32", device: str = "cpu") -> Any:
    """A diffusers network from a folder, in evaluation mode. Raises UsageError for missing or damaged weights."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from multigen_models.layers import moved

    try:  # what from_pretrained does, without its imports of peft and transformers: two seconds of every start
        network = kind.from_config(kind.load_config(folder, local_files_only=True))
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"the weights in {folder} are missing or damaged ({reason}): copy or train them again"
        ) from None
    return moved(network, device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)


def start(kind: Any, model: str | None, /) -> Any:
    """A network to train: new, or from a model, what else is in the zoo, or a folder.

    Raises UsageError for damaged weights, and for names of nothing.
    """
    if model is None:
        return kind()
    from multigen import registry

    names = sorted(path.name for path in ZOO.iterdir())
    if model in registry.models:
        folder = registry.models[model].folder
    else:
        folder = ZOO / model if model in names else Path(model)
    if not folder.is_dir():
        raise UsageError(
            f"no folder {model}: begin with a folder that multigen train wrote, or with {', '.join(names)}"
        )
    return read_network(kind, folder).train().requires_grad_(True)


def fingerprint(folder: Path, /) -> str:
    """The first 16 hexadecimal digits of the sha256 of the weights."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16]


def write_folder(
    folder: Path, network: Any, about: Mapping[str, Any], /, *, inside: Mapping[str, Path] | None = None
) -> None:
    """Save a network in float16 with its ``multigen.json``; the folder appears whole or not at all.

    inside: folders to copy into it, by the names that they get.
    """
    from safetensors.torch import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        network.save_config(made)
        half = {name: tensor.detach().half().cpu().contiguous() for name, tensor in network.state_dict().items()}
        save_file(half, made / WEIGHTS, {"format": "pt"})
        (made / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        for name, source in (inside or {}).items():
            shutil.copytree(source, made / name)
        for path, mode in ((made, 0o755), (made / WEIGHTS, 0o644)):  # both are made for their owner only
            path.chmod(mode)
        old = folder.with_name(f".old-{folder.name}")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            os.replace(folder, old)
        os.replace(made, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)
