"""Training, the same for every modality: ``for progress in train(recipe, settings, folder)``.

Everything random is a function of (seed, sample index), so a run that is killed at any moment goes on from its last
checkpoint exactly as if it had not been. Accelerate brings the devices: ``multigen train`` on a CPU or one GPU,
``accelerate launch -m multigen train`` on many.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from multigen import registry
from multigen.denoise import Cond, Parameterization
from multigen.errors import UsageError
from multigen.loading import compile_inside
from multigen.modality import Sample
from multigen.objective import Denoising, Objective
from multigen.optim import optimizers
from multigen.settings import Settings

ENDLESS = 1 << 40
"""The length of items that are drawn anew at every index."""


class Items(Protocol):
    """Training items: item i is x0 of one sample with what `Recipe.collate` makes its condition of, and the same at
    every call; every index is valid in training."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, Any]: ...


class Recipe(Protocol):
    """How a network is trained: the part of `multigen train` that knows it. It also is a `Diffuses` or an `Objective`.

    The command also reads `modality` and `prompts`, for its sample sheets, and `settings`, defaults of its own, if any.
    """

    def hidden(self, name: str, /) -> bool:
        """Whether the parameter of that name is a hidden matrix or kernel, for Muon; embeddings and heads are not."""

    def network(self) -> nn.Module:
        """The network to train, initialised or warm-started."""

    def items(self, split: str, /) -> Items:
        """The "train" items (endless by index) or the "validation" items (a fixed, finite set)."""

    def collate(self, items: Sequence[tuple[Tensor, Any]], /) -> tuple[Tensor, Cond]:
        """A batch from items: x0 (b, ...) and the condition's tensors, each (b, ...)."""

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        """Write a folder that ``--model`` takes; `about` says how it was trained."""


@runtime_checkable
class Diffuses(Protocol):
    """A recipe of a denoiser; it can also be one that `Couples`, `Correlates` or `Staggers`."""

    parameterization: Parameterization


@runtime_checkable
class Rests(Protocol):
    """A recipe whose checkpoints rest on something beside the settings, such as a model that stays as it is."""

    rests_on: Mapping[str, Any]
    """What must be the same for a run to be resumed, in plain text and numbers."""


@runtime_checkable
class Idles(Protocol):
    """A recipe some of whose batches ask nothing of some parameters, as single frames of those along time."""

    idles: bool


@runtime_checkable
class Real(Protocol):
    """A recipe that shows the samples of its dataset as they are, for ``multigen eval --data``."""

    def real(self, split: str, /, *, most: int) -> Iterator[tuple[str, Sample, str, str]]:
        """Name, sample, caption and source of at most so many items of "train" or "validation" (0 is all).

        Samples of one source are not independent.
        """


def prepare_recipe(name: str, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> Any:
    """The recipe of that name on a dataset, which is prepared in `cache` where it is not.

    One process at a time prepares; the others wait, and find what it left.
    """
    from filelock import FileLock, Timeout

    factory = registry.recipes[name]
    cache.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"multigen: waiting for another process, which prepares {data} in {cache}", file=sys.stderr)
        lock.acquire()
    try:
        return factory(data, cache, seed=seed, warm_start=warm_start)
    finally:
        lock.release()


def objective(recipe: Recipe, settings: Settings, /) -> Objective:
    """What a recipe's training minimises: its own objective, or else that of diffusion."""
    if isinstance(recipe, Objective):
        return recipe
    if isinstance(recipe, Diffuses):
        return Denoising(recipe, recipe.parameterization, t_mean=settings.t_mean, t_sd=settings.t_sd)
    raise TypeError(f"{type(recipe).__name__} has neither a parameterization nor a loss and errors")


@dataclass(frozen=True)
class Progress:
    """One optimizer step, or one evaluation where `held_out` is there."""

    samples: int
    loss: float
    rate: float  # samples a second since this process began
    lr: float
    held_out: Mapping[str, float] | None = None  # of the first average: what the function of that name returns
    exported: Path | None = None


def learning_rate(samples: int, settings: Settings, /) -> float:
    """The share of the peak: linear warm-up, stable, then down to 0 as 1 - sqrt over the last share (arXiv
    2405.18392)."""
    up = min(1.0, samples / settings.warmup) if settings.warmup else 1.0
    start = settings.samples * (1 - settings.decay)
    down = max(0.0, (samples - start) / max(1.0, settings.samples - start))
    return up * (1 - math.sqrt(min(1.0, down)))


class Average:
    """The power-function average of the weights of a relative length (EDM2, arXiv 2312.02696, eq. 4 and appendix
    C.1)."""

    def __init__(self, network: nn.Module, length: float, /) -> None:
        self.length = length
        self.exponent = _exponent(length)
        self.weights = {name: p.detach().clone().float() for name, p in trained(network).items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int, /) -> None:
        """After optimizer step number `step`, from 1."""
        keep = (1 - 1 / step) ** (self.exponent + 1)
        for name, parameter in trained(network).items():
            self.weights[name].lerp_(parameter.detach().float(), 1 - keep)


def trained(network: nn.Module, /) -> dict[str, nn.Parameter]:
    """The parameters that are trained: what is averaged, and kept in checkpoints."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def _exponent(length: float) -> float:
    """gamma whose profile t^gamma has the standard deviation `length` of its end: (g + 1)^.5 / ((g + 2) (g + 3)^.5)."""
    low, high = 0.0, 1e6
    for _ in range(200):
        g = (low + high) / 2
        too_long = math.sqrt(g + 1) / ((g + 2) * math.sqrt(g + 3)) > length
        low, high = (g, high) if too_long else (low, g)
    return low


@torch.no_grad()
def held_out(recipe: Recipe, network: nn.Module, settings: Settings, /, *, device: torch.device) -> dict[str, float]:
    """Means over the validation items of what the recipe's objective measures; item i always has the seed i."""
    items, measure = recipe.items("validation"), objective(recipe, settings)
    sums: dict[str, float] = {}
    for start in range(0, len(items), settings.validation_batch):
        indices = range(start, min(start + settings.validation_batch, len(items)))
        x0, cond = recipe.collate([items[i] for i in indices])
        x0, cond = x0.to(device), {key: value.to(device) for key, value in cond.items()}
        for name, error in measure.errors(network, x0, cond, seeds=indices).items():
            sums[name] = sums.get(name, 0.0) + float(error.sum())
    return {name: total / len(items) for name, total in sums.items()}


def train(recipe: Recipe, settings: Settings, folder: Path, /) -> Iterator[Progress]:
    """Train, yielding after every optimizer step; go on from `folder`'s checkpoint if there is one.

    Writes ``checkpoint.safetensors`` (replaced as a whole, so a kill never leaves half of one), ``log.jsonl``, and at
    every evaluation ``model/`` (the first weight average, ready for ``--model``) and ``model-ema-<length>/`` (the
    others).

    A run that was finished is measured and exported once more.

    Raises UsageError when the checkpoint there was made with other settings, and while another run trains there.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs

    idles = isinstance(recipe, Idles) and recipe.idles
    several = DistributedDataParallelKwargs(find_unused_parameters=idles)
    accelerator = Accelerator(mixed_precision=settings.precision, kwargs_handlers=[several])
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder) if accelerator.is_main_process else nullcontext():
        yield from _train(recipe, settings, folder, accelerator)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder: two runs would write over each other's checkpoints. A killed one lets go of it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UsageError(f"another run trains in {folder}: end it first, or choose another -o") from error
    try:
        yield
    finally:
        lock.release()


def _train(recipe: Recipe, settings: Settings, folder: Path, accelerator: Any) -> Iterator[Progress]:
    goal = objective(recipe, settings)
    torch.manual_seed(settings.seed)
    bare = recipe.network()
    chosen = optimizers(
        bare,
        recipe.hidden,
        lr=settings.lr,
        muon_lr=settings.muon_lr,
        weight_decay=settings.weight_decay,
        beta2=settings.beta2,
    )
    if settings.compile:
        compile_inside(bare)
    network, *prepared = accelerator.prepare(bare, *chosen)
    averages = [Average(bare, length) for length in settings.ema]
    checkpoint = folder / "checkpoint.safetensors"
    exact = _exact(recipe, settings)
    seen = _resume(checkpoint, bare, prepared, averages, exact) if checkpoint.exists() else 0
    batches = iter(_loader(recipe, settings, seen, accelerator))
    began, began_at, saved = time.monotonic(), seen, time.monotonic()

    def save() -> None:
        if accelerator.is_main_process:
            _save(checkpoint, bare, prepared, averages, exact, seen)

    if seen >= settings.samples and accelerator.is_main_process:
        # It may have been killed before its model was written.
        with accelerator.autocast():
            ended = Progress(seen, math.nan, 0.0, 0.0)
            yield _evaluate(recipe, bare, averages, settings, folder, ended, accelerator.device)
    try:
        while seen < settings.samples:
            lr = learning_rate(seen, settings)
            for optimizer in prepared:
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["peak"]
            loss = _step(goal, network, next(batches), settings, accelerator)
            accelerator.clip_grad_norm_(network.parameters(), settings.clip)
            for optimizer in prepared:
                optimizer.step()
                optimizer.zero_grad()
            before, seen = seen, seen + settings.batch
            for average in averages:
                average.update(bare, seen // settings.batch)
            due = seen // settings.evaluate_every > before // settings.evaluate_every or seen >= settings.samples
            rate = (seen - began_at) / (time.monotonic() - began)
            if due or time.monotonic() - saved > settings.checkpoint_every:
                save()
                saved = time.monotonic()
            progress = Progress(seen, float(loss), rate, lr * settings.lr)
            if due and accelerator.is_main_process:
                with accelerator.autocast():
                    progress = _evaluate(recipe, bare, averages, settings, folder, progress, accelerator.device)
            if accelerator.is_main_process:
                _log(folder / "log.jsonl", progress)
            yield progress
    except KeyboardInterrupt:
        save()
        raise


class _Numbered(torch.utils.data.Dataset[tuple[int, Tensor, Any]]):
    """Items that carry their index, from which their noise is drawn."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def __getitem__(self, index: int) -> tuple[int, Tensor, Any]:
        return (index, *self._items[index])


def _loader(recipe: Recipe, settings: Settings, seen: int, accelerator: Any) -> Any:
    """Batches of this process: of every `batch` consecutive indices it takes its share."""
    share, rest = divmod(settings.batch, accelerator.num_processes)
    if rest:
        raise UsageError(
            f"--batch {settings.batch} cannot be shared by {accelerator.num_processes} processes: use a multiple"
        )
    first = accelerator.process_index * share
    indices = [
        list(range(start + first, start + first + share)) for start in range(seen, settings.samples, settings.batch)
    ]

    def collate(items: Sequence[tuple[int, Tensor, Any]]) -> tuple[list[int], Tensor, Cond]:
        return ([i for i, _, _ in items], *recipe.collate([(x0, cond) for _, x0, cond in items]))

    return torch.utils.data.DataLoader(
        _Numbered(recipe.items("train")),
        batch_sampler=indices,
        collate_fn=collate,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
    )


def _step(
    goal: Objective, network: nn.Module, batch: tuple[list[int], Tensor, Cond], settings: Settings, accelerator: Any
) -> Tensor:
    indices, x0, cond = batch
    x0 = x0.to(accelerator.device)
    cond = {key: value.to(accelerator.device) for key, value in cond.items()}
    seeds = [settings.seed * 0x1_0000_0000 + i for i in indices]
    loss = goal.loss(network, x0, cond, seeds=seeds).mean()
    if not torch.isfinite(loss):
        raise RuntimeError(
            f"the loss is {float(loss)} at sample {indices[0]}: lower --lr, or resume from the last checkpoint"
        )
    accelerator.backward(loss)
    return loss.detach()


def _evaluate(
    recipe: Recipe,
    network: nn.Module,
    averages: Sequence[Average],
    settings: Settings,
    folder: Path,
    progress: Progress,
    device: torch.device,
) -> Progress:
    """Held-out error and export of every average; the progress carries the first one's.

    A network that is compiled for training is measured as it is: compiling it for that as well takes longer.
    """
    raw = {name: p.detach().clone() for name, p in trained(network).items()}
    network.eval()
    results = []
    try:
        for place, average in enumerate(averages):
            _assign(network, average.weights)
            with torch.compiler.set_stance("force_eager"):
                errors = held_out(recipe, network, settings, device=device)
            target = folder / ("model" if place == 0 else f"model-ema-{average.length:g}")
            about = {
                "samples": progress.samples,
                "ema": average.length,
                "held_out": errors,
                "settings": asdict(settings),
            }
            recipe.export(network, target, about=about)
            results.append((errors, target))
    finally:
        _assign(network, raw)
        network.train()
    errors, target = results[0]
    return Progress(progress.samples, progress.loss, progress.rate, progress.lr, errors, target)


@torch.no_grad()
def _assign(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, parameter in trained(network).items():
        parameter.copy_(weights[name])


def _log(path: Path, progress: Progress) -> None:
    row = {key: value for key, value in asdict(progress).items() if value is not None}
    with path.open("a") as file:
        file.write(json.dumps({**row, "exported": str(progress.exported)} if progress.exported else row) + "\n")


def _tensors(network: nn.Module, prepared: Sequence[Any], averages: Sequence[Average]) -> dict[str, Tensor]:
    tensors = {f"network.{name}": p.detach() for name, p in trained(network).items()}
    for place, optimizer in enumerate(prepared):
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{i}.{key}": value for key, value in state.items()}
    for average in averages:
        tensors |= {f"average.{average.length}.{name}": value for name, value in average.weights.items()}
    return {key: value.contiguous() for key, value in tensors.items()}


def _exact(recipe: Recipe, settings: Settings) -> str:
    """What a run must keep to be resumed, as text.

    It can be made longer, its learning rate can fall, and its batches can grow on the way: weight averages and
    learning rates go by samples.
    """
    free = ("checkpoint_every", "evaluate_every", "validation_batch", "workers", "compile", "samples", "decay", "batch")
    kept = {key: value for key, value in asdict(settings).items() if key not in free}
    return json.dumps({**kept, **recipe.rests_on} if isinstance(recipe, Rests) else kept)


def _save(
    path: Path, network: nn.Module, prepared: Sequence[Any], averages: Sequence[Average], exact: str, seen: int
) -> None:
    from safetensors.torch import save_file

    temporary = path.with_suffix(".part")
    save_file(_tensors(network, prepared, averages), temporary, {"seen": str(seen), "settings": exact})
    os.replace(temporary, path)


def _resume(path: Path, network: nn.Module, prepared: Sequence[Any], averages: Sequence[Average], exact: str) -> int:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = file.metadata()
        if about["settings"] != exact:
            raise UsageError(
                f"{path.parent} holds a run with other settings, {about['settings']}: repeat them or choose another -o"
            )
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    _assign(network, {key.removeprefix("network."): t for key, t in tensors.items() if key.startswith("network.")})
    for place, optimizer in enumerate(prepared):
        state: dict[int, dict[str, Tensor]] = {}
        prefix = f"optimizer.{place}."
        for key in filter(lambda key: key.startswith(prefix), tensors):
            i, name = key.removeprefix(prefix).split(".")
            state.setdefault(int(i), {})[name] = tensors[key]
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for average in averages:
        prefix = f"average.{average.length}."
        average.weights = {name: tensors[prefix + name].to(w.device) for name, w in average.weights.items()}
    return int(about["seen"])
