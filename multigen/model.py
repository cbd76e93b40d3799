"""A model: everything that is trained (network, parameterization, codec, text encoder), behind one small contract."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from multigen.denoise import Cond, Denoiser
from multigen.edit import Edit
from multigen.modality import Region, Sample
from multigen.request import Request


@dataclass(frozen=True)
class Defaults:
    """How a model is sampled unless it is told otherwise; the strings are what the command line takes."""

    steps: int = 32
    sampler: str = "dpmpp_2m"
    schedule: str = "karras"
    guidance: str = "cfg:scale=3"
    sigma_min: float = 0.02
    sigma_max: float = 80.0


class Model(Protocol):
    """What `Pipeline` needs of a model. `options` is always the modality's options object."""

    @property
    def name(self) -> str: ...

    @property
    def modality(self) -> str: ...

    @property
    def defaults(self) -> Defaults: ...

    @property
    def axes(self) -> Mapping[str, int]:
        """Named axes of the state, for masks and extension: {"time": -1} of (1, frequency, time)."""

    @property
    def fingerprint(self) -> str:
        """A hash of the weights, kept in every file that the model makes."""

    def shape(self, options: Any, /) -> tuple[int, ...]:
        """The state's shape for one sample."""

    def condition(self, prompts: Sequence[str], /) -> Cond:
        """The network's condition, (b, ...) each; the empty prompt is the unconditional case.

        A row depends on its prompt alone.
        """

    def denoiser(self, cond: Cond, options: Any, /) -> Denoiser: ...

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        """A sample as a state of `shape`, cut or padded at the end of each axis."""

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        """A state (*shape) as a sample."""


@runtime_checkable
class Padded(Protocol):
    """A model whose state can be larger than the sample in it."""

    def extent(self, options: Any, /) -> Mapping[str, int]:
        """How many cells of the named axes the sample covers, from the first; axes that are left out are covered."""


@runtime_checkable
class Masked(Protocol):
    """A model whose state is no grid over the whole sample: it says itself where a region lies."""

    def mask(self, region: Region, sample: Sample, options: Any, /) -> Tensor:
        """1 for the cells of the encoded sample's state inside the region, 0 outside: (*shape)."""


@runtime_checkable
class Completes(Protocol):
    """A model that makes the rest of a sample from a part of it."""

    def known(self, part: Sample, options: Any, /) -> tuple[Tensor, Tensor]:
        """A state that holds the part, and a mask that is 0 where it is held and 1 elsewhere: (*shape) each."""


@runtime_checkable
class Edits(Protocol):
    """A model with edits of its own in place of those of `multigen.edit`, as where its state is a set."""

    def inpaint(self, known: Tensor, mask: Tensor, /) -> Edit:
        """What keeps a state (*shape) where the mask (*shape) is 0 and makes the rest."""

    def variation(self, x0: Tensor, strength: float, /) -> Edit:
        """What starts from a state (*shape); strength: as of `multigen.edit.variation`."""


@runtime_checkable
class Paired(Protocol):
    """A model trained on noise that was paired with its samples: its ODE is right, but samplers that add noise are not
    for it."""

    @property
    def paired(self) -> bool: ...


@runtime_checkable
class Kind(Protocol):
    """A model of a modality that knows several kinds of samples, such as meshes and points."""

    @property
    def kind(self) -> str: ...


def kind_of(model: object, /) -> str:
    """The `Kind` of a model, "" where its modality has but one."""
    return model.kind if isinstance(model, Kind) else ""


@runtime_checkable
class Scheduled(Protocol):
    """A model with levels of its own: the schedule "own"."""

    def schedule(self, steps: int, options: Any, /) -> Sequence[float]:
        """steps + 1 falling levels, the last one 0; it may take fewer."""


@runtime_checkable
class Bounded(Protocol):
    """A model whose x0 lies in [-bound, bound]: what it predicts is cut to that after guidance."""

    @property
    def bound(self) -> float: ...


@runtime_checkable
class Suggests(Protocol):
    """A model that some of its modality's options suit: they are taken where nothing else is typed."""

    @property
    def suggested(self) -> Mapping[str, Any]: ...


@runtime_checkable
class Whole(Protocol):
    """A model that cannot be taken apart: it runs as it is, and samplers, guidance and edits do not reach it."""

    @property
    def name(self) -> str: ...

    @property
    def modality(self) -> str: ...

    @property
    def defaults(self) -> Defaults:
        """Its `steps`, and its `guidance` as a scale."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def takes(self) -> Collection[str]:
        """The fields of `Request` and the modality's options that reach it."""

    def make(self, request: Request, options: Any, given: Sample | None, seed: int, /) -> Sample:
        """A sample; `given` is what `Request.init` names."""


@runtime_checkable
class Adapts(Protocol):
    """A model whose network can be exchanged for a changed one: with LoRAs added, quantized or compiled."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def network(self) -> Any:
        """A `torch.nn.Module` that nobody changes in place."""

    def with_network(self, network: Any, /, *, fingerprint: str) -> Model:
        """The same model with another network in its place, whose weights the fingerprint names."""


@runtime_checkable
class Translates(Protocol):
    """A model whose LoRAs also come with other names for its layers than the network's own."""

    def translate(self, tensors: Mapping[str, Tensor], /) -> Mapping[str, Tensor]:
        """The tensors of a LoRA by the names of the network's layers. Raises where their names are not known either."""


class Loader(Protocol):
    """What the entry-point group "multigen.models" names."""

    def __call__(self, folder: Path | None = None, /, *, device: str = "cpu", dtype: str = "float32") -> Model:
        """The published model, or one trained with ``multigen train`` in a folder of the same kind."""
