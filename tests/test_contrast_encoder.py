"""Encoders of samples: their loss in closed form, what they see, and those that are published."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import trimesh
from torch import nn

from multigen import registry
from multigen.cli import main
from multigen.errors import UsageError
from multigen.evaluation import Reads
from multigen.noise import white
from multigen.objective import Objective
from multigen.settings import Settings
from multigen.training import train
from multigen_models.audio import encoder as audio_encoder
from multigen_models.audio.encoder_network import SoundEncoder
from multigen_models.contrast_encoder import ContrastRecipe, Encoder, PublishedEncoder, contrast, places
from multigen_models.shapes import encoder as shape_encoder
from multigen_models.shapes.encoder_network import SolidEncoder
from multigen_models.video import encoder as video_encoder
from multigen_models.video.encoder_network import FilmEncoder
from multigen_models.weights import ZOO, start

KINDS = 6
ENCODERS = [name for name in registry.extractors.names() if isinstance(registry.extractors[name], PublishedEncoder)]
READY = [name for name in ENCODERS if registry.extractors[name].ready]
BYTES = 3_000_000


def texts(kinds):
    """A direction for each kind."""
    basis = torch.linalg.qr(white([3], (384, KINDS))[0])[0].T
    return basis[torch.as_tensor(kinds)]


@pytest.mark.parametrize("name", READY)
def test_training_can_begin_from_a_published_one_by_its_name(name):
    kind = {"audio": SoundEncoder, "3d": SolidEncoder, "video": FilmEncoder}[registry.extractors[name].modality]
    there = start(kind, str(ZOO / name)).state_dict()
    assert all(torch.equal(kept, there[key]) for key, kept in start(kind, name).state_dict().items())
    with pytest.raises(UsageError, match=r"no folder nowhere: .* video-small"):
        start(kind, "nowhere")


def test_the_loss_of_different_captions_is_cross_entropy_both_ways():
    logits = white([0], (5, 5))[0]
    own = torch.arange(5)
    expected = (F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.T, own, reduction="none")) / 2
    assert torch.allclose(contrast(logits, texts(range(5))), expected)


def test_equal_captions_are_no_opposites():
    kinds = (0, 0, 1, 2)
    text = texts(kinds)
    same = torch.tensor(kinds)[:, None] == torch.tensor(kinds)
    loss = contrast(50.0 * same.float(), text)
    assert torch.allclose(loss, torch.tensor([math.log(2), math.log(2), 0.0, 0.0]), atol=1e-6)
    logits = white([1], (4, 4))[0]
    swapped = logits[[1, 0, 2, 3]][:, [1, 0, 2, 3]]
    assert torch.allclose(contrast(logits, text)[[1, 0, 2, 3]], contrast(swapped, text))


class Linear(Encoder):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 384)

    def encode(self, x, /):
        return self.head(x)


class Items:
    """Noisy points, one kind after the other."""

    def __init__(self, length):
        self._length = length

    def __len__(self):
        return self._length

    def __getitem__(self, index):
        kind = index % KINDS
        x = 2 * white([kind], (8,), stream=1)[0] + 0.3 * white([index], (8,), stream=2)[0]
        return x, {"text": texts(kind)}


class Toy(ContrastRecipe):
    loader = "toy"

    def network(self):
        return Linear()

    def items(self, split, /):
        return Items(1 << 40 if split == "train" else 60)

    def export(self, network, folder, /, *, about):
        folder.mkdir(exist_ok=True)


def test_training_finds_the_captions_of_held_out_samples(tmp_path):
    recipe = Toy()
    assert isinstance(recipe, Objective)
    settings = Settings(
        samples=1200, batch=24, warmup=48, lr=0.01, muon_lr=0, evaluate_every=1200, validation_batch=60, precision="no"
    )
    x, cond = recipe.collate([recipe.items("validation")[i] for i in range(60)])
    torch.manual_seed(0)
    with torch.no_grad():
        before = recipe.errors(recipe.network(), x, cond, seeds=range(60))
    (last,) = [progress for progress in train(recipe, settings, tmp_path) if progress.held_out]
    assert last.held_out["R@1"] > 0.95 > 0.5 > float(before["R@1"].mean())
    assert last.held_out["mean"] < float(before["mean"].mean())
    assert float(before["R@5"].mean()) >= float(before["R@1"].mean())


def test_the_command_trains_one_and_makes_no_sheet_of_samples(tmp_path, monkeypatch, capsys):
    class Recipe(Toy):
        modality = "audio"

        def __init__(self, data, cache, /, *, seed, warm_start):
            assert data == tmp_path

    found = type(registry.recipes).__getitem__
    monkeypatch.setattr(
        type(registry.recipes),
        "__getitem__",
        lambda self, name: Recipe if name == "audio-encoder" else found(self, name),
    )
    few = ["--samples", "48", "--batch", "24", "--evaluate-every", "24", "--precision", "no"]
    assert main(["train", "audio-encoder", "--data", str(tmp_path), "-o", str(tmp_path / "run"), *few]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'run' / 'model'}\n"
    assert not (tmp_path / "run" / "sheets").exists()


# --- what they see ----------------------------------------------------------------------------------------------------


def test_a_sound_is_seen_whatever_its_level():
    wave = 0.1 * white([0], (audio_encoder.SAMPLES,))[0]
    seen = audio_encoder.seen(wave)
    assert seen.shape == (1, audio_encoder.BANDS, audio_encoder.FRAMES)
    assert torch.allclose(seen, audio_encoder.seen(5 * wave), atol=1e-3)
    high = torch.sin(2 * math.pi * 6000 * torch.arange(audio_encoder.SAMPLES) / audio_encoder.SAMPLE_RATE)
    low = torch.sin(2 * math.pi * 200 * torch.arange(audio_encoder.SAMPLES) / audio_encoder.SAMPLE_RATE)
    peaks = [int(audio_encoder.seen(tone)[0].mean(1).argmax()) for tone in (low, high)]
    assert peaks[0] < 10 < 40 < peaks[1]


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(0.3, 24_000, 1), (4.0, 24_000, 1), (7.0, 48_000, 2)])
def test_sounds_of_any_length_rate_and_channels_have_a_place(seconds, rate, channels):
    torch.manual_seed(0)
    encoder = audio_encoder.AudioEncoder(SoundEncoder().eval(), "0")
    sample = {"wave": 0.1 * white([0], (channels, round(seconds * rate)))[0], "sample_rate": rate}
    found = encoder(sample)
    assert found.shape == (384,)
    assert float(found.norm()) == pytest.approx(1, abs=1e-5)
    assert torch.equal(encoder.text(["rain"]), places(["rain"]))
    assert torch.allclose(places(["rain", "a dog"]).norm(dim=1), torch.ones(2), atol=1e-5)


def test_points_fall_into_the_cells_that_they_are_in():
    points = torch.cat([white([0], (500, 3))[0].clamp(-1, 1), white([1], (500, 3))[0].clamp(-1, 1)], dim=1)
    seen = shape_encoder.seen(points)
    cells = shape_encoder.CELLS
    found = {}
    for row in points.tolist():
        at = tuple(min(cells - 1, int((v + 1) / 2 * cells)) for v in row[:3])
        found.setdefault(at, []).append(row[3:])
    assert int(seen[0].sum()) == len(found)
    for at, colors in found.items():
        assert seen[(slice(1, 4), *at)].tolist() == pytest.approx(torch.tensor(colors).mean(0).tolist(), abs=1e-5)


def test_a_shape_has_its_place_wherever_it_is():
    torch.manual_seed(0)
    encoder = shape_encoder.ShapeEncoder(SolidEncoder().eval(), "0")
    box = trimesh.creation.box((1, 2, 3))
    vertices, faces = torch.tensor(box.vertices, dtype=torch.float32), torch.tensor(box.faces)
    colors = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(0))
    here = encoder({"vertices": vertices, "faces": faces, "colors": colors})
    there = encoder({"vertices": 4 * vertices + 7, "faces": faces, "colors": colors})
    assert float(here @ there) > 0.999
    points = encoder({"points": vertices.repeat(100, 1), "colors": colors.repeat(100, 1)})
    assert float(points.norm()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(UsageError):
        encoder({"points": torch.zeros(5, 3), "colors": torch.zeros(5, 3)})


def test_a_film_is_seen_in_its_first_seconds_and_its_middle_whatever_its_rate():
    """A bright square that moves right by a sixteenth of a picture twice as wide as high, eight times a second."""
    frames = torch.zeros(24, 3, 64, 128, dtype=torch.uint8)
    for t in range(24):
        frames[t, 0, 28:36, 32 + 4 * (t % 16) : 36 + 4 * (t % 16)] = 255
    found = video_encoder.seen(frames, 8.0)
    assert found.shape == (3, video_encoder.FRAMES, video_encoder.SIDE, video_encoder.SIDE)
    assert found[1:].eq(-1).all()
    columns = found[0].amax(1).argmax(1).tolist()
    assert columns == pytest.approx([4 * (2 * i + 1) for i in range(8)], abs=3.1)
    twice = frames.repeat_interleave(2, dim=0)
    assert torch.equal(video_encoder.seen(twice, 16.0), found)
    still = video_encoder.seen(frames[:1], 8.0)
    assert still.eq(still[:, :1]).all()


def test_films_of_any_size_have_a_place():
    torch.manual_seed(0)
    encoder = video_encoder.VideoEncoder(FilmEncoder().eval(), "0")
    for t, h, w in ((16, 128, 128), (1, 40, 90), (40, 130, 66)):
        frames = (255 * torch.rand(t, 3, h, w, generator=torch.Generator().manual_seed(0))).to(torch.uint8)
        found = encoder({"frames": frames, "fps": 8.0})
        assert found.shape == (384,)
        assert float(found.norm()) == pytest.approx(1, abs=1e-5)


# --- those that are published -----------------------------------------------------------------------------------------


def test_encoders_are_registered_for_their_modalities():
    assert {registry.extractors[name].modality for name in ENCODERS} <= set(registry.modalities.names())
    assert {"audio-encoder", "shape-encoder", "video-encoder"} <= set(ENCODERS)


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - set(READY)))
def test_an_encoder_without_weights_says_what_to_do(name):
    with pytest.raises(UsageError, match=f"multigen train {name}"):
        registry.extractors[name]()


@pytest.mark.parametrize("name", READY)
def test_a_published_encoder_is_small_and_reads(name):
    loader = registry.extractors[name]
    weights = list(Path(loader.folder).glob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) < BYTES
    encoder = loader()
    assert isinstance(encoder, Reads)
    assert (encoder.name, encoder.modality) == (name, loader.modality)
    assert encoder.text(["rain", "a chair"]).shape == (2, 384)
    card = loader.card.read_text(encoding="utf-8")
    assert card.startswith("---\n")
    for said in ("held out", "chance", "flatter"):
        assert said in card, said


def test_the_published_encoder_of_sounds_hears_the_difference():
    if "audio-encoder" not in READY:
        pytest.skip("not published yet")
    encoder = registry.extractors["audio-encoder"]()
    generator = torch.Generator().manual_seed(0)
    hiss = torch.randn(1, 96_000, generator=generator)
    clicks = torch.zeros(1, 96_000)
    clicks[:, ::12_000] = 1
    prompts = encoder.text(["heavy rain", "a clock ticking"])
    for wave, own in ((0.1 * hiss, 0), (0.5 * clicks, 1)):
        similarity = prompts @ encoder({"wave": wave, "sample_rate": 24_000})
        assert int(similarity.argmax()) == own
