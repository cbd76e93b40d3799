"""Training a LoRA: any recipe's data and objective, a model's network as it is, and factors beside its layers.

The factors are those of PEFT (arXiv 2106.09685); everything else is the ordinary `multigen.training.train`, which
averages, keeps and restores what is trained alone.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, final, runtime_checkable

from torch import Tensor, nn

from multigen.atomic import replace_file
from multigen.denoise import Cond
from multigen.errors import UsageError
from multigen.loading import shared_copy
from multigen.lora_files import ABOUT_KEY, FILE, LAYERS, PEFT_KEY
from multigen.model import Adapts
from multigen.settings import Settings
from multigen.training import Idles, Items, Recipe, objective

R = TypeVar("R")


@runtime_checkable
class Standardizes(Protocol):
    """A recipe or a model that brings samples to a common scale before the network sees them."""

    scale: Any


def in_scale_of(model: object, recipe: R, /) -> R:
    """The recipe with the scale that the model's network knows, in place of the one of its dataset."""
    if not (isinstance(model, Standardizes) and isinstance(recipe, Standardizes)):
        return recipe
    same = copy.copy(recipe)
    same.scale = model.scale
    return same


@final
class LowRank:
    """A `multigen.training.Recipe` of a LoRA, and the `multigen.objective.Objective` of the recipe that it is made of.

    model: whose network it is for, called `name`; the network stays as it is. rank: of the factors. Their alpha is the
    rank, so they count as they are.
    """

    def __init__(self, recipe: Recipe, model: Adapts, settings: Settings, /, *, name: str, rank: int) -> None:
        self._recipe, self._network, self._rank = recipe, model.network, rank
        self._goal = objective(recipe, settings)
        self._about = {"model": name, "fingerprint": model.fingerprint, "rank": rank}
        self.rests_on: Mapping[str, Any] = {"lora": self._about}
        self.idles = isinstance(recipe, Idles) and recipe.idles

    def loss(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Tensor:
        return self._goal.loss(network, x0, cond, seeds=seeds)

    def errors(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Mapping[str, Tensor]:
        return self._goal.errors(network, x0, cond, seeds=seeds)

    def hidden(self, name: str, /) -> bool:
        return self._recipe.hidden(name)

    def network(self) -> nn.Module:
        return with_factors(self._network, self._rank).train()

    def items(self, split: str, /) -> Items:
        return self._recipe.items(split)

    def collate(self, items: Sequence[tuple[Tensor, Any]], /) -> tuple[Tensor, Cond]:
        return self._recipe.collate(items)

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_lora(network, folder, about={**self._about, "training": about})


def with_factors(network: nn.Module, rank: int, /) -> nn.Module:
    """A network whose layers have trainable factors beside them, of no effect so far; the given one stays as it is.

    Raises UsageError for a network without layers for them.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = [name for name, layer in network.named_modules() if _plain(layer)]
    if not names:
        raise UsageError(f"the {type(network).__name__} has no layer that a LoRA can be trained for: leave out --lora")
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules="|".join(map(re.escape, names)))
    made: nn.Module = inject_adapter_in_model(config, shared_copy(network))
    return made


def _plain(layer: nn.Module) -> bool:
    """Whether PEFT's factors are right for a layer: its convolutions leave out dilation and other padding."""
    if not isinstance(layer, LAYERS):
        return False
    return isinstance(layer, nn.Linear) or (
        layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    )


def write_lora(network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
    """The factors of a network with PEFT's layers as diffusers writes them, in a file that appears whole or not at all.

    about: how they were trained, for the file's header.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    tensors = {key: t.detach().cpu().contiguous() for key, t in get_peft_model_state_dict(network).items()}
    config = network.peft_config["default"].to_dict()  # type: ignore[index, union-attr]
    header = {"format": "pt", PEFT_KEY: json.dumps(config, default=list), ABOUT_KEY: json.dumps(about)}
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / FILE, save(tensors, header))
