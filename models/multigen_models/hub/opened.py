"""A pipeline of diffusers taken apart: its network, codec and text encoders behind the core's contract of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, final

import torch
from torch import Tensor

from multigen.denoise import Cond, Denoiser, bind
from multigen.edit import region_mask
from multigen.modality import Region, Sample
from multigen.model import Defaults
from multigen_models.hub.levels import Levels


class Anatomy(Protocol):
    """How one family's pipeline is taken apart. Made of a loaded pipeline; `options` is always the modality's."""

    @property
    def pipe(self) -> Any: ...

    @property
    def axes(self) -> Mapping[str, int]: ...

    def shape(self, options: Any, /) -> tuple[int, ...]:
        """The state's shape for one sample."""

    def place(self, axis: str, edge: float, options: Any, /) -> float:
        """Where on the state a place on the sample lies, as fractions of a named axis of each."""

    def condition(self, prompt: str, /) -> Cond:
        """What the text encoders make of a prompt, by the names that `predict` takes: (1, ...) each."""

    def inputs(self, options: Any, /) -> Mapping[str, Any]:
        """What the network is told of the sample that is made, beside the prompt: its duration, places, rate."""

    def predict(self, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /) -> Tensor:
        """The network's output for states (b, *shape) that were scaled as it wants them; noise: (b,)."""

    def timetable(self, steps: int, options: Any, /) -> Mapping[str, Any]:
        """The arguments of the scheduler's `set_timesteps` for its own levels."""

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        """A sample as a state."""

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        """A state (*shape) as a sample."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Opened:
    """A `multigen.model.Model` of an `Anatomy`."""

    anatomy: Anatomy
    network: Any
    levels: Levels
    name: str
    modality: str
    fingerprint: str
    defaults: Defaults
    suggested: Mapping[str, Any]
    dtype: torch.dtype
    kind: str = ""

    @property
    def axes(self) -> Mapping[str, int]:
        return self.anatomy.axes

    @property
    def bound(self) -> float:
        return self.levels.bound

    def shape(self, options: Any, /) -> tuple[int, ...]:
        return self.anatomy.shape(options)

    def mask(self, region: Region, sample: Sample, options: Any, /) -> Tensor:
        """See `multigen.model.Masked`; what reaches an end of the sample reaches that of the state."""

        def place(axis: str, edge: float) -> float:
            return edge if edge in (0, 1) else self.anatomy.place(axis, edge, options)

        box = {axis: (place(axis, low), place(axis, high)) for axis, (low, high) in region.items()}
        return region_mask(self.shape(options), self.axes, box)

    def with_network(self, network: Any, /, *, fingerprint: str) -> "Opened":
        _take_turns(self.anatomy.pipe, self.network, network)
        return replace(self, network=network, fingerprint=fingerprint)

    def translate(self, tensors: Mapping[str, Tensor], /) -> Mapping[str, Tensor]:
        """See `multigen.model.Translates`: as the pipeline itself reads LoRAs that were not trained with diffusers."""
        read = getattr(self.anatomy.pipe, "lora_state_dict", None)
        if read is None:
            raise ValueError(f"{self.name} is of a family whose LoRAs have no other names")
        found = read(dict(tensors))
        weights, alphas = found if isinstance(found, tuple) else (found, None)
        return {**weights, **{key: torch.tensor(float(alpha)) for key, alpha in (alphas or {}).items()}}

    def schedule(self, steps: int, options: Any, /) -> Sequence[float]:
        return self.levels.of(**self.anatomy.timetable(steps, options))

    @torch.no_grad()
    def condition(self, prompts: Sequence[str], /) -> Cond:
        rows = [self.anatomy.condition(prompt) for prompt in prompts]
        return {key: _stacked([row[key] for row in rows]) for key in rows[0]}

    def denoiser(self, cond: Cond, options: Any, /) -> Denoiser:
        # One by one on a CPU, where a batch is no faster: a sample is then bit-exact in any batch.
        rows = 1 if self.anatomy.pipe._execution_device.type == "cpu" else None
        forward = _Forward(self, options, self.anatomy.inputs(options))
        return bind(forward, self.levels.parameterization, cond, rows=rows)

    @torch.no_grad()
    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        return self.anatomy.encode(sample, options)

    @torch.no_grad()
    def decode(self, x: Tensor, options: Any, /) -> Sample:
        return self.anatomy.decode(x, options)


@final
@dataclass(frozen=True)
class _Forward:
    """A `multigen.denoise.Network`; two of the same model and options are equal, so that guidance runs one batch."""

    model: Opened
    options: Any
    inputs: Mapping[str, Any] = field(compare=False)

    def __call__(self, x: Tensor, noise: Tensor, /, **cond: Tensor) -> Tensor:
        anatomy, network, dtype = self.model.anatomy, self.model.network, self.model.dtype
        device = anatomy.pipe._execution_device
        told = {k: v.to(device, dtype if v.is_floating_point() else v.dtype) for k, v in cond.items()}
        out = anatomy.predict(network, x.to(device, dtype), noise.to(device), told, self.inputs)
        return out.to(x.device, x.dtype)


def _take_turns(pipe: Any, old: Any, new: Any) -> None:
    """Where the parts of a pipeline take turns on a GPU (`--offload model`), a network does so in place of another one.

    A copy of a network has copies of the turns as well, which would make copies of the other parts leave.
    """
    for turn in getattr(pipe, "_all_hooks", ()):
        if turn.model is old:
            new._hf_hook, turn.model = old._hf_hook, new


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    """Rows (1, length, ...) as one batch, the shorter ones filled up with zeros, which a mask among them hides."""
    if len({row.shape for row in rows}) == 1:
        return torch.cat(list(rows))
    length = max(row.shape[1] for row in rows)
    return torch.cat([padded(row, length) for row in rows])


def padded(x: Tensor, length: int, /, *, dim: int = 1) -> Tensor:
    """x with zeros at the end of an axis, at least `length` long."""
    missing = max(0, length - x.shape[dim])
    shape = [*x.shape[:dim], missing, *x.shape[dim + 1 :]]
    return torch.cat([x, x.new_zeros(shape)], dim)
