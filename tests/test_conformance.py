"""Every registered modality and model meets the public conformance checks; broken ones do not."""

import dataclasses

import pytest
import torch
import trimesh

from multigen import registry
from multigen.errors import UsageError
from multigen.model import kind_of
from multigen.noise import white
from multigen.options import make
from multigen.testing import check_modality, check_model
from multigen_models.weights import Published

PROMPTS = ("rain on a tin roof", "a dog barking")


def sphere():
    mesh = trimesh.creation.icosphere(subdivisions=2)  # 320 faces: an STL of fewer has no room for tags
    vertices = torch.tensor(mesh.vertices, dtype=torch.float32)
    return {"vertices": vertices, "faces": torch.tensor(mesh.faces), "colors": (vertices + 1) / 2}


def cloud():
    points = white([0], (300, 3))[0]
    return {"points": points, "colors": points.sigmoid()}


def clip(count):
    frames = torch.linspace(0, 255, 3 * 64 * 64).view(1, 3, 64, 64).expand(count, -1, -1, -1).to(torch.uint8)
    return {"frames": frames.contiguous(), "fps": 8.0}


EXAMPLES = {
    "audio": [({"wave": (0.1 * white([0], (1, 24_000)))[0].clamp(-1, 1), "sample_rate": 24_000}, None)],
    "video": [(clip(16), (".mp4", ".webm", ".gif")), (clip(1), (".png",))],
    "3d": [(sphere(), (".glb", ".obj", ".ply", ".stl")), (cloud(), (".glb", ".ply", ".xyz", ".npz"))],
}
"""Samples of every modality with the containers that hold them whole; None is all."""

OPTIONS = {"audio": [{"duration": 1.0}, {"duration": 4.0}, {"duration": 1.0, "loop": True}], "video": [{}], "3d": [{}]}


def example(name, kind=""):
    return cloud() if kind == "points" else EXAMPLES[name][0][0]


@pytest.mark.parametrize("name", registry.modalities.names())
def test_every_modality(name):
    for sample, extensions in EXAMPLES[name]:
        check_modality(registry.modalities[name](), sample, extensions=extensions)


def test_a_model_without_weights_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="multigen train new-small"):
        Published(tmp_path / "new-small", registry.models["voxels-small"].read)()


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name in registry.models.names() for options in OPTIONS[registry.models[name]().modality]],
)
def test_every_model(name, options):
    model = registry.models[name]()
    modality = registry.modalities[model.modality]()
    check_model(model, make(modality.Options, options), example(model.modality, kind_of(model)), prompts=PROMPTS)


def test_a_modality_that_forgets_its_tags_fails():
    audio = registry.modalities["audio"]()

    class Forgets:
        name, extensions, default_model, Options = "audio", (".wav",), "audio-small", audio.Options
        read = staticmethod(audio.read)

        def write(self, sample, path, /, *, tags):
            audio.write(sample, path, tags={})

        def read_tags(self, path, /):
            return audio.read_tags(path)

    with pytest.raises(Exception, match="does not say how it was made"):
        check_modality(Forgets(), example("audio"))


def test_a_model_whose_samples_depend_on_their_batch_fails():
    model = registry.models["audio-small"]()
    modality = registry.modalities["audio"]()

    @dataclasses.dataclass(frozen=True)
    class Leaks:
        inner: object

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def denoiser(self, cond, options, /):
            denoise = self.inner.denoiser(cond, options)
            return lambda x, sigma, /: denoise(x, sigma) + 0.1 * x.mean()

    with pytest.raises(AssertionError, match="batch"):
        check_model(Leaks(model), make(modality.Options, {"duration": 1.0}), example("audio"), prompts=PROMPTS)


def test_a_model_with_the_wrong_scale_fails():
    model = registry.models["audio-small"]()
    modality = registry.modalities["audio"]()

    @dataclasses.dataclass(frozen=True)
    class Shrinks:
        inner: object

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def denoiser(self, cond, options, /):
            denoise = self.inner.denoiser(cond, options)
            return lambda x, sigma, /: 0.8 * denoise(x, sigma)

    with pytest.raises(AssertionError, match="identity"):
        check_model(Shrinks(model), make(modality.Options, {"duration": 1.0}), example("audio"), prompts=PROMPTS)


def test_conditions_are_rows_of_their_own():
    model = registry.models["audio-small"]()
    together = model.condition([*PROMPTS, ""])
    for i, prompt in enumerate([*PROMPTS, ""]):
        assert all(torch.equal(value[0], together[key][i]) for key, value in model.condition([prompt]).items())
