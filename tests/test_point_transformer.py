"""The point transformer: sets of any size in any order, what it attends to, what it ignores, that it starts as
nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from multigen_models.layers import hidden
from multigen_models.shapes.point_transformer import PointTransformer

TINY = {
    "points": 12,
    "exchange": 8,
    "latents": 5,
    "width": 16,
    "blocks": 2,
    "layers": 2,
    "heads": 2,
    "frequencies": 3,
    "text": 12,
}


def condition(b: int, words: int, *, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        "text": torch.randn(b, words, 12, generator=g),
        "mask": torch.ones(b, words, dtype=torch.bool),
        "pooled": torch.randn(b, 12, generator=g),
    }


@pytest.fixture
def network() -> PointTransformer:
    """A tiny network none of whose weights are zero."""
    torch.manual_seed(0)
    network = PointTransformer(**TINY)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network.eval()


def inputs(b: int = 2, n: int = 40) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(b, n, 6, generator=g), torch.randn(b, generator=g)


@torch.no_grad()
def test_a_new_network_returns_zero() -> None:
    x, noise = inputs()
    y = PointTransformer(**TINY)(x, noise, **condition(2, 3))
    assert y.shape == x.shape
    assert y.eq(0).all()


@torch.no_grad()
def test_the_order_of_the_points_goes_through(network: PointTransformer) -> None:
    network.double()
    x, noise = (t.double() for t in inputs())
    given = {k: t.double() if t.is_floating_point() else t for k, t in condition(2, 3).items()}
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    y = network(x, noise, **given)
    torch.testing.assert_close(network(x[:, order], noise, **given), y[:, order], rtol=0, atol=1e-12)
    assert (y[:, order] - y).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("n", [1, 3, 100])
def test_there_may_be_any_number_of_points(network: PointTransformer, n: int) -> None:
    x, noise = inputs(n=n)
    y = network(x, noise, **condition(2, 3))
    assert y.shape == x.shape
    # Every point twice is the same cloud.
    twice = network(torch.cat([x, x], dim=1), noise, **condition(2, 3))
    torch.testing.assert_close(twice, torch.cat([y, y], dim=1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_point_meets_every_other_one(network: PointTransformer) -> None:
    x, noise = inputs()
    moved = x.clone()
    moved[:, 7] += 1
    change = (network(moved, noise, **condition(2, 3)) - network(x, noise, **condition(2, 3))).abs().amax((0, 2))
    assert (change > 1e-5).all()


@torch.no_grad()
def test_padding_tokens_are_ignored_and_words_are_not(network: PointTransformer) -> None:
    x, noise = inputs()
    given = condition(2, 3)
    padded = {
        "text": torch.cat([given["text"], torch.full((2, 4, 12), 7.0)], dim=1),
        "mask": torch.cat([given["mask"], torch.zeros(2, 4, dtype=torch.bool)], dim=1),
        "pooled": given["pooled"],
    }
    uneven = padded | {"mask": padded["mask"].clone()}
    uneven["mask"][0, 3:] = True
    wanted = network(x, noise, **given)
    torch.testing.assert_close(network(x, noise, **padded), wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(network(x, noise, **uneven)[1], wanted[1], rtol=0, atol=1e-5)
    other = given | {"text": condition(2, 3, seed=5)["text"]}
    assert (network(x, noise, **other) - wanted).abs().max() > 1e-2
    assert network(x, noise, **given | {"mask": torch.zeros_like(given["mask"])}).isfinite().all()


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(network: PointTransformer) -> None:
    x, noise = inputs(b=3)
    given = condition(3, 3)
    together = network(x, noise, **given)
    for i in range(3):
        alone = network(x[i : i + 1], noise[i : i + 1], **{k: v[i : i + 1] for k, v in given.items()})
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_place_color_noise_and_pooled_text_count(network: PointTransformer) -> None:
    x, noise = inputs()
    given = condition(2, 3)
    y = network(x, noise, **given)
    for feature in range(6):
        other = x.clone()
        other[:, :, feature] += 1
        assert (network(other, noise, **given) - y).abs().max() > 1e-2
    assert (network(x, noise + 0.5, **given) - y).abs().max() > 1e-2
    assert (network(x, noise, **given | {"pooled": -given["pooled"]}) - y).abs().max() > 1e-2


def test_every_parameter_learns(network: PointTransformer) -> None:
    x, noise = inputs()
    network(x, noise, **condition(2, 3)).square().mean().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


def test_muon_takes_the_matrices_between_the_first_layer_and_the_last(network: PointTransformer) -> None:
    taken = {name for name, p in network.named_parameters() if hidden(name) and p.ndim == 2}
    others = {name for name, p in network.named_parameters() if p.ndim == 2} - taken
    block = {"modulate_points", "modulate_latents"}
    assert {name.split(".")[2] for name in others if name.startswith("trunk.")} == block
    assert {"enter.weight", "leave.weight", "initial"} <= others
    assert len(taken) == 2 * (6 + 2 * 5 + 4)  # exchanges and text, two layers, the rest


@torch.no_grad()
def test_low_precision_is_close(network: PointTransformer) -> None:
    x, noise = inputs()
    y = network(x, noise, **condition(2, 3))
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(x, noise, **condition(2, 3)).float()
    assert (rough - y).square().mean() < 1e-2 * y.square().mean()


@torch.no_grad()
def test_saved_network_is_the_same(network: PointTransformer, tmp_path) -> None:
    network.save_pretrained(tmp_path)
    again = PointTransformer.from_pretrained(tmp_path).eval()
    x, noise = inputs()
    assert again(x, noise, **condition(2, 3)).equal(network(x, noise, **condition(2, 3)))
