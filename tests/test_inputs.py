"""Edits of inputs for modalities and models of any kind: regions, parts to complete, and what is refused."""

from dataclasses import dataclass

import pytest
import torch

from multigen import guidance, samplers, schedules
from multigen.errors import UsageError
from multigen.inputs import edits, model_name, read_input
from multigen.model import Defaults
from multigen.options import NoOptions, option
from multigen.pipeline import Pipeline
from multigen.request import Request
from multigen.testing import Gaussian


class Clouds:
    """Samples are {"points": (n, 2)}, read from text; a mask is the quadrant where all coordinates are positive."""

    name, extensions, default_model, Options = "clouds", (".txt",), "cloud", NoOptions
    mask_help, complete_help, complete_model = "HALF, right or left", "a part", "completing"

    def read(self, path, /):
        return {"points": torch.tensor([[float(v) for v in line.split()] for line in path.read_text().splitlines()])}

    def region(self, mask, sample, /):
        if mask not in ("left", "right"):
            raise UsageError(f"--mask {mask} is neither left nor right")
        return {"x": (0.5, 1.0) if mask == "right" else (0.0, 0.5)}


class Plain:
    """Four points around (1, 1) as a state (4, 2)."""

    name, modality, fingerprint, axes, defaults = "plain", "clouds", "f", {"x": -1}, Defaults()

    def shape(self, options, /):
        return (4, 2)

    def condition(self, prompts, /):
        return {"row": torch.zeros(len(prompts), 1)}

    def denoiser(self, cond, options, /):
        return Gaussian(torch.ones(4, 2), torch.tensor(0.01)).denoise

    def encode(self, sample, options, /):
        return sample["points"][:4]

    def decode(self, x, options, /):
        return {"points": x}


class Completing(Plain):
    """It says itself where a region lies, and holds the points of a part."""

    kind = "points"

    def mask(self, region, sample, options, /):
        start, stop = region["x"]
        x = self.encode(sample, options)[:, :1]
        share = (x - x.min()) / (x.max() - x.min())
        return ((share >= start) & (share <= stop)).float().expand(4, 2)

    def known(self, part, options, /):
        held = len(part["points"])
        mask = torch.ones(4, 2)
        mask[:held] = 0
        return torch.cat([part["points"], torch.zeros(4 - held, 2)]), mask


def ask(**fields):
    return Request("clouds", "four points", **fields)


def made(request, model):
    modality = Clouds()
    given, region, options = read_input(request, modality, NoOptions())
    changes, restore = edits(request, modality, model, options, given, region)
    pipeline = Pipeline(modality, model, samplers.euler, schedules.karras(), guidance.cfg(1.0), steps=8)
    (sample,) = pipeline("four points", seeds=[3], edits=changes)
    return restore(sample)["points"]


@pytest.fixture
def cloud(tmp_path):
    path = tmp_path / "cloud.txt"
    path.write_text("-5 0\n5 1\n-4 2\n4 3")
    return str(path)


def test_a_model_may_say_itself_where_a_region_lies(cloud):
    given = torch.tensor([[-5.0, 0], [5, 1], [-4, 2], [4, 3]])
    points = made(ask(init=cloud, mask="right"), Completing())
    assert torch.equal(points[0::2], given[0::2])  # the left half is kept exactly, row by row
    assert (points[1::2] - 1).abs().max() < 1  # the right half is as the model makes it


def test_a_grid_is_masked_along_its_axes(cloud):
    points = made(ask(init=cloud, mask="right"), Plain())
    assert torch.equal(points[:, 0], torch.tensor([-5.0, 5, -4, 4]))
    assert (points[:, 1] - 1).abs().max() < 1


def test_a_part_is_held_and_the_rest_is_made(tmp_path):
    path = tmp_path / "part.txt"
    path.write_text("7 8\n9 10")
    points = made(ask(complete=str(path)), Completing())
    assert torch.equal(points[:2], torch.tensor([[7.0, 8], [9, 10]]))
    assert (points[2:] - 1).abs().max() < 1


def test_a_part_names_its_own_model():
    assert model_name(ask(), Clouds()) == "cloud"
    assert model_name(ask(complete="part.txt"), Clouds()) == "completing"
    assert model_name(ask(complete="part.txt", model="other"), Clouds()) == "other"


def test_a_model_that_cannot_complete_says_so(cloud):
    with pytest.raises(UsageError, match="'plain' cannot complete"):
        made(ask(complete=cloud), Plain())


def test_a_region_that_the_modality_refuses(cloud):
    with pytest.raises(UsageError, match="neither left nor right"):
        made(ask(init=cloud, mask="up"), Plain())


def test_an_edit_that_the_modality_does_not_know(cloud):
    class Bare:
        name, Options, read = "bare", NoOptions, Clouds.read

    for fields in ({"init": cloud, "mask": "right"}, {"init": cloud, "extend": 1.0}, {"complete": cloud}):
        with pytest.raises(UsageError, match="--strength"):
            read_input(ask(**fields), Bare(), NoOptions())


def test_two_edits_at_once_are_refused(cloud):
    with pytest.raises(UsageError, match="two edits"):
        ask(init=cloud, strength=0.5, complete=cloud).validate()


@dataclass(frozen=True)
class FilmOptions:
    duration: float = option(2.0, "length", low=0.5, high=60)
    width: int = option(8, "width", low=1, high=64)


class Films:
    """Samples are {"film": (t, width)}, a frame a second, read from text; one frame is a still."""

    name, extensions, default_model, Options = "films", (".txt",), "film", FilmOptions
    mask_help, box_help = "START:END", "FIRST,COUNT"

    def read(self, path, /):
        return {"film": torch.tensor([[float(v) for v in line.split()] for line in path.read_text().splitlines()])}

    def seconds(self, sample, /):
        return float(len(sample["film"]))

    def region(self, mask, sample, /):
        start, stop = (float(part) / self.seconds(sample) for part in mask.split(":"))
        return {"time": (start, stop)}

    def box(self, text, sample, /):
        first, count = (int(part) for part in text.split(","))
        width = sample["film"].shape[1]
        if first + count > width:
            raise UsageError(f"--box {text} reaches outside")
        return {"width": (first / width, (first + count) / width)}

    def fit(self, sample, typed, /):
        return {"width": sample["film"].shape[1]}

    def still(self, sample, /):
        return len(sample["film"]) == 1

    def beginning(self, sample, options, /):
        return {"time": (1 / options.duration, 1.0)}


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.txt"
    path.write_text("1 2 3 4\n5 6 7 8\n1 1 1 1\n0 0 0 0")
    return str(path)


def read_film(path, **fields):
    _, region, options = read_input(Request("films", "a film", init=path, **fields), Films(), FilmOptions())
    return region, options


def test_a_mask_and_a_box_are_one_region(film):
    region, _ = read_film(film, mask="1:3", box="2,2")
    assert region == {"time": (0.25, 0.75), "width": (0.5, 1.0)}
    with pytest.raises(UsageError, match="reaches outside"):
        read_film(film, box="3,2")


def test_options_follow_from_an_input_unless_they_are_typed(film):
    assert read_film(film, strength=0.5)[1] == FilmOptions(duration=4.0, width=4)
    assert read_film(film, strength=0.5, options={"width": 16})[1] == FilmOptions(duration=4.0, width=16)
    assert read_film(film, extend=2.0) == ({"time": (4 / 6, 1.0)}, FilmOptions(duration=6.0, width=4))


def test_a_still_begins_a_film_as_long_as_is_asked_for(tmp_path):
    path = tmp_path / "still.txt"
    path.write_text("1 2 3 4")
    assert read_film(str(path), options={"duration": 5.0}) == ({"time": (0.2, 1.0)}, FilmOptions(5.0, 4))
    assert read_film(str(path)) == ({"time": (0.5, 1.0)}, FilmOptions(2.0, 4))
    assert read_film(str(path), strength=0.5) == ({}, FilmOptions(2.0, 4))


def test_an_input_without_an_edit_says_what_could_be_done(film, cloud):
    with pytest.raises(UsageError, match=r"add --strength 0\.6 or --mask PART or --box PART or --extend SECONDS"):
        read_film(film)
    with pytest.raises(UsageError, match=r"add --strength 0\.6 or --mask PART$"):
        read_input(ask(init=cloud), Clouds(), NoOptions())


def test_a_box_and_an_extension_are_two_edits(film):
    with pytest.raises(UsageError, match="--box and --extend are two edits"):
        Request("films", "a film", init=film, box="1,2", extend=1.0).validate()


def test_a_model_whose_noise_is_not_white_starts_and_steps_with_it():
    class Alike(Plain):
        def correlate(self, unit, /):
            return unit[:, :1].expand_as(unit)

    for model, expected in ((Alike(), True), (Plain(), False)):
        pipeline = Pipeline(Clouds(), model, samplers.euler, schedules.karras(), guidance.cfg(1.0), steps=8)
        plan = pipeline.plan("four points", seeds=[3], options=NoOptions())
        for noise in (plan.unit, plan.noise(2.0, 1.0)):
            assert torch.equal(noise, noise[:, :1].expand_as(noise)) == expected
