"""Features of published networks, from a folder or by hub id: CLAP for sounds, CLIP and VideoMAE for films, PointNet++
for shapes.

Only safetensors are loaded, no code that comes with a model is run, and what is on this machine already needs no
network.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.errors import UsageError
from multigen.evaluation.contract import Extractor
from multigen.modality import Sample
from multigen_models.hub import files
from multigen_models.hub.quiet import quiet
from multigen_models.pointnet2 import WEIGHTS, PointNet2Features

CONFIG = "config.json"
PATTERNS = ("*.json", "*.txt", "*.model")
FILM_FRAMES = 8
"""Frames of a film that a network for pictures sees."""


class Pretrained(ABC):
    """Abstract: an extractor with a network of transformers.

    kind: the class of the network; processor: the one that finds what prepares its input.
    """

    modality: ClassVar[str]
    kind: ClassVar[str]
    processor: ClassVar[str]

    def __init__(self, name: str, folder: Path, /) -> None:
        import transformers

        kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quiet():
                self.network = getattr(transformers, self.kind).from_pretrained(folder, use_safetensors=True, **kept)
                self.prepare = getattr(transformers, self.processor).from_pretrained(folder, **kept)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise UsageError(f"{name} cannot be loaded ({_first_line(error)}): copy it again") from None
        self.network.eval().requires_grad_(False)
        index = files.Index("", (_part(self.kind),))
        self.name, self.fingerprint = name, files.fingerprint(folder, index)

    @abstractmethod
    def __call__(self, sample: Sample, /) -> Tensor:
        """(d,)."""


class Reading(Pretrained):
    """Abstract: a `multigen.evaluation.contract.Reads` whose network has a side for texts."""

    def __init__(self, name: str, folder: Path, /) -> None:
        from transformers import AutoTokenizer

        super().__init__(name, folder)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self._read = lru_cache(maxsize=64)(self._encode)

    def text(self, prompts: Sequence[str], /) -> Tensor:
        return self._read(tuple(prompts))

    @torch.no_grad()
    def _encode(self, prompts: tuple[str, ...]) -> Tensor:
        tokens = self._tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt")
        told = {key: tokens[key] for key in ("input_ids", "attention_mask")}
        return pooled(self.network.get_text_features(**told))


@final
class Clap(Reading):
    """As much of a sound as the network takes, from its start; a shorter one is repeated (arXiv 2211.06687)."""

    modality, kind, processor = "audio", "ClapModel", "AutoFeatureExtractor"

    @torch.no_grad()
    def __call__(self, sample: Sample, /) -> Tensor:
        from torchaudio.functional import resample

        rate = self.prepare.sampling_rate
        wave = resample(sample["wave"].mean(0), sample["sample_rate"], rate)
        # Of longer sounds it would choose a part at random.
        seen = self.prepare(wave[: self.prepare.nb_max_samples].numpy(), sampling_rate=rate, return_tensors="pt")
        return pooled(self.network.get_audio_features(**seen))[0]


@final
class Clip(Reading):
    """The mean of evenly spaced frames, each of length 1 (arXiv 2103.00020; arXiv 2104.08860, section 3.2)."""

    modality, kind, processor = "video", "CLIPModel", "AutoImageProcessor"

    @torch.no_grad()
    def __call__(self, sample: Sample, /) -> Tensor:
        seen = self.prepare(pictures(sample["frames"], FILM_FRAMES), return_tensors="pt")
        return F.normalize(pooled(self.network.get_image_features(**seen)), dim=1).mean(0)


@final
class VideoMae(Pretrained):
    """The mean of a film's tokens (arXiv 2203.12602)."""

    modality, kind, processor = "video", "VideoMAEModel", "AutoImageProcessor"

    @torch.no_grad()
    def __call__(self, sample: Sample, /) -> Tensor:
        seen = self.prepare(pictures(sample["frames"], self.network.config.num_frames), return_tensors="pt")
        found: Tensor = self.network(pixel_values=seen["pixel_values"]).last_hidden_state
        return found.mean(1)[0]


KINDS: Mapping[str, type[Pretrained]] = {"clap": Clap, "clip": Clip, "videomae": VideoMae}
"""By what a configuration calls its model."""


@final
class Pretraineds:
    """A `multigen.evaluation.contract.ExtractorLoader` of all of these."""

    modality, ready = "", False

    def __call__(self, place: str = "", /) -> Extractor:
        """Raises UsageError for what is not there, not safe, or neither a network of `KINDS` nor a PointNet++."""
        try:
            import transformers  # noqa: F401
        except ImportError:
            raise UsageError(f"the extractor {place!r} needs transformers: pip install transformers") from None
        here = not files.is_hub_id(place)
        folder = Path(place) if here else files.snapshot(place, "", PATTERNS)
        if not (folder / CONFIG).exists():
            return PointNet2Features(place, folder if here else files.snapshot(place, "", [WEIGHTS]))
        kind = KINDS.get(_model_type(folder))
        if kind is None:
            known = ", ".join(KINDS)
            raise UsageError(
                f"{place} is a {_model_type(folder)!r}, of which no features are known here: give one of {known}"
            )
        if not here:
            folder = files.snapshot(place, "", [*PATTERNS, "*.safetensors"])
        files.check_part(_part(kind.kind), folder)
        return kind(place, folder)


def pooled(found: Any, /) -> Tensor:
    """(n, d), of what different versions of transformers return."""
    features: Tensor = getattr(found, "pooler_output", found)
    return features


def pictures(frames: Tensor, count: int, /) -> list[Any]:
    """Evenly spaced frames of (t, 3, h, w) uint8, each (h, w, 3); a film of fewer has some more than once."""
    at = ((torch.arange(count) + 0.5) * len(frames) / count).long()
    return list(frames[at].movedim(1, -1).numpy())


def _part(kind: str) -> files.Component:
    return files.Component(".", "transformers", kind)


def _model_type(folder: Path) -> str:
    path = folder / CONFIG
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} does not say which network it is ({type(error).__name__}): give a folder that transformers saved, "
            "or a hub id such as laion/clap-htsat-unfused"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


pretrained = Pretraineds()
