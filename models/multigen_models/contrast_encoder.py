"""What encoders of samples share: they put a sample where the text encoder puts its caption.

The text side is the frozen text encoder itself (`multigen_models.text`), so that a prompt that no caption was like has
a place as well. Only the side of the samples is trained, with the symmetric contrastive loss of CLIP (arXiv 2103.00020,
section 2.3), in which equal captions are no opposites (arXiv 2204.03610, equation 2).
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multigen.denoise import Cond
from multigen.errors import UsageError
from multigen.evaluation.contract import Extractor
from multigen.metrics import ranks
from multigen.modality import Sample
from multigen.training import Items
from multigen_models.layers import Norm, hidden
from multigen_models.prompts import embed
from multigen_models.text import WIDTH
from multigen_models.weights import WEIGHTS, write_folder

SHARPNESS = 14.0
"""Of the softmax over similarities at first, 1 / 0.07; learned, at most 100 (arXiv 2103.00020)."""
SHARPEST = 100.0


class Encoder(nn.Module):
    """Abstract: a network from samples to the text encoder's space, with the sharpness of its similarities."""

    def __init__(self) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))

    @abstractmethod
    def encode(self, x: Tensor, /) -> Tensor:
        """(b, ...) to (b, 384), of any length."""

    def forward(self, x: Tensor, text: Tensor, /) -> Tensor:
        """Logits (b, k) of samples (b, ...) against texts (k, 384) of length 1."""
        sharpness = self.log_sharpness.exp().clamp(max=SHARPEST)
        return sharpness * F.normalize(self.encode(x).float(), dim=1) @ text.T


class Block(nn.Module):
    """Residual: two convolutions. x: (b, c, ...) -> the same."""

    def __init__(self, channels: int, /, *, conv: Any) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(channels), Norm(channels)
        self.conv1 = conv(channels, channels, 3, padding=1)
        self.conv2 = conv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, /) -> Tensor:
        h = self.conv1(self._normed(self.norm1, x))
        return x + self.conv2(F.silu(self._normed(self.norm2, h)))

    @staticmethod
    def _normed(norm: Norm, x: Tensor) -> Tensor:
        return norm(x.movedim(1, -1)).movedim(-1, 1)


class Pyramid(nn.Module):
    """Maps of ever fewer positions and more channels; each level halves every axis.

    channels: of the input, and of each level; there are blocks from the second level on. x: (b, channels[0], ...) ->
    (b, channels[-1], ...).
    """

    def __init__(self, channels: Sequence[int], /, *, conv: Any = nn.Conv2d) -> None:
        super().__init__()
        first, second, *_ = channels
        self.fold = conv(first, second, 3, stride=2, padding=1)
        pairs = list(itertools.pairwise(channels[1:]))
        self.shrink = nn.ModuleList(conv(c, d, 3, stride=2, padding=1) for c, d in pairs)
        self.blocks = nn.ModuleList(Block(d, conv=conv) for _, d in pairs)

    def forward(self, x: Tensor, /) -> Tensor:
        h = self.fold(x)
        for shrink, block in zip(self.shrink, self.blocks, strict=True):
            h = block(shrink(F.silu(h)))
        return F.silu(h)


# --- training ---------------------------------------------------------------------------------------------------------


class ContrastRecipe(ABC):
    """Abstract: a `multigen.training.Recipe` and `Objective` of an `Encoder`. Items carry their caption's vector.

    loader: the name that reads what `export` writes.
    """

    loader: ClassVar[str]
    prompts: ClassVar[Sequence[str]] = ()
    # What is in a batch is what a sample is told apart from; the held-out items are one batch.
    settings: ClassVar[Mapping[str, Any]] = {
        "samples": 40_000, "batch": 64, "warmup": 2_000, "evaluate_every": 10_000, "validation_batch": 1024,
    }  # fmt: skip

    @abstractmethod
    def network(self) -> nn.Module:
        """The encoder to train."""

    @abstractmethod
    def items(self, split: str, /) -> Items:
        """Samples, each with `captioned` of its caption."""

    def hidden(self, name: str, /) -> bool:
        return hidden(name)

    def collate(self, items: Sequence[tuple[Tensor, Cond]], /) -> tuple[Tensor, Cond]:
        return torch.stack([x for x, _ in items]), {"text": torch.stack([cond["text"] for _, cond in items])}

    def loss(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Tensor:
        return contrast(network(x0, cond["text"]), cond["text"])

    def errors(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> dict[str, Tensor]:
        """The loss ("mean"), and whether the own caption is the nearest of the batch's different ones, or among the
        nearest five ("R@1", "R@5")."""
        logits = network(x0, cond["text"])
        texts, own = torch.unique(cond["text"], dim=0, return_inverse=True)
        places = ranks(network(x0, texts), own)
        found = {f"R@{k}": (places <= k).double() for k in (1, 5)}
        return {"mean": contrast(logits, cond["text"]), **found}

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_folder(folder, network, {"loader": self.loader, "training": about})


def captioned(caption: str, /) -> Cond:
    """A caption's place (384,), of length 1."""
    return {"text": embed(caption)["pooled"]}


def contrast(logits: Tensor, text: Tensor, /) -> Tensor:
    """The contrastive loss of each sample, of finding its caption and of being found by it: (b,).

    logits: (b, b), samples down and captions across. text: (b, 384); equal captions share their sample's share.
    """
    equal = (text[:, None] == text[None]).all(-1).float()
    wanted = equal / equal.sum(1, keepdim=True)
    finding, found = -wanted * logits.log_softmax(1), -wanted * logits.log_softmax(0).T
    return (finding + found).sum(1) / 2


# --- using ------------------------------------------------------------------------------------------------------------


def places(prompts: Sequence[str], /) -> Tensor:
    """(n, 384) of length 1, of prompts."""
    return torch.stack([embed(prompt)["pooled"] for prompt in prompts]) if prompts else torch.empty(0, WIDTH)


@dataclass(frozen=True)
class SampleEncoder(ABC):
    """Abstract: a trained `Encoder` as a `multigen.evaluation.contract.Reads`."""

    network: Any
    fingerprint: str
    name: ClassVar[str]
    """Also the loader of its folders."""
    modality: ClassVar[str]

    @abstractmethod
    def seen(self, sample: Sample, /) -> Tensor:
        """What the network sees of a sample."""

    @torch.no_grad()
    def __call__(self, sample: Sample, /) -> Tensor:
        """(384,) of length 1."""
        return F.normalize(self.network.encode(self.seen(sample)[None]), dim=1)[0]

    def text(self, prompts: Sequence[str], /) -> Tensor:
        return places(prompts)


@final
@dataclass(frozen=True)
class PublishedEncoder:
    """An encoder of the zoo, called as a `multigen.evaluation.contract.ExtractorLoader`."""

    folder: Path
    modality: str
    read: Callable[[Path], Extractor]

    @property
    def card(self) -> Path:
        return self.folder / "README.md"

    @property
    def ready(self) -> bool:
        return (self.folder / WEIGHTS).exists()

    def __call__(self, place: str = "", /) -> Extractor:
        """The published encoder, or one in a folder. Raises UsageError where there is none."""
        name = self.folder.name
        if not place and not self.ready:
            raise UsageError(
                f"{name} has no published weights yet: train it with multigen train {name} --data DIR, "
                f"and give the folder as --extractor runs/{name}/model"
            )
        return self.read(Path(place) if place else self.folder)
