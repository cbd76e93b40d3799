"""What audio and 3D measure of their samples, and that the general metrics see what is wrong with a set of them."""

import math

import pytest
import torch
import trimesh

from multigen.evaluation import Collection, Evidence, PerSample, Recorder, measure
from multigen.evaluation.contract import Measured
from multigen.evaluation.general import GENERAL
from multigen_3d import Shape
from multigen_audio import Audio

RATE = 24_000


def tone(seed, *, noise=0.0):
    """A tone of a random pitch that fades, with white noise."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(2 * RATE) / RATE
    pitch = 200 * 2 ** (4 * torch.rand((), generator=generator))
    wave = 0.3 * torch.sin(2 * math.pi * pitch * t) * torch.exp(-t * torch.rand((), generator=generator))
    return {"wave": (wave + noise * torch.randn(len(t), generator=generator))[None], "sample_rate": RATE}


def box(seed, *, noise=0.0):
    generator = torch.Generator().manual_seed(seed)
    mesh = trimesh.creation.box((0.5 + torch.rand(3, generator=generator)).tolist()).subdivide().subdivide()
    vertices = torch.tensor(mesh.vertices, dtype=torch.float32)
    vertices = vertices + noise * torch.randn(vertices.shape, generator=generator)
    return {"vertices": vertices, "faces": torch.tensor(mesh.faces), "colors": torch.zeros_like(vertices)}


MODALITIES = {"audio": (Audio(), tone), "3d": (Shape(), box)}


def collected(modality, samples, metrics=()):
    recorder = Recorder(modality, metrics, modality.extractors())
    return Collection.of(recorder(x, name=str(i), prompt="", cluster=str(i)) for i, x in enumerate(samples))


def named(metrics):
    return {metric.name: metric for metric in metrics}


@pytest.mark.parametrize("name", MODALITIES)
def test_features_are_finite_repeatable_and_tell_samples_apart(name):
    modality, make = MODALITIES[name]
    assert isinstance(modality, Measured)
    names = [extractor.name for extractor in modality.extractors()]
    assert len(set(names)) == len(names) >= 1
    for extractor in modality.extractors():
        first, again, other = extractor(make(0)), extractor(make(0)), extractor(make(1))
        assert first.ndim == 1
        assert bool(first.isfinite().all())
        assert torch.equal(first, again)
        assert (first - other).abs().max() > 1e-3


@pytest.mark.parametrize("name", MODALITIES)
def test_every_extractor_sees_noise_grow(name):
    modality, make = MODALITIES[name]
    real = collected(modality, [make(100 + i) for i in range(24)])
    for extractor in modality.extractors():
        kads = []
        for noise in (0.0, 0.02, 0.1):
            made = collected(modality, [make(i, noise=noise) for i in range(24)])
            (result,) = measure(Evidence(made, real), (named(GENERAL)["kad"],), extractor, repeats=20)
            kads.append(result.interval.value)
        assert kads[0] < kads[1] < kads[2], (extractor.name, kads)


def test_a_sounds_faults_are_named():
    for wave, said in (
        (torch.zeros(1, RATE), "silent"),
        (torch.full((1, RATE), math.nan), "not finite"),
        (torch.rand(1, 100), "shorter than 0.1 s"),
    ):
        assert list(Audio().faults({"wave": wave, "sample_rate": RATE})) == [said]
    assert not Audio().faults(tone(0))


def test_clipping_offset_and_silence_are_measured():
    metrics = named(Audio().metrics())
    clean, rate = tone(0), {"sample_rate": RATE}
    clipped = {"wave": (5 * clean["wave"]).clamp(-0.5, 0.5), **rate}
    shifted = {"wave": clean["wave"] + 0.2, **rate}
    gap = clean["wave"].clone()
    gap[:, RATE:] = 0
    assert metrics["flat-tops"].value(clipped, "") > 20 > metrics["flat-tops"].value(clean, "")
    assert metrics["dc"].value(shifted, "") > 50 > 5 > metrics["dc"].value(clean, "")
    assert metrics["silence"].value({"wave": gap, **rate}, "") == pytest.approx(50, abs=2)


def test_rates_and_channels_do_not_change_what_is_measured():
    from multigen_audio.signal import resample

    sample = tone(3)
    other = {"wave": resample(sample["wave"], RATE, 48_000).repeat(2, 1), "sample_rate": 48_000}
    statistics = Audio().extractors()[0]
    assert (statistics(sample) - statistics(other)).abs().mean() < 0.1 * statistics(sample).abs().mean()


def test_a_shapes_faults_are_named():
    whole = box(0)
    for change, said in (
        ({"faces": whole["faces"][:0]}, "empty"),
        ({"vertices": torch.full_like(whole["vertices"], math.nan)}, "not finite"),
        ({"vertices": torch.zeros_like(whole["vertices"])}, "no extent"),
    ):
        assert list(Shape().faults({**whole, **change})) == [said]
    assert not Shape().faults(whole)
    assert list(Shape().faults({"points": torch.zeros(0, 3), "colors": torch.zeros(0, 3)})) == ["empty"]


def test_soundness_of_meshes_is_measured_and_does_not_apply_to_clouds():
    metrics = {m.name: m for m in Shape().metrics() if isinstance(m, PerSample)}
    whole = box(0)
    open_box = {**whole, "faces": whole["faces"][4:]}
    inside_out = {**whole, "faces": whole["faces"].flip(1)}
    cloud = {"points": torch.rand(500, 3), "colors": torch.rand(500, 3)}
    names = ("watertight", "winding", "volume")
    assert [metrics[name].value(whole, "") for name in names] == [1, 1, 1]
    assert metrics["watertight"].value(open_box, "") == 0
    assert metrics["volume"].value(inside_out, "") == 0
    assert all(math.isnan(metrics[name].value(cloud, "")) for name in names)
    lopsided = {
        **whole,
        "vertices": whole["vertices"] * torch.tensor([1.0, 1, 1])
        + (whole["vertices"][:, :1] > 0) * 0.2 * whole["vertices"][:, 1:2] * torch.tensor([0.0, 1, 0]),
    }
    assert metrics["asymmetry"].value(lopsided, "") > 1.5 * metrics["asymmetry"].value(whole, "")


def test_distances_of_shapes_tell_boxes_from_balls():
    metrics = [m for m in Shape().metrics() if m.name in ("1-nna-cd", "1-nna-emd", "1-nna-sw", "cov-cd", "mmd-cd")]
    assert len(metrics) == 5
    boxes = collected(Shape(), [box(i) for i in range(12)], metrics)
    others = collected(Shape(), [box(50 + i) for i in range(12)], metrics)
    balls = []
    for i in range(12):
        ball = trimesh.creation.icosphere(3, radius=0.5)
        stretched = torch.tensor(ball.vertices, dtype=torch.float32) * torch.tensor([1.0, 1 + i / 20, 1])
        balls.append({"vertices": stretched, "faces": torch.tensor(ball.faces), "colors": stretched})
    alike = {r.metric: r.interval.value for r in measure(Evidence(others, boxes), metrics, repeats=20)}
    apart = {
        r.metric: r.interval.value
        for r in measure(Evidence(collected(Shape(), balls, metrics), boxes), metrics, repeats=20)
    }
    for name in ("1-nna-cd", "1-nna-emd", "1-nna-sw"):
        assert apart[name] > 0.9 > 0.75 > alike[name]
    assert apart["cov-cd"] < alike["cov-cd"]
    assert apart["mmd-cd"] > alike["mmd-cd"]
