"""Training steps in a process that keeps freed memory, as ``multigen`` does, beside one that does not; and compiled,
beside one that is not.

``python benchmarks/speed_memory.py [NAME ...]``; the names are those of `MEASURED` below. Every step is timed in
processes of its own, in turn, A B A B.
"""

import functools
import multiprocessing
import resource
import statistics
from collections.abc import Callable

import torch
from timing import adam_step, main, median, row

from multigen.memory import keep_freed_memory
from multigen_models.audio.spectrogram_unet import SpectrogramUNet
from multigen_models.shapes.point_transformer import PointTransformer
from multigen_models.shapes.voxel_unet import VoxelUNet
from multigen_models.video.unet import VideoUNet

TOKENS = 16
ROUNDS = 3
NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...]]] = {
    "audio": (SpectrogramUNet, (16, 1, 384, 384)),
    "voxels": (VoxelUNet, (32, 16, 8, 8, 8)),
    "points": (PointTransformer, (16, 2048, 6)),
    "video": (VideoUNet, (16, 16, 8, 16, 16)),
    "stills": (VideoUNet, (128, 16, 1, 16, 16)),
}


def compared(name: str, /) -> None:
    """A row: samples a second, and the most memory of the process."""
    found = [(_apart(name), _apart(name, kept=False)) for _ in range(ROUNDS)]
    kept, plain = (
        f"{statistics.median(rate for rate, _ in runs):.1f} samples/s, {max(most for _, most in runs):.1f} GiB"
        for runs in zip(*found, strict=True)
    )
    ratio = statistics.median(mine[0] / theirs[0] for mine, theirs in found)
    row(f"training step of {name}, batches of {NETWORKS[name][1][0]}", kept, f"glibc by itself {plain}", f"{ratio:.2f}")


def compiled(name: str, /) -> None:
    """A row: samples a second, once the steps are compiled, beside those of the network as it is."""
    found = [(_apart(name, compile_it=True)[0], _apart(name)[0]) for _ in range(ROUNDS)]
    mine, theirs = (f"{statistics.median(rates):.1f} samples/s" for rates in zip(*found, strict=True))
    ratio = statistics.median(one / other for one, other in found)
    told = f"compiled training step of {name}, batches of {NETWORKS[name][1][0]}"
    row(told, mine, f"as it is {theirs}", f"{ratio:.2f}")


def _apart(name: str, *, kept: bool = True, compile_it: bool = False) -> tuple[float, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_trained, (name, kept, compile_it))


def _trained(name: str, kept: bool, compile_it: bool) -> tuple[float, float]:
    """Samples a second of a step with AdamW, and GiB."""
    if kept:
        keep_freed_memory()
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    network, x, batch = make(), torch.randn(shape), shape[0]
    told = {
        "text": torch.randn(batch, TOKENS, 384),
        "mask": torch.ones(batch, TOKENS, dtype=torch.bool),
        "pooled": torch.randn(batch, 384),
        **({"rate": torch.zeros(batch)} if isinstance(network, VideoUNet) else {}),
    }
    if compile_it:
        network.compile()
    step = adam_step(lambda: network(x, torch.zeros(batch), **told), network)
    rate = batch / median(step, runs=5)
    return rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


MEASURED = {
    **{name: functools.partial(compared, name) for name in NETWORKS},
    **{f"compiled-{name}": functools.partial(compiled, name) for name in NETWORKS},
}

if __name__ == "__main__":
    main(MEASURED)
