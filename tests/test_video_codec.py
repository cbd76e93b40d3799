"""The autoencoder of pairs of frames: shapes, independence of pairs, and that it can learn."""

import pytest
import torch
import torch.nn.functional as F

from multigen_models.video.pair_autoencoder import LATENT, PairAutoencoder

SMALL = {"encoder_channels": (16, 16), "decoder_channels": (16, 16), "decoder_blocks": 1}


def randomised(**config):
    """A codec whose residual branches are not nothing."""
    torch.manual_seed(0)
    codec = PairAutoencoder(**config)
    for parameter in codec.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return codec.eval().requires_grad_(False)


def test_latents_are_an_eighth_of_the_picture_and_half_of_the_frames():
    codec = randomised(**SMALL)
    x = torch.rand(2, 3, 6, 40, 24) * 2 - 1
    z = codec.encode(x)
    assert z.shape == (2, LATENT, 3, 5, 3)
    assert codec.decode(z).shape == x.shape


@pytest.mark.parametrize("shape", [(1, 3, 3, 16, 16), (1, 3, 2, 12, 16), (1, 3, 2, 16, 20)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="must be"):
        randomised(**SMALL).encode(torch.zeros(shape))


def test_pairs_are_coded_apart_from_one_another():
    codec = randomised(**SMALL)
    x = torch.rand(1, 3, 6, 32, 32)
    whole, middle = codec.encode(x), codec.encode(x[:, :, 2:4])
    torch.testing.assert_close(whole[:, :, 1:2], middle)
    torch.testing.assert_close(codec.decode(whole)[:, :, 2:4], codec.decode(middle))
    changed = x.clone()
    changed[:, :, 3] = 0
    assert not torch.allclose(codec.encode(changed)[:, :, 1], whole[:, :, 1], atol=1e-3)  # both frames of a pair count


def test_it_learns_what_lies_where():
    torch.manual_seed(0)
    codec = PairAutoencoder(encoder_channels=(32, 32), decoder_channels=(32, 32), decoder_blocks=1)
    ramps = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (2, 16, 16)), indexing="ij"))[None]
    optimizer = torch.optim.AdamW(codec.parameters(), lr=3e-3)
    for _ in range(150):
        _, (made,) = codec(ramps, torch.zeros(1, LATENT, 1, 2, 2))
        loss = F.mse_loss(made, ramps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01  # a picture of the mean colour has 0.37


def test_noise_is_added_to_latents_of_every_size():
    codec = randomised(**SMALL)
    x = torch.rand(1, 3, 2, 16, 32)
    noise = torch.randn(1, LATENT, 1, 2, 4)
    z, (made, small) = codec(x, noise, factors=(1, 2))
    torch.testing.assert_close(z, codec.encode(x))
    torch.testing.assert_close(made, codec.decode(z + noise))
    torch.testing.assert_close(small, codec.decode(F.avg_pool2d(z[:, :, 0], 2)[:, :, None] + noise[..., :1, :2]))
