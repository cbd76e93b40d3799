"""How the video codec and the video model are trained: items, latents that are coded once, losses, exported folders."""

import json
import shutil

import numpy as np
import pytest
import torch
from test_video_scenes import STILL, made

from multigen.errors import UsageError
from multigen.job import generate
from multigen.objective import Objective, Staggers
from multigen.training import Real, Settings, train
from multigen_models import latents as latents_module
from multigen_models.latents import Latents
from multigen_models.prompts import embed, encoded
from multigen_models.video import codec_recipe as video_codec_recipe
from multigen_models.video import recipe as video_recipe
from multigen_models.video.codec_recipe import PAIRS, VideoCodecRecipe
from multigen_models.video.latents import SHAPE, scene_latents
from multigen_models.video.pair_autoencoder import PairAutoencoder, smaller
from multigen_models.video.recipe import VideoClipsRecipe, VideoRecipe, VideoStillsRecipe
from multigen_models.video.scenes import VideoScenes
from multigen_models.video.unet import VideoUNet
from multigen_models.weights import write_folder

NETWORK = {"channels": (16, 16, 16), "heads": (2, 2, 2), "embedding": 16}
CODEC = {"encoder_channels": (16, 16), "decoder_channels": (16, 16), "decoder_blocks": 1}
SETTINGS = Settings(samples=48, batch=8, evaluate_every=48, warmup=8, precision="no", validation_batch=4)


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """Drawn figures in place of renders, small networks, few scenes."""
    for module in (video_codec_recipe, video_recipe):
        monkeypatch.setattr(module, "load_takes", lambda data, *, cache: made())
        monkeypatch.setattr(module, "still_figures", lambda data: STILL)
    monkeypatch.setattr(video_recipe, "SCENES", 24)
    monkeypatch.setattr(video_recipe, "STATISTICS_SCENES", 4)
    monkeypatch.setattr(video_recipe, "VALIDATION_SCENES", 4)
    monkeypatch.setattr(video_codec_recipe, "VALIDATION_CLIPS", 4)
    monkeypatch.setattr(video_codec_recipe, "ILLUSTRATIONS", 2)


def codec(**config):
    torch.manual_seed(0)
    return PairAutoencoder(**{**CODEC, **config}).eval().requires_grad_(False)


@pytest.fixture
def recipe(tmp_path):
    write_folder(tmp_path / "cache" / "codec", codec(), {})
    return VideoRecipe(tmp_path, tmp_path / "cache")


def test_the_codec_learns_from_pairs_of_frames_and_is_measured_on_whole_films(tmp_path):
    recipe = VideoCodecRecipe(tmp_path, tmp_path)
    assert isinstance(recipe, Objective)
    items, films = recipe.items("train"), recipe.items("validation")
    pairs = torch.stack([items[i][0] for i in range(2 * PAIRS)])
    assert pairs.shape == (2 * PAIRS, 3, 2, 128, 128)
    assert pairs.min() >= -1
    assert pairs.max() <= 1
    for scene in pairs.split(PAIRS):
        assert scene.std() > 0.1
        assert len(torch.unique(scene, dim=0)) > 1
    assert torch.equal(items[5][0], pairs[5])
    assert films[0][0].shape == (3, 16, 128, 128)
    assert len(films) == 4


def test_the_codecs_errors_are_in_decibels_of_the_range(tmp_path):
    recipe = VideoCodecRecipe(tmp_path, tmp_path)

    class Off(torch.nn.Module):
        def __init__(self, error):
            super().__init__()
            self.error = error

        def forward(self, x, noise, factors=(1,)):
            return torch.zeros(2, 1), [smaller(x + self.error, factor) for factor in factors]

    x = torch.zeros(2, 3, 2, 16, 16)
    errors = recipe.errors(Off(0.02), x, {}, seeds=[0, 1])
    torch.testing.assert_close(errors["mean"], torch.full((2,), 4e-4))
    torch.testing.assert_close(errors["psnr"], torch.full((2,), 40.0))
    stripes = 0.02 * (2.0 * (torch.arange(16) % 2) - 1)  # the same error in size, but edges that are not there
    even, striped = (float(recipe.loss(Off(e), x, {}, seeds=[0, 1]).mean()) for e in (0.02, stripes))
    assert even == pytest.approx(0.02 * (1 + 1 + 0.5))
    assert striped == pytest.approx(0.02 + 0.04)  # and in smaller pictures no error at all


def test_the_codec_is_trained_and_shown(tmp_path, monkeypatch):
    recipe = VideoCodecRecipe(tmp_path, tmp_path)
    monkeypatch.setattr(video_codec_recipe, "PairAutoencoder", lambda: PairAutoencoder(**CODEC))
    *_, last = train(recipe, SETTINGS, tmp_path / "run")
    monkeypatch.undo()
    assert set(last.held_out) == {"mean", "psnr"}
    assert last.held_out["psnr"] == pytest.approx(-10 * np.log10(last.held_out["mean"] / 4), abs=3)
    again = PairAutoencoder.from_pretrained(tmp_path / "run" / "model")
    assert again.config.latent == SHAPE[0]


def test_what_is_shown_of_a_codec_is_each_film_and_what_is_left_of_it(tmp_path):
    write_folder(tmp_path / "model", codec(), {})
    shown = VideoCodecRecipe(tmp_path, tmp_path).illustrate(tmp_path / "model")
    assert [title for title, _ in shown][1::2] == ["coded and decoded"] * 2
    for _, sample in shown:
        assert (sample["frames"].shape, sample["frames"].dtype) == ((16, 3, 128, 128), torch.uint8)


def test_a_scene_is_coded_once_and_kept(tmp_path):
    class Counting:
        calls = 0

        def encode(self, x):
            self.calls += 1
            return torch.full((1, *SHAPE), float(x.mean()))

    counting = Counting()
    scenes = VideoScenes(made(), split="train", length=6, seed=0, still=STILL)
    latents = scene_latents(scenes, counting, tmp_path / "kept")
    first = [latents[i] for i in (3, 1, 3)]
    assert counting.calls == 2
    again = scene_latents(scenes, counting, tmp_path / "kept")[3]
    assert counting.calls == 2
    frames, fps, caption = scenes[3]
    assert again[1:] == first[0][1:] == (fps, caption)
    assert torch.equal(again[0], first[0][0])
    assert float(again[0].mean()) == pytest.approx(float((frames.float() / 127.5 - 1).mean()), abs=2e-3)


def test_a_caption_is_encoded_once_and_kept(tmp_path, monkeypatch):
    asked = []

    def watched(prompt):
        asked.append(prompt)
        return encoded(prompt)

    monkeypatch.setattr(latents_module, "encoded", watched)

    def kept():
        captions = ["a red fox", "two blue horses galloping to the left through snow", "a knight " * 40]
        return Latents(lambda i: (torch.zeros(2), 1.0, captions[i]), count=3, shape=(2,), folder=tmp_path)

    for index in (2, 0, 2, 1):
        cond, wanted = kept().cond(index), embed(kept()[index][2])
        torch.testing.assert_close(cond, wanted, rtol=1e-3, atol=1e-3)
        assert torch.equal(cond["mask"], wanted["mask"])
    assert len(asked) == len(set(asked)) == 3


def test_items_are_standardised_films_with_their_rates_and_some_without_a_caption(recipe):
    items = recipe.items("train")
    states, conds = zip(*(items[i] for i in range(24)), strict=True)
    assert all(x.shape == SHAPE for x in states)
    stacked = torch.stack(states)
    assert float(stacked.mean()) == pytest.approx(0, abs=0.4)
    assert float(stacked.std()) == pytest.approx(1, abs=0.4)
    assert {float(cond["rate"]) for cond in conds} <= {-1.0, 0.0, 1.0}
    longer = [items[i][1]["mask"].sum() for i in range(64)]
    assert 0 < sum(int(n == min(longer)) for n in longer) < 24  # the empty caption has the fewest tokens
    again = items[24 * 5 + 3]
    assert torch.equal(again[0], states[3])  # scenes repeat


def test_some_batches_are_parts_of_films_and_mixed_ones_become_it(recipe):
    items = recipe.items("train")
    kinds = [items[64 * block][0].shape[1] for block in range(16)]
    assert [kinds.count(pairs) for pairs in (SHAPE[1], SHAPE[1] // 2, 1)] == [12, 2, 2]
    assert {items[64 * kinds.index(4) + i][0].shape[1] for i in (1, 63)} == {4}
    pair, film = items[64 * kinds.index(1)], items[0]
    x0, cond = recipe.collate([film, pair])
    assert x0.shape == (2, SHAPE[0], 1, *SHAPE[2:])
    assert cond["rate"].shape == (2,)
    assert all(recipe.items("validation")[i][0].shape[1] == SHAPE[1] for i in range(4))


@pytest.mark.parametrize(("kind", "pairs"), [(VideoStillsRecipe, 1), (VideoClipsRecipe, 4)])
def test_stills_and_clips_are_stretches_of_the_same_scenes(recipe, tmp_path, kind, pairs):
    shorter = kind(tmp_path, tmp_path / "cache")
    starts = set()
    for split in ("train", "validation"):
        stretches, films = shorter.items(split), recipe.items(split)
        assert len(stretches) == len(films)
        for i in range(len(stretches)):
            (stretch, told), (film, same) = stretches[i], films[i]
            assert stretch.shape == (SHAPE[0], pairs, *SHAPE[2:])
            found = [at for at in range(SHAPE[1] + 1 - pairs) if torch.equal(stretch, film[:, at : at + pairs])]
            assert found
            assert int(told["first"]) in found
            starts.add(int(told["first"]))
            assert torch.equal(told["pooled"], same["pooled"])
    assert starts == set(range(SHAPE[1] + 1 - pairs))
    x0, _ = shorter.collate([shorter.items("train")[i] for i in (0, 64, 200)])
    assert x0.shape[:3] == (3, SHAPE[0], pairs)


def test_noise_levels_are_the_models_from_the_beginning_or_from_a_later_pair_on(recipe):
    assert isinstance(recipe, Staggers)
    x0 = torch.zeros(800, 2, 8, 1, 1)
    found = recipe.levels(x0, range(800))
    assert found.shape == (800, 1, 8, 1, 1)
    expected = [video_recipe.video_small.levels(8, first=first) for first in range(5)]
    counts = [sum(torch.equal(row[0], levels) for row in found) for levels in expected]
    assert sum(counts) == 800
    assert counts[0] == pytest.approx(400, abs=60)
    assert all(count == pytest.approx(100, abs=40) for count in counts[1:])
    assert torch.equal(recipe.levels(x0[:1], [7])[0], found[7])


def test_a_trained_folder_makes_films(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("multigen_models.video.unet.VideoUNet", lambda: VideoUNet(**NETWORK))
    *_, last = train(recipe, SETTINGS, tmp_path / "run")
    monkeypatch.undo()
    assert last.held_out["mean"] > 0
    folder = tmp_path / "run" / "model"
    assert json.loads((folder / "multigen.json").read_text())["loader"] == "video-small"
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    shutil.rmtree(tmp_path / "cache")  # the folder has its codec with it
    (film,) = generate("video", "a fox", model=str(moved), steps=2, duration=0.5)
    assert film["frames"].shape == (4, 3, 128, 128)


def test_without_a_codec_of_ones_own_it_is_the_published_one(recipe, tmp_path, monkeypatch):
    (tmp_path / "video-small").mkdir()
    shutil.move(tmp_path / "cache" / "codec", tmp_path / "video-small" / "codec")
    monkeypatch.setattr(video_recipe, "ZOO", tmp_path)
    again = VideoRecipe(tmp_path, tmp_path / "cache")
    assert torch.equal(again.items("validation")[0][0], recipe.items("validation")[0][0])
    shutil.rmtree(tmp_path / "video-small")
    with pytest.raises(UsageError, match="codec are missing"):
        VideoRecipe(tmp_path, tmp_path / "cache")


def test_real_scenes_are_shown_by_their_split(recipe):
    assert isinstance(recipe, Real)
    (name, sample, caption, _), *rest = recipe.real("validation", most=3)
    assert (name, len(rest)) == ("validation-0", 2)
    assert (sample["frames"].shape, sample["frames"].dtype) == ((16, 3, 128, 128), torch.uint8)
    assert caption
