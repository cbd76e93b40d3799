"""Metrics of sets, and the faults that are measured, worsen step by step as samples of each modality are degraded.

Sets of drawn sounds, films and shapes stand for real ones: noise, blur, and fewer different samples.
"""

import itertools

import pytest
import torch
import torch.nn.functional as F
import trimesh
from toy_samples import RATE, box, square

from multigen.comparison.column import goodness
from multigen.evaluation import Collection, Evidence, PerSet, Recorder, measure
from multigen.evaluation.general import GENERAL
from multigen_3d import Shape
from multigen_audio import Audio
from multigen_video import Video

COUNT = 12
NEAR = ("kad", "1-nna", "density", "coverage", "nearest-training")
"""What sees that samples are unlike real ones, one by one."""
FEW = ("kad", "1-nna", "coverage", "vendi")
"""What sees that kinds of samples are missing."""
DISTANCES = ("cd", "emd", "sw")


def saw(seed):
    """A note with overtones, which blur takes away, that fades over a faint noise."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(RATE) / RATE
    pitch = 80 * 2 ** (3 * torch.rand((), generator=generator))
    wave = 0.3 * (2 * (pitch * t % 1) - 1) * torch.exp(-3 * t * torch.rand((), generator=generator))
    return {"wave": (wave + 0.003 * torch.randn(len(t), generator=generator))[None], "sample_rate": RATE}


def small_film(seed):
    return square(seed, count=6)


def noisy_sound(sample, level):
    noise = torch.randn(sample["wave"].shape, generator=torch.Generator().manual_seed(7))
    return {**sample, "wave": sample["wave"] + level * noise}


def noisy_film(sample, level):
    noise = torch.randn(sample["frames"].shape, generator=torch.Generator().manual_seed(7))
    return {**sample, "frames": (sample["frames"] + 255 * level * noise).clamp(0, 255).to(torch.uint8)}


def noisy_shape(sample, level):
    noise = torch.randn(sample["vertices"].shape, generator=torch.Generator().manual_seed(7))
    return {**sample, "vertices": sample["vertices"] + level * noise}


def blurred_sound(sample, share):
    """High tones are weaker, by up to so much."""
    smooth = F.avg_pool1d(sample["wave"], 11, 1, 5)
    return {**sample, "wave": torch.lerp(sample["wave"], smooth, share)}


def blurred_film(sample, width):
    """Without details smaller than so many pixels."""
    frames = F.avg_pool2d(sample["frames"].float(), width, 1, width // 2)
    return {**sample, "frames": frames.to(torch.uint8)}


def blurred_shape(sample, rounds):
    """Every corner among its neighbours, again and again: edges go first."""
    mesh = trimesh.Trimesh(sample["vertices"].numpy(), sample["faces"].numpy(), process=False)
    trimesh.smoothing.filter_laplacian(mesh, lamb=0.5, iterations=rounds, volume_constraint=False)
    return {**sample, "vertices": torch.tensor(mesh.vertices, dtype=torch.float32)}


MODALITIES = {
    "audio": (Audio(), saw, (noisy_sound, (0.03, 0.3)), (blurred_sound, (0.7, 0.9))),
    "video": (Video(), small_film, (noisy_film, (0.1, 0.4)), (blurred_film, (9, 31))),
    "3d": (Shape(), box, (noisy_shape, (0.06, 0.3)), (blurred_shape, (6, 40))),
}


class Judge:
    """Made samples of a modality against real ones, once degraded and once not."""

    def __init__(self, name):
        self.modality, make, *self.degraded = MODALITIES[name]
        self.extractor = self.modality.extractors()[0]
        sets = [m for m in self.modality.metrics() if isinstance(m, PerSet)]
        self.metrics = {metric.name: metric for metric in (*GENERAL, *sets)}
        self.clean, *others = ([make(100 * k + i) for i in range(COUNT)] for k in range(3))
        self.real, self.training = map(self.collected, others)

    def collected(self, samples):
        recorder = Recorder(self.modality, tuple(self.metrics.values()), (self.extractor,))
        return Collection.of(recorder(x, name=f"{i}", prompt="", cluster=f"{i}") for i, x in enumerate(samples))

    def series(self, sets, names):
        """By metric, how good each of the sets is: the higher the better."""
        wanted = [self.metrics[name] for name in names]
        evidence = [Evidence(self.collected(samples), self.real, self.training) for samples in sets]
        found = [measure(each, wanted, self.extractor, repeats=10) for each in evidence]
        return {
            metric.name: [goodness(metric, results[i].interval.value) for results in found]
            for i, metric in enumerate(wanted)
        }


@pytest.fixture(scope="module", params=MODALITIES)
def judge(request):
    return Judge(request.param)


def assert_worsens(found):
    for name, values in found.items():
        assert all(later <= earlier for earlier, later in itertools.pairwise(values)), (name, values)
        assert values[-1] < values[0], (name, values)


@pytest.mark.parametrize("way", [0, 1], ids=["noise", "blur"])
def test_metrics_of_sets_worsen_with_noise_and_with_blur(judge, way):
    change, levels = judge.degraded[way]
    sets = [judge.clean, *([change(sample, level) for sample in judge.clean] for level in levels)]
    assert_worsens(judge.series(sets, NEAR))


def test_metrics_of_sets_worsen_as_samples_are_dropped(judge):
    sets = [[judge.clean[i % kinds] for i in range(COUNT)] for kinds in (COUNT, 4, 1)]
    assert_worsens(judge.series(sets, FEW))


def test_distances_of_shapes_worsen_with_noise_and_as_samples_are_dropped():
    judge = Judge("3d")
    change, levels = judge.degraded[0]
    noisy = [judge.clean, *([change(sample, level) for sample in judge.clean] for level in levels)]
    few = [judge.clean, *([judge.clean[i % kinds] for i in range(COUNT)] for kinds in (4, 1))]
    assert_worsens(judge.series(noisy, [f"{name}-{short}" for name in ("1-nna", "mmd") for short in DISTANCES]))
    assert_worsens(judge.series(few, [f"{name}-{short}" for name in ("1-nna", "mmd", "cov") for short in DISTANCES]))


# --- faults of single samples -----------------------------------------------------------------------------------------


def clipped(sample, gain):
    return {**sample, "wave": (sample["wave"] * gain).clamp(-0.3, 0.3)}


def shifted(sample, level):
    return {**sample, "wave": sample["wave"] + level}


def cut(sample, share):
    wave = sample["wave"].clone()
    wave[..., : int(share * wave.shape[-1])] = 0
    return {**sample, "wave": wave}


def opened(sample, count):
    return {**sample, "faces": sample["faces"][count:]}


def turned(sample, share):
    """The first faces inside out."""
    count = int(share * len(sample["faces"]))
    return {**sample, "faces": torch.cat([sample["faces"][:count].flip(1), sample["faces"][count:]])}


FAULTS = {
    ("audio", "flat-tops"): (clipped, (1, 2, 5)),
    ("audio", "dc"): (shifted, (0, 0.05, 0.2)),
    ("audio", "silence"): (cut, (0, 0.3, 0.6)),
    ("video", "temporal-flickering"): (noisy_film, (0, 0.05, 0.2)),
    ("3d", "watertight"): (opened, (0, 1)),
    ("3d", "winding"): (turned, (0, 0.5)),
    ("3d", "volume"): (turned, (0, 1)),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[1])
def test_faults_of_samples_worsen_with_them(fault):
    modality, make, *_ = MODALITIES[fault[0]]
    (metric,) = (m for m in modality.metrics() if m.name == fault[1])
    change, levels = FAULTS[fault]
    samples = [make(i) for i in range(3)]
    means = [sum(metric.value(change(sample, level), "") for sample in samples) / 3 for level in levels]
    assert means == sorted(means, reverse=metric.higher_is_better is not False)
    assert means[0] != means[-1]
