"""Speed of the video model, each beside a peer: ``python benchmarks/speed_video.py [NAME ...]``."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch
from timing import commands, gigaflops, main, median, pairs, row, training

from multigen import registry
from multigen.denoise import bind, windowed
from multigen_models.video.small import OVERLAP, SIDE, SIDE_OVERLAP, WINDOW, parameterization
from multigen_models.video.unet import VideoUNet

PROMPT = "a fox galloping to the left through snow"
TOKENS = 24
FEATURES = VideoUNet().config.features


def cold() -> None:
    """Whole processes: a clip of 2 s at the default steps, where the model is published."""
    commands({"multigen video --help": ["video", "--help"]})
    if (registry.models["video-small"].folder / "multigen.json").exists():
        commands({"2 s of 128 x 128, cold process": ["video", PROMPT, "--duration", "2", "-o", "x.mp4"]})


def _told(batch: int) -> dict[str, torch.Tensor]:
    return {
        "text": torch.randn(batch, TOKENS, 384),
        "mask": torch.ones(batch, TOKENS, dtype=torch.bool),
        "pooled": torch.randn(batch, 384),
        "rate": torch.zeros(batch),
    }


def _ours(batch: int) -> tuple[VideoUNet, Callable[[], torch.Tensor]]:
    network = VideoUNet()
    x, noise, told = torch.randn(batch, FEATURES, WINDOW, SIDE, SIDE), torch.randn(batch), _told(batch)
    return network, lambda: network(x, noise, **told)


def _unet3d(batch: int) -> tuple[torch.nn.Module, Callable[[], torch.Tensor]]:
    """diffusers' U-Net of films on the same latents, with about the FLOPs of ours."""
    from diffusers import UNet3DConditionModel

    network = UNet3DConditionModel(
        sample_size=SIDE,
        in_channels=FEATURES,
        out_channels=FEATURES,
        down_block_types=("CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D"),
        block_out_channels=(56, 112, 168),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=384,
        attention_head_dim=8,
    )
    x, text, noise = (
        torch.randn(batch, FEATURES, WINDOW, SIDE, SIDE),
        torch.randn(batch, TOKENS, 384),
        torch.zeros(batch),
    )
    return network, lambda: network(x, noise, encoder_hidden_states=text).sample


def inference() -> None:
    """One evaluation for one clip of 16 frames."""
    (network, ours), (other, peer) = _ours(1), _unet3d(1)
    network.eval()
    other.eval()  # its layers along time drop out
    with torch.no_grad():
        work = gigaflops(ours), gigaflops(peer)
        mine, theirs, ratio = pairs(ours, peer, runs=15)
    row(
        "one evaluation, 16 frames (GFLOP)",
        f"{1e3 * mine:.0f} ms ({work[0]:.2f})",
        f"UNet3DConditionModel {1e3 * theirs:.0f} ms ({work[1]:.2f})",
        f"{ratio:.2f}, per FLOP {ratio * work[1] / work[0]:.2f}",
    )


def learning() -> None:
    training("UNet3DConditionModel", _ours(4), _unet3d(4), batch=4)


def growth() -> None:
    """One evaluation of longer and of larger films, joined from windows, beside the first of them."""
    base = _evaluated(16, 128, 128)
    for frames, width, height in ((16, 128, 128), (32, 128, 128), (64, 128, 128), (128, 128, 128), (16, 256, 256)):
        spent, peak = _evaluated(frames, width, height)
        row(
            f"one evaluation, {frames} frames of {width} x {height}",
            f"{1e3 * spent:.0f} ms, {peak:.0f} MiB",
            "16 frames of 128 x 128",
            f"{spent / base[0]:.1f} times the time, {peak / base[1]:.2f} times the memory",
        )


def _evaluated(frames: int, width: int, height: int) -> tuple[float, float]:
    """Median seconds, and how much memory evaluations take at most beside the network's own, in MiB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_evaluate, (frames, width, height))


def _evaluate(frames: int, width: int, height: int) -> tuple[float, float]:
    denoise = bind(VideoUNet(), parameterization(), _told(1), rows=1)
    for dim in (-2, -1):
        denoise = windowed(denoise, dim=dim, size=SIDE, overlap=SIDE_OVERLAP)
    denoise = windowed(denoise, dim=-3, size=WINDOW, overlap=OVERLAP)
    x = torch.randn(1, FEATURES, frames // 2, height // 8, width // 8)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: that of starting was higher
    with torch.no_grad():
        spent = median(lambda: denoise(x, 1.0), runs=5)
    return spent, _resident("VmHWM") - before


def _resident(field: str) -> float:
    """Memory of this process in MiB, as Linux tells it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main({"cold": cold, "inference": inference, "learning": learning, "growth": growth})
