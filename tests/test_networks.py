"""What every embedded network keeps: it starts as nothing, heeds what it is told and nothing else, learns, and is
saved."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_networks import POINTS, SPECTROGRAM, TEXT, VIDEO, VOXELS, Kind


@pytest.fixture(params=[SPECTROGRAM, VOXELS, POINTS, VIDEO], ids=lambda kind: kind.network.__name__)
def kind(request) -> Kind:
    return request.param


@pytest.fixture
def network(kind: Kind) -> Any:
    return kind.made()


@torch.no_grad()
def test_a_new_network_returns_zero(kind: Kind) -> None:
    x, noise = kind.inputs()
    y = kind.new()(x, noise, **kind.condition())
    assert y.shape == x.shape
    assert y.eq(0).all()


@torch.no_grad()
def test_padding_tokens_are_ignored_and_words_are_not(kind: Kind, network: Any) -> None:
    x, noise = kind.inputs()
    given = kind.condition()
    padded = given | {
        "text": torch.cat([given["text"], torch.full((2, 4, TEXT), 7.0)], dim=1),
        "mask": torch.cat([given["mask"], torch.zeros(2, 4, dtype=torch.bool)], dim=1),
    }
    wanted = network(x, noise, **given)
    torch.testing.assert_close(network(x, noise, **padded), wanted, rtol=0, atol=1e-5)
    uneven = padded | {"mask": torch.tensor([[True] * 3 + [False] * 4, [True] * 5 + [False] * 2])}
    changed = network(x, noise, **uneven)
    torch.testing.assert_close(changed[0], wanted[0], rtol=0, atol=1e-5)
    assert (changed[1] - wanted[1]).abs().max() > 1e-3
    other = given | {"text": kind.condition(seed=5)["text"]}
    assert (network(x, noise, **other) - wanted).abs().max() > 1e-3
    assert network(x, noise, **given | {"mask": torch.zeros_like(given["mask"])}).isfinite().all()


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(kind: Kind, network: Any) -> None:
    x, noise = kind.inputs(3)
    given = kind.condition(3)
    together = network(x, noise, **given)
    for i in range(3):
        alone = network(x[i : i + 1], noise[i : i + 1], **{k: v[i : i + 1] for k, v in given.items()})
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_noise_pooled_text_and_what_else_it_is_told_count(kind: Kind, network: Any) -> None:
    x, noise = kind.inputs()
    given = kind.condition()
    y = network(x, noise, **given)
    assert (network(x, noise + 0.5, **given) - y).abs().max() > 1e-2
    for name in ("pooled", *kind.told):
        assert (network(x, noise, **given | {name: 1 - given[name]}) - y).abs().max() > 1e-2


def test_every_parameter_learns(kind: Kind, network: Any) -> None:
    x, noise = kind.inputs()
    given = kind.condition() | {name: torch.ones(2) for name in kind.told}
    network(x, noise, **given).square().mean().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


@torch.no_grad()
def test_saved_network_is_the_same(kind: Kind, network: Any, tmp_path) -> None:
    network.save_pretrained(tmp_path)
    again = kind.network.from_pretrained(tmp_path).eval()
    x, noise = kind.inputs()
    assert again(x, noise, **kind.condition()).equal(network(x, noise, **kind.condition()))


@torch.no_grad()
def test_low_precision_is_close(kind: Kind, network: Any) -> None:
    x, noise = kind.inputs()
    given = kind.condition()
    wanted = network(x, noise, **given)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(x, noise, **given)
    half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in given.items()}
    whole = network.to(torch.bfloat16)(x.bfloat16(), noise, **half)
    assert whole.dtype == torch.bfloat16
    for made in (mixed, whole):
        assert (made.float() - wanted).square().mean() < 1e-2 * wanted.square().mean()
