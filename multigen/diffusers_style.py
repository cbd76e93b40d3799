"""The embedded models for people who know diffusers: ``from_pretrained``, a call, ``save_pretrained``, ``push_to_hub``.

The networks themselves are diffusers models (`ModelMixin`), so that ``SpectrogramUNet.from_pretrained(folder)`` works
as well; this is the whole way from a prompt to samples.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch

from multigen import registry
from multigen.errors import UsageError
from multigen.job import prepare
from multigen.loaders import load, placed
from multigen.loading import AUTOMATIC, Loading
from multigen.modality import Sample
from multigen.model import Model
from multigen.request import Request

FILES = ("*.safetensors", "*.json", "*.md", "*.csv", "*/*.safetensors", "*/*.json")
"""Patterns of all that a model's folder may hold."""


@final
@dataclass(frozen=True)
class Output:
    """What a call returns: by its modality one of the lists has a part for every sample, the others are empty.

    audios: (channels, t) in [-1, 1]. frames: (t, height, width, 3) in [0, 1]. meshes: the samples as they are.
    """

    audios: list[Any] = field(default_factory=list)
    frames: list[Any] = field(default_factory=list)
    meshes: list[Sample] = field(default_factory=list)
    sampling_rate: int = 0
    fps: float = 0.0


@final
class MultigenPipeline:
    """A model of the zoo, or of a folder that ``multigen train`` wrote, called as diffusers' pipelines are.

    ``MultigenPipeline.from_pretrained("audio-small")("rain on a tin roof", num_inference_steps=24).audios[0]``
    """

    def __init__(self, model: Model, folder: Path, name: str, loading: Loading, /) -> None:
        self.model = model
        self._folder, self._name, self._loading = folder, name, loading

    @classmethod
    def from_pretrained(
        cls, name: str, /, *, torch_dtype: torch.dtype | None = None, revision: str = "", loading: Loading = AUTOMATIC
    ) -> "MultigenPipeline":
        """name: of the zoo, a folder, or the hub id of one that `push_to_hub` wrote. Raises UsageError."""
        dtype = str(torch_dtype).removeprefix("torch.") if torch_dtype is not None else None
        loading, folder = placed(loading, None, dtype), _folder(name, revision)
        known = name if name in registry.models else str(folder)
        return cls(load(known, loading=loading), folder, known, loading)

    def to(self, device: str, /) -> "MultigenPipeline":
        """The same on another device; loaded anew."""
        loading = placed(self._loading, device, None)
        return MultigenPipeline(load(self._name, loading=loading), self._folder, self._name, loading)

    def __call__(
        self,
        prompt: str | Sequence[str],
        /,
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str = "",
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        **options: Any,
    ) -> Output:
        """A sample of each prompt.

        generator: where seeds are taken from, one for all prompts or one for each; without one the seed is 0. options:
        the modality's, such as ``duration=5``. Raises UsageError for what the command line would refuse.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        seeds = _seeds(generator, len(prompts))
        made = []
        for text, seed in zip(prompts, seeds, strict=True):
            request = Request(
                modality=self.model.modality,
                prompt=text,
                options=options,
                negative_prompt=negative_prompt,
                model=self._name,
                steps=num_inference_steps,
                guidance="" if guidance_scale is None else f"{guidance_scale:g}",
            )
            made.append(prepare(request, model=self.model).run(seed))
        return _output(self.model.modality, made)

    def save_pretrained(self, folder: str | Path, /) -> None:
        """Copy the model with its card into a folder, from which it can be loaded again."""
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)

    def push_to_hub(self, repo_id: str, /, *, private: bool = False, token: str | None = None) -> str:
        """Upload the model with its card; returns the address of the commit."""
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        told = api.upload_folder(repo_id=repo_id, folder_path=self._folder, allow_patterns=list(FILES))
        return str(told.commit_url)


def _folder(name: str, revision: str) -> Path:
    """Where a model's files are. Raises UsageError."""
    if name in registry.models:
        return Path(registry.models[name].folder)
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{name} is neither in the zoo nor a folder, and cannot be fetched ({reason})") from None


def _seeds(generator: torch.Generator | Sequence[torch.Generator] | None, count: int) -> list[int]:
    """One for each sample. Raises UsageError for another number of generators."""
    if generator is None:
        return list(range(count))
    if isinstance(generator, torch.Generator):
        return [generator.initial_seed() + i for i in range(count)]
    if len(generator) != count:
        raise UsageError(f"{len(generator)} generators for {count} prompts: give one for each, or one for all")
    return [one.initial_seed() for one in generator]


def _output(modality: str, made: Sequence[Sample]) -> Output:
    if modality == "audio":
        return Output(audios=[s["wave"].numpy() for s in made], sampling_rate=made[0]["sample_rate"])
    if modality == "video":
        frames = [s["frames"].permute(0, 2, 3, 1).numpy() / 255 for s in made]
        return Output(frames=frames, fps=made[0]["fps"])
    return Output(meshes=list(made))
