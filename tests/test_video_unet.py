"""The spatio-temporal U-Net: what each part sees, and what it refuses."""

import pytest
import torch

from multigen_models.video.unet import VideoUNet

CONFIG = {"features": 4, "rows": 8, "frames": 4, "channels": (16, 24, 32), "heads": (2, 2, 2), "embedding": 32}


def condition(b, words=3):
    return {
        "text": torch.randn(b, 6, 384),
        "mask": torch.arange(6).expand(b, 6) < words,
        "pooled": torch.nn.functional.normalize(torch.randn(b, 384), dim=1),
        "rate": torch.zeros(b),
    }


@pytest.fixture
def network():
    """A network none of whose branches is nothing."""
    torch.manual_seed(0)
    made = VideoUNet(**CONFIG)
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made.eval().requires_grad_(False)


def changed_by(network, x, cond, change):
    before = network(x, torch.zeros(len(x)), **cond)
    return (network(change(x), torch.zeros(len(x)), **cond) - before).abs()


def test_an_untrained_network_predicts_nothing():
    assert torch.equal(
        VideoUNet(**CONFIG)(torch.randn(2, 4, 4, 8, 8), torch.zeros(2), **condition(2)), torch.zeros(2, 4, 4, 8, 8)
    )


@pytest.mark.parametrize("shape", [(1, 4, 1, 8, 8), (2, 4, 4, 8, 8), (1, 4, 3, 4, 12)])
def test_any_number_of_frames_and_any_fitting_size(network, shape):
    x = torch.randn(shape)
    assert network(x, torch.zeros(shape[0]), **condition(shape[0])).shape == shape


@pytest.mark.parametrize("shape", [(1, 3, 4, 8, 8), (1, 4, 5, 8, 8), (1, 4, 4, 6, 8), (1, 4, 4, 8, 10)])
def test_other_shapes_are_refused(network, shape):
    with pytest.raises(ValueError, match="it must be"):
        network(torch.randn(shape), torch.zeros(shape[0]), **condition(shape[0]))


def test_a_sample_does_not_depend_on_its_batch(network):
    x, cond = torch.randn(3, 4, 4, 8, 8), condition(3)
    noise = torch.tensor([-1.0, 0.0, 1.0])
    together = network(x, noise, **cond)
    for i in range(3):
        alone = network(x[i : i + 1], noise[i : i + 1], **{k: v[i : i + 1] for k, v in cond.items()})
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_every_frame_sees_every_other_and_every_place(network):
    x, cond = torch.randn(1, 4, 4, 8, 8), condition(1)

    def touch(x):
        x = x.clone()
        x[0, :, 3, 7, 7] += 1
        return x

    change = changed_by(network, x, cond, touch)
    assert (change.amax(dim=(0, 1)) > 1e-6).all()


def test_without_attention_between_frames_they_are_apart(network):
    x, cond = torch.randn(1, 4, 4, 8, 8), condition(1)
    for stage in (*network.down, *network.up):
        stage.along_time.project.weight.zero_()
        stage.along_time.project.bias.zero_()
        if stage.joint is not None:
            stage.joint.project.weight.zero_()
            stage.joint.project.bias.zero_()

    def touch(x):
        x = x.clone()
        x[0, :, 3] += 1
        return x

    change = changed_by(network, x, cond, touch)
    assert change[:, :, :3].max() == 0
    assert change[:, :, 3].min() > 0


def test_order_matters_in_time_and_height(network):
    x, cond = torch.randn(1, 4, 4, 8, 8), condition(1)
    out = network(x, torch.zeros(1), **cond)
    for dim in (2, 3):
        flipped = network(x.flip(dim), torch.zeros(1), **cond).flip(dim)
        assert (flipped - out).abs().mean() > 1e-3


@pytest.mark.parametrize("name", ["text", "pooled", "rate"])
def test_conditions_count(network, name):
    x, cond = torch.randn(1, 4, 4, 8, 8), condition(1)
    other = {**cond, name: cond[name] + 1}
    assert (network(x, torch.zeros(1), **other) - network(x, torch.zeros(1), **cond)).abs().max() > 1e-4


def test_words_that_are_masked_do_not_count(network):
    x, cond = torch.randn(1, 4, 4, 8, 8), condition(1)
    text = cond["text"].clone()
    text[:, 3:] += 5
    assert torch.equal(network(x, torch.zeros(1), **{**cond, "text": text}), network(x, torch.zeros(1), **cond))
