"""Speed of the 3D models, each beside a peer: ``python benchmarks/speed_3d.py [NAME ...]``."""

from collections.abc import Callable

import torch
from timing import commands, gigaflops, main, median, pairs, row, training

from multigen import registry
from multigen_models.shapes.voxel_unet import VoxelUNet

PROMPT = "a red wooden chair"
TOKENS = 24


def cold() -> None:
    """Whole processes: a mesh and a cloud at the default steps, of the models that are published."""
    commands({"multigen 3d --help": ["3d", "--help"]})
    for model, file in {"voxels-small": "x.glb", "points-small": "x.ply"}.items():
        if (registry.models[model].folder / "multigen.json").exists():
            commands({f"{file}, cold process, {model}": ["3d", PROMPT, "--model", model, "-o", file]})


def _ours(batch: int) -> tuple[VoxelUNet, Callable[[], torch.Tensor]]:
    network = VoxelUNet()
    x = torch.randn(batch, network.config.features, *[network.config.cells] * 3)
    told = {
        "text": torch.randn(batch, TOKENS, 384),
        "mask": torch.ones(batch, TOKENS, dtype=torch.bool),
        "pooled": torch.randn(batch, 384),
    }
    noise = torch.randn(batch)
    return network, lambda: network(x, noise, **told)


def _prior(batch: int) -> tuple[torch.nn.Module, Callable[[], torch.Tensor]]:
    """Shap-E's prior, a transformer over 1,024 latents, narrowed to about the FLOPs of our network."""
    from diffusers import PriorTransformer

    network = PriorTransformer(
        num_attention_heads=5,
        attention_head_dim=24,
        num_layers=6,
        embedding_dim=1024,
        num_embeddings=1024,
        additional_embeddings=0,
        time_embed_act_fn="gelu",
        norm_in_type="layer",
        encoder_hid_proj_type=None,
        added_emb_type=None,
        time_embed_dim=384,
        embedding_proj_dim=768,
        clip_embed_dim=1024,
    )
    latents, text, noise = torch.randn(batch, 1024, 1024), torch.randn(batch, 768), torch.zeros(batch)
    return network, lambda: network(latents, noise, proj_embedding=text).predicted_image_embedding


def inference() -> None:
    """One evaluation for one sample, and the rate of floating-point operations in it."""
    (_, ours), (_, peer) = _ours(1), _prior(1)
    with torch.no_grad():
        work = gigaflops(ours), gigaflops(peer)
        mine, theirs, ratio = pairs(ours, peer, runs=15)
        best = max(_convolution(channels, cells) for channels, cells in ((64, 32), (128, 16), (256, 16)))
    row(
        "one evaluation (GFLOP)",
        f"{1e3 * mine:.0f} ms ({work[0]:.2f})",
        f"Shap-E's prior {1e3 * theirs:.0f} ms ({work[1]:.2f})",
        f"{ratio:.2f}, per FLOP {ratio * work[1] / work[0]:.2f}",
    )
    rate = work[0] / mine
    row("GFLOP/s in it, float32", f"{rate:.0f}", f"best 3x3x3 convolution here {best:.0f}", f"{rate / best:.2f}")


def _convolution(channels: int, cells: int) -> float:
    """GFLOP/s of one 3x3x3 convolution."""
    layer = torch.nn.Conv3d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last_3d)
    x = torch.randn(1, channels, *[cells] * 3).to(memory_format=torch.channels_last_3d)
    return gigaflops(lambda: layer(x)) / median(lambda: layer(x), runs=9)


def learning() -> None:
    training("Shap-E's prior", _ours(4), _prior(4), batch=4)


if __name__ == "__main__":
    main({"cold": cold, "inference": inference, "learning": learning})
