"""What the speed benchmarks share: pairs timed in turn, and tables of their rows."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from multigen.optim import optimizers


def seconds(work: Callable[[], object], /) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median(work: Callable[[], object], /, *, runs: int = 5) -> float:
    """Median seconds after one warm-up."""
    work()
    return statistics.median(seconds(work) for _ in range(runs))


def pairs(ours: Callable[[], object], peer: Callable[[], object], /, *, runs: int = 5) -> tuple[float, float, float]:
    """Median seconds of both and the median ratio ours / peer, timed A B A B after one warm-up of each."""
    ours(), peer()
    times = [(seconds(ours), seconds(peer)) for _ in range(runs)]
    a, b = zip(*times, strict=True)
    return statistics.median(a), statistics.median(b), statistics.median(x / y for x, y in times)


def row(name: str, *cells: str) -> None:
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


def commands(lines: Mapping[str, list[str]], /) -> None:
    """A row for each ``multigen`` command: seconds of whole cold processes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, words in lines.items():
            run = [sys.executable, "-m", "multigen", *words]
            spent = median(lambda run=run: subprocess.run(run, check=True, capture_output=True, cwd=folder))
            row(name, f"{spent:.2f} s", "", "")


def gigaflops(forward: Callable[[], object], /) -> float:
    """Floating-point operations of one call, in billions."""
    with FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops() / 1e9


def adam_step(forward: Callable[[], torch.Tensor], network: torch.nn.Module, /) -> Callable[[], None]:
    """One bf16 training step of a network: forward, backward, AdamW."""
    (adam,) = optimizers(network, lambda _: False, lr=1e-4, muon_lr=0, weight_decay=0.01, beta2=0.95)

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = forward().float().square().mean()
        loss.backward()
        adam.step()
        adam.zero_grad()

    return work


def training(
    name: str,
    ours: tuple[torch.nn.Module, Callable[[], torch.Tensor]],
    peer: tuple[torch.nn.Module, Callable[[], torch.Tensor]],
    /,
    *,
    batch: int,
    runs: int = 7,
) -> None:
    """A row: samples a second of a bf16 training step with AdamW of our network and of a peer's, and per FLOP."""
    work = [gigaflops(forward) / batch for _, forward in (ours, peer)]
    mine, theirs, ratio = pairs(*(adam_step(forward, network) for network, forward in (ours, peer)), runs=runs)
    row(
        "training, samples/s (GFLOP forward)",
        f"{batch / mine:.1f} ({work[0]:.2f})",
        f"{name} {batch / theirs:.1f} ({work[1]:.2f})",
        f"{1 / ratio:.2f}, per FLOP {work[0] / work[1] / ratio:.2f}",
    )


def main(measured: Mapping[str, Callable[[], None]], /) -> None:
    """The table of what is named on the command line, or of everything."""
    unknown = [name for name in sys.argv[1:] if name not in measured]
    if unknown:
        sys.exit(f"there is no {unknown[0]!r} to measure: choose from {', '.join(measured)}")
    row("measured", "multigen", "peer", "ratio")
    row("---", "---", "---", "---")
    for name in sys.argv[1:] or measured:
        measured[name]()
