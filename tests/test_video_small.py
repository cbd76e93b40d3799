"""The embedded video model with small random networks: shapes, sizes, rates, loops, images, edits, and its folder."""

import math
from types import SimpleNamespace

import pytest
import torch
from tiny_video import small_codec, video_small

from multigen import guidance, samplers, schedules
from multigen.denoise import Denoiser
from multigen.errors import UsageError
from multigen.inputs import edits, read_input
from multigen.job import generate
from multigen.modality import Fits, Stills
from multigen.model import Masked
from multigen.noise import Correlates, white
from multigen.options import make
from multigen.pipeline import Pipeline
from multigen.request import Request
from multigen.testing import check_model
from multigen_models.video.pair_autoencoder import LATENT, PairAutoencoder
from multigen_models.video.small import VideoSmall, levels
from multigen_models.weights import ZOO, read_network, write_folder
from multigen_video import Video, VideoOptions
from multigen_video.rate import crossfaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return video_small(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder):
    return VideoSmall.load(folder, device="cpu", dtype="float32")


def options(**typed):
    return make(VideoOptions, typed)


def film(count=16, size=(128, 128), fps=8.0):
    frames = (white([1], (1, 3, 8, 8))[0] * 60 + 128).clamp(0, 255)
    still = torch.nn.functional.interpolate(frames, size[::-1], mode="bilinear")
    return {"frames": still.expand(count, -1, -1, -1).to(torch.uint8).contiguous(), "fps": fps}


@pytest.mark.parametrize("typed", [{}, {"size": "64x96", "duration": 1.0}, {"loop": True}, {"frames": 1}])
def test_it_keeps_the_promises_of_a_model(model, typed):
    check_model(model, options(**typed), film(), prompts=("a fox running", "a red car"))


@pytest.mark.parametrize(
    ("typed", "shape"),
    [
        ({}, (8, 16, 16)),
        ({"duration": 5.0}, (20, 16, 16)),
        ({"frames": 1}, (1, 16, 16)),
        ({"frames": 3}, (2, 16, 16)),
        ({"size": "160x96"}, (8, 12, 20)),
        ({"size": "100x50"}, (8, 8, 16)),
        ({"fps": 16.0}, (16, 16, 16)),
        ({"fps": 30.0}, (16, 16, 16)),
        ({"fps": 2.0}, (4, 16, 16)),
    ],
)
def test_the_state_follows_the_options(model, typed, shape):
    chosen = options(**typed)
    assert model.shape(chosen) == (LATENT, *shape)
    state = white([0], model.shape(chosen))[0]
    made = Video().finish(model.decode(state, chosen), chosen)
    width, height = chosen.resolution
    assert made["frames"].shape == (chosen.count, 3, height, width)
    assert made["fps"] == chosen.fps


def test_a_film_comes_back_where_it_was(model):
    """Encoding, whatever the size, keeps the middle; the codec here is random, so states are compared."""
    chosen = options()
    same, larger = film(), film(size=(256, 256))
    wide = {**larger, "frames": torch.nn.functional.pad(larger["frames"], (100, 100))}
    state = model.encode(same, chosen)
    assert (model.encode(larger, chosen) - state).abs().mean() < 0.1 * state.abs().mean()
    inner = slice(5, -5)  # scaling down, the outermost pixels see what was cut off
    cut, plain = (model.encode(sample, chosen)[..., inner] for sample in (wide, larger))
    torch.testing.assert_close(cut, plain, atol=0.02, rtol=0.02)


def test_frames_are_taken_at_the_models_rate_and_the_last_one_is_held(model):
    chosen = options(duration=1.0)
    frames = torch.arange(24).view(-1, 1, 1, 1).expand(-1, 3, 128, 128).mul(10).to(torch.uint8)
    seen = []
    spying = SimpleNamespace(encode=lambda x: seen.append(x) or torch.zeros(1, LATENT, 4, 16, 16))
    spied = VideoSmall(model.network, spying, model.scale, "f", "cpu", torch.float32)
    spied.encode({"frames": frames, "fps": 24.0}, chosen)
    shown = ((seen[0][0, 0, :, 0, 0] + 1) * 127.5 / 10).round().tolist()
    assert shown == [1, 4, 7, 10, 13, 16, 19, 22]
    spied.encode({"frames": frames[:4], "fps": 8.0}, chosen)
    assert ((seen[1][0, 0, :, 0, 0] + 1) * 127.5 / 10).round().tolist() == [0, 1, 2, 3, 3, 3, 3, 3]


@pytest.mark.parametrize("typed", [{}, {"size": "112x72"}, {"size": "100"}])
def test_what_is_encoded_and_what_is_kept_of_an_input_are_the_same_picture(model, tmp_path, typed):
    codec = read_network(PairAutoencoder, ZOO / "video-small" / "codec")
    whole = VideoSmall(model.network, codec, model.scale, "f", "cpu", torch.float32)
    sample = film(4, size=(320, 180))
    sample["frames"][:, :, 60:80, 200:220] = torch.tensor([250, 40, 40], dtype=torch.uint8)[:, None, None]
    modality = Video()
    chosen = options(**{**modality.fit(sample, typed), **typed})
    given = modality.crop(sample, chosen)
    decoded = whole.decode(whole.encode(given, chosen), chosen)
    kept = modality.keep({**decoded, "frames": torch.zeros_like(decoded["frames"])}, given, {"time": (1.0, 1.0)})
    made, same = (which["frames"][:-1].float() / 255 for which in (decoded, kept))

    def psnr(right: int, down: int) -> float:
        inner = made.roll((down, right), dims=(-2, -1))[..., 1:-1, 1:-1] - same[..., 1:-1, 1:-1]
        return -10 * math.log10(float(inner.square().mean()))

    assert psnr(0, 0) > 29  # what the codec leaves of it
    assert psnr(0, 0) > 0.5 + max(psnr(right, down) for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1)))


def test_an_odd_loop_is_made_of_whole_pairs(model):
    chosen = options(loop=True, frames=9)
    made = model.decode(torch.zeros(model.shape(chosen)), chosen)
    assert len(made["frames"]) == 10
    assert len(Video().finish(made, chosen)["frames"]) == 9


def test_the_network_is_told_the_rate(model):
    rates = []

    def network(x, noise, /, *, rate, **cond):
        rates.append(float(rate))
        return torch.zeros_like(x)

    told = VideoSmall(network, model.codec, model.scale, "f", "cpu", torch.float32)
    for fps, expected in ((8.0, 0.0), (16.0, 1.0), (4.0, -1.0), (60.0, 1.0), (1.0, -1.0)):
        chosen = options(fps=fps, duration=0.5)
        denoise = told.denoiser(told.condition([""]), chosen)
        denoise(torch.zeros(1, *model.shape(chosen)), 1.0)
        assert rates[-1] == expected, fps


@pytest.mark.parametrize("typed", [{"duration": 6.0}, {"size": "256x128"}])
def test_longer_and_larger_films_are_denoised_in_windows_that_agree(model, typed):
    chosen = options(**typed)
    x = white([0], model.shape(chosen))
    denoise: Denoiser = model.denoiser(model.condition(["a fox"]), chosen)
    whole = denoise(x, 2.0)
    assert whole.shape == x.shape
    assert bool(whole.isfinite().all())
    moved = x.clone()
    moved[0, :, -1, -1, -1] += 5
    change = (denoise(moved, 2.0) - whole).abs().amax(dim=1)[0]
    assert change[-1, -1, -1] > 0
    assert change[0, 0, 0] == 0  # it is beyond the window


def test_the_windows_of_a_loop_have_no_beginning(model):
    chosen = options(loop=True, duration=4.0)
    x = white([0], model.shape(chosen))
    denoise = model.denoiser(model.condition(["a fox"]), chosen).denoise  # where all pairs have one level
    turned = denoise(x.roll(4, dims=-3), 1.0)
    torch.testing.assert_close(turned, denoise(x, 1.0).roll(4, dims=-3), atol=1e-4, rtol=1e-4)


def test_the_first_pair_leads_and_the_others_follow(model):
    expected = [0.125, 1, 0.5, 1, 0.25, 1, 0.5, 1, 0.25, 1]
    assert levels(10).flatten().tolist() == expected
    assert levels(4, first=3).flatten().tolist() == expected[3:7]
    assert isinstance(model, Correlates)
    unit = white([0], (2, 10, 3, 3))
    torch.testing.assert_close(model.correlate(unit) / unit, levels(10).float().expand_as(unit))


def test_the_network_is_told_the_noise_level_of_each_pair(model):
    told = []

    def network(x, noise, /, **cond):
        told.append(noise)
        return torch.zeros_like(x)

    recorded = VideoSmall(network, model.codec, model.scale, "f", "cpu", torch.float32)
    chosen = options(duration=3.0)
    x = torch.zeros(1, *model.shape(chosen))
    recorded.denoiser(recorded.condition([""]), chosen)(x, 2.0)
    assert len(told) == 2  # windows of eight of the twelve pairs, four of them in both
    for noise, first in zip(told, (0, 4), strict=True):
        torch.testing.assert_close(noise, (2 * levels(8, first=first)).log().view(1, 8).float() / 4)


@pytest.mark.parametrize(
    ("region", "typed", "box"),
    [
        ({"time": (0.5, 1.0)}, {}, (slice(4, 8), slice(0, 16), slice(0, 16))),
        ({"time": (1 / 16, 1.0)}, {}, (slice(1, 8), slice(0, 16), slice(0, 16))),
        ({"time": (0.0, 0.2)}, {}, (slice(0, 2), slice(0, 16), slice(0, 16))),
        ({"width": (0.5, 1.0), "height": (0.0, 0.25)}, {}, (slice(0, 8), slice(0, 4), slice(8, 16))),
        ({"width": (0.25, 0.75)}, {"size": "64x128"}, (slice(0, 8), slice(0, 16), slice(2, 6))),
        ({"width": (0.3, 0.7)}, {"size": "80x128"}, (slice(0, 8), slice(0, 16), slice(4, 8))),
    ],
)
def test_a_region_covers_its_cells(model, region, typed, box):
    assert isinstance(model, Masked)
    chosen = options(**typed)
    expected = torch.zeros(model.shape(chosen))
    expected[(slice(None), *box)] = 1
    assert torch.equal(model.mask(region, film(), chosen), expected)


def edited(model, tmp_path, sample, name, **fields):
    modality = Video()
    path = tmp_path / name
    modality.write(sample, path, tags={})
    request = Request("video", "a fox", init=str(path), **fields)
    request.validate()
    given, region, chosen = read_input(request, modality, options(**fields.get("options", {})))
    changes, restore = edits(request, modality, model, chosen, given, region)
    pipeline = Pipeline(modality, model, samplers.euler, schedules.karras(), guidance.cfg(1.0), steps=2)
    plan = pipeline.plan("a fox", seeds=[0], options=chosen, edits=changes)
    with torch.no_grad():
        return given, restore(model.decode(plan.result()[0], chosen))


def asked(tmp_path, sample, name, **fields):
    """The options and the region of an edit."""
    Video().write(sample, tmp_path / name, tags={})
    request = Request("video", "a fox", init=str(tmp_path / name), **fields)
    _, region, chosen = read_input(request, Video(), options(**fields.get("options", {})))
    return chosen, region


def test_an_inputs_rate_is_kept(tmp_path):
    chosen, _ = asked(tmp_path, film(30, fps=30.0), "clip.mp4", options={"interpolate": 2})
    assert (chosen.count, chosen.rate) == (60, 60)
    chosen, region = asked(tmp_path, film(30, fps=30.0), "clip.mp4", mask="0.5:1")
    assert (chosen.count, chosen.rate, region["time"][0]) == (30, 30, 0.5)


@pytest.mark.parametrize(
    ("count", "fields", "reason"),
    [
        (8, {"strength": 0.5, "options": {"duration": 3.0}}, "clip.mp4 keeps its 1.00 s .* leave out --duration"),
        (8, {"extend": 59.5}, "--extend 59.5 makes 60.50 s, at most 60 s are possible: give --extend up to 59.00"),
        (8, {"mask": "0:0.5", "options": {"frames": 4}}, "leave out --frames 4"),
        (1, {"extend": 1.0}, "clip.png is a still, and --mask and --extend are for what lasts"),
        (1, {"mask": "0:0.1"}, "is a still"),
    ],
)
def test_flags_that_do_not_go_with_an_input_are_refused(tmp_path, count, fields, reason):
    with pytest.raises(UsageError, match=reason):
        asked(tmp_path, film(count), "clip.mp4" if count > 1 else "clip.png", **fields)


def test_a_clip_that_is_too_short_or_too_long_by_a_little_is_edited(tmp_path):
    assert asked(tmp_path, film(2, fps=20.0), "clip.mp4", strength=0.5)[0].duration == 0.25
    assert asked(tmp_path, film(241, size=(16, 16), fps=4.0), "clip.mp4", strength=0.5)[0].duration == 60


def test_a_still_is_set_in_motion_and_stays_the_first_frame(model, tmp_path):
    assert isinstance(Video(), Stills)
    given, made = edited(model, tmp_path, film(1), "still.png", options={"duration": 1.0})
    assert made["frames"].shape == (8, 3, 128, 128)
    assert torch.equal(made["frames"][0], given["frames"][0])
    assert not torch.equal(made["frames"][4], given["frames"][0])


def test_a_clip_goes_on_and_keeps_what_there_was(model, tmp_path):
    given, made = edited(model, tmp_path, film(8), "clip.mp4", extend=1.0)
    assert len(made["frames"]) == 16
    assert torch.equal(made["frames"][:8], given["frames"])


def test_a_box_is_made_anew_and_the_rest_is_kept(model, tmp_path):
    given, made = edited(model, tmp_path, film(8), "clip.mp4", box="64,0,64,64")
    assert torch.equal(made["frames"][:, :, 64:], given["frames"][:, :, 64:])
    assert torch.equal(made["frames"][..., :64], given["frames"][..., :64])
    inside = (made["frames"][:, :, 8:56, 72:120].int() - given["frames"][:, :, 8:56, 72:120].int()).abs()
    assert inside.float().mean() > 3


def test_an_inputs_shape_is_kept(model, tmp_path):
    assert isinstance(Video(), Fits)
    _, made = edited(model, tmp_path, film(8, size=(320, 160)), "wide.mp4", strength=0.5)
    width, height = made["frames"].shape[3], made["frames"].shape[2]
    assert width / height == pytest.approx(2, rel=0.3)
    assert width % 32 == height % 32 == 0


def test_the_fingerprint_is_of_both_networks(folder, model, tmp_path):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(folder, other)
    torch.manual_seed(1)
    write_folder(other / "codec", small_codec(), {})
    changed = VideoSmall.load(other, device="cpu", dtype="float32").fingerprint
    assert changed[:8] == model.fingerprint[:8]
    assert changed[8:] != model.fingerprint[8:]


def test_interpolation_keeps_every_frame_and_makes_those_between(folder, tmp_path):
    few, many = (generate("video", "a fox", model=str(folder), steps=4, duration=1.0, interpolate=n)[0] for n in (1, 3))
    assert (few["fps"], len(few["frames"])) == (8.0, 8)
    assert (many["fps"], len(many["frames"])) == (24.0, 24)
    assert torch.equal(many["frames"][::3], few["frames"])
    faded = crossfaded(few["frames"], 3, around=False)
    assert not torch.equal(many["frames"][1::3], faded[1::3])


def test_an_input_can_be_interpolated(folder, tmp_path):
    Video().write(film(8), tmp_path / "clip.mp4", tags={})
    given = Video().read(tmp_path / "clip.mp4")
    (made,) = generate("video", "a fox", model=str(folder), steps=4, init=str(tmp_path / "clip.mp4"), interpolate=2)
    assert (made["fps"], len(made["frames"])) == (16.0, 16)
    assert torch.equal(made["frames"][::2], given["frames"])


@pytest.mark.parametrize("around", [True, False])
def test_the_guess_between_two_frames_is_their_mixture(around):
    frames = torch.tensor([0, 100, 200], dtype=torch.uint8).view(3, 1, 1, 1)
    expected = [0, 50, 100, 150, 200, 100 if around else 200]
    assert crossfaded(frames, 2, around=around).flatten().tolist() == expected
