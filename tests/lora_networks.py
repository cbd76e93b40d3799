"""Small networks of every kind that LoRAs are added to, each with what it is called with."""

import torch
from lora_files import randomise


def _told(text=32):
    """A noise level and the state of a prompt, as the embedded networks take them."""
    return {
        "text": torch.randn(1, 3, text, generator=torch.Generator().manual_seed(3)),
        "mask": torch.ones(1, 3, dtype=torch.bool),
        "pooled": torch.randn(1, text, generator=torch.Generator().manual_seed(4)),
    }


def _x(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def spectrogram():
    from multigen_models.audio.spectrogram_unet import SpectrogramUNet

    network = SpectrogramUNet(
        bins=32, patch=(4, 4), channels=(8, 16), blocks=(1, 1), heads=(0, 2), self_attention=(1,), embedding=16, text=32
    )
    return randomise(network), lambda n: n(_x(1, 1, 32, 16), torch.tensor([0.3]), **_told())


def voxel():
    from multigen_models.shapes.voxel_unet import VoxelUNet

    network = VoxelUNet(
        cells=4, features=6, channels=(8, 16), blocks=(0, 1), kernels=(3, 3), heads=(0, 2), self_attention=(1,),
        embedding=16, text=32,
    )  # fmt: skip
    return randomise(network), lambda n: n(_x(1, 6, 4, 4, 4), torch.tensor([0.3]), **_told())


def points():
    from multigen_models.shapes.point_transformer import PointTransformer

    network = PointTransformer(
        points=16, exchange=8, latents=4, width=16, blocks=1, layers=1, heads=2, frequencies=2, text=32
    )
    return randomise(network), lambda n: n(_x(1, 10, 6), torch.tensor([0.3]), **_told())


def video():
    from multigen_models.video.unet import VideoUNet

    network = VideoUNet(
        features=4, rows=4, frames=4, channels=(8, 16), blocks=(1, 1), heads=(1, 2), within=(1,), joint=(1,),
        embedding=16, text=32,
    )  # fmt: skip
    rate = torch.zeros(1)
    return randomise(network), lambda n: n(_x(1, 4, 2, 4, 4), torch.tensor([0.3]), rate=rate, **_told())


def unet():
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16, attention_head_dim=4, norm_num_groups=4,
    )  # fmt: skip
    text = _x(1, 3, 16)
    return randomise(network), lambda n: n(_x(1, 4, 8, 8), torch.tensor([7]), text).sample


def dit():
    from diffusers import WanTransformer3DModel

    network = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=16,
        freq_dim=16, ffn_dim=32, num_layers=2,
    )  # fmt: skip
    text = _x(1, 3, 16)
    return randomise(network), lambda n: n(_x(1, 4, 1, 4, 4), torch.tensor([7]), text).sample


NETWORKS = {f.__name__: f for f in (spectrogram, voxel, points, video, unet, dit)}
