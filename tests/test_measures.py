"""What audio and 3D measure of their samples, and that the general metrics see what is wrong with a set of them."""

import math

import pytest
import torch
import trimesh
from toy_samples import RATE, box, square, tone

from multigen.evaluation import Collection, Evidence, PerSample, Recorder, measure
from multigen.evaluation.contract import Measured
from multigen.evaluation.general import GENERAL
from multigen.evaluation.once import once
from multigen_3d import Shape
from multigen_3d import measures as measures_3d
from multigen_3d.measures import _remembered
from multigen_3d.mesh import quality
from multigen_audio import Audio
from multigen_video import Video

MODALITIES = {"audio": (Audio(), tone), "video": (Video(), square), "3d": (Shape(), box)}


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
    real = collected(modality, [make(100 + i) for i in range(16)])
    for extractor in modality.extractors():
        kads = []
        for noise in (0.0, 0.02, 0.1):
            made = collected(modality, [make(i, noise=noise) for i in range(16)])
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


def test_loudness_is_that_of_the_standard():
    loud = named(Audio().metrics())["loudness"]
    # EBU Tech 3341, case 1: a stereo sine of 1 kHz at -23 dBFS has -23 LUFS.
    wave = 10 ** (-23 / 20) * torch.sin(2 * math.pi * 1000 * torch.arange(4 * RATE) / RATE).expand(2, -1)
    assert loud.value({"wave": wave, "sample_rate": RATE}, "") == pytest.approx(-23, abs=0.1)
    for silent_or_many in (torch.zeros(2, RATE), torch.rand(6, RATE)):
        assert math.isnan(loud.value({"wave": silent_or_many, "sample_rate": RATE}, ""))


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


def test_what_several_metrics_ask_of_a_sample_is_found_once():
    asked = []
    find = once(lambda sample: asked.append(sample) or len(asked))
    one, other = box(0), box(0)
    assert [find(one), find(one), find(other), find(one)] == [1, 1, 2, 3]


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
    names += ("components", "genus")
    assert all(math.isnan(metrics[name].value(cloud, "")) for name in names)
    two = {
        **whole,
        "vertices": torch.cat([whole["vertices"], whole["vertices"] + 5]),
        "faces": torch.cat([whole["faces"], whole["faces"] + len(whole["vertices"])]),
    }
    assert [metrics["components"].value(shape, "") for shape in (whole, two)] == [1, 2]
    ring = trimesh.creation.torus(1.0, 0.3)
    ring = {"vertices": torch.tensor(ring.vertices).float(), "faces": torch.tensor(ring.faces)}
    assert [metrics["genus"].value(shape, "") for shape in (whole, ring)] == [0, 1]
    assert math.isnan(metrics["genus"].value(open_box, ""))
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


@pytest.mark.parametrize("pan", [0, 5])
@pytest.mark.parametrize("step", [3, -3])
def test_the_way_a_thing_goes_is_measured_whatever_the_camera_does(step, pan):
    """A camera that follows: the place moves the other way, or faster than the thing."""
    metrics = named(Video().metrics())
    film = square(1, step=(step, 0), pan=pan)
    told = "right" if step > 0 else "left"
    if pan:  # the square is drawn in the picture's own coordinates: against the place it goes `step + pan`
        told = "right"
    other = "left" if told == "right" else "right"
    assert metrics["direction"].value(film, f"a fox running to the {told}") == 1
    assert metrics["direction"].value(film, f"a fox running to the {other}") == 0


@pytest.mark.parametrize(
    "prompt",
    [
        "a fox", "a fox looking to the left", "a fox to the left of a cow", "the camera pans to the left",
        "a knight raising its left arm",
    ],
)  # fmt: skip
def test_prompts_that_ask_for_no_way_are_not_counted(prompt):
    assert math.isnan(named(Video().metrics())["direction"].value(square(1), prompt))


@pytest.mark.parametrize("figure", ["a panda", "a red panda astronaut", "a panther", "a turnip"])
def test_names_that_begin_like_the_cameras_words_are_figures(figure):
    assert named(Video().metrics())["direction"].value(square(1), f"{figure} walking to the right") == 1


def test_flicker_and_motion_are_measured():
    metrics = named(Video().metrics())
    still, slow, fast = (square(1, step=(step, 0)) for step in (0, 1, 4))
    noisy = square(1, noise=0.05)
    steady = [metrics["temporal-flickering"].value(film, "") for film in (still, slow, fast, noisy)]
    assert steady[0] == 1
    assert steady == sorted(steady, reverse=True)
    frames = fast["frames"].double()
    assert steady[2] == pytest.approx(1 - float((frames[1:] - frames[:-1]).abs().mean()) / 255, abs=1e-6)
    degree = [metrics["dynamic-degree"].value(film, "") for film in (still, slow, fast)]
    assert degree == sorted(degree)
    assert degree[1] == pytest.approx(8 / 96, rel=0.5)  # a pixel of 96 a frame, 8 frames a second


def test_a_films_faults_are_named():
    film = square(0)
    frozen = {**film, "frames": film["frames"][:1].repeat(8, 1, 1, 1)}
    nothing = {**film, "frames": torch.full_like(film["frames"], 40)}
    assert list(Video().faults(frozen)) == ["frozen"]
    assert list(Video().faults(nothing)) == ["shows nothing"]
    assert not Video().faults(film)
    assert not Video().faults({**film, "frames": film["frames"][:1]})  # an image


def test_tables_of_distances_are_made_once():
    calls = []

    def table(*stacks):
        calls.append(len(stacks))
        return torch.zeros(1)

    remembered = _remembered(table)
    x, y = torch.rand(2, 5, 3), torch.rand(2, 5, 3)
    for _ in range(3):
        remembered(x)
        remembered(x.clone(), y)
    assert calls == [1, 2]
    for i in range(20):
        remembered(torch.full((1, 1, 3), float(i)))
    remembered(x)
    assert len(calls) == 2 + 20 + 1  # the oldest are forgotten


def test_the_soundness_of_a_mesh_is_found_once_for_all_that_ask(monkeypatch):
    asked = []

    def counted(sample):
        asked.append(sample)
        return quality(sample)

    monkeypatch.setattr(measures_3d, "quality", counted)
    metrics = named(Shape().metrics())
    one, other = box(0), box(1)
    for sample in (one, other, one):
        assert [metrics[name].value(sample, "") for name in ("watertight", "winding", "volume")] == [1, 1, 1]
    assert [sample is one for sample in asked] == [True, False, True]
