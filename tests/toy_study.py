"""A study whose samples and findings are made up: real containers, no model."""

import math
from importlib.metadata import EntryPoint

import torch
from PIL import Image

from multigen import registry
from multigen.comparison import Study
from multigen.comparison.findings import Agreement, Contrast, Cost, Findings, Leader, pairs
from multigen.evaluation import Record, Result
from multigen.metrics import Interval
from multigen.model import Defaults
from multigen.options import NoOptions

SAMPLERS = ("euler", "heun", "dpmpp_2m", "unipc", "dpmpp_2m_sde")
PROMPTS = ("a red <b>box</b> & a bell", "two notes", "rain on tin")
MODALITIES = ("audio", "video", "3d", "swatch", "scent")


class Swatches:
    """A third party's modality: one colour, which it can draw."""

    name, extensions, default_model, Options = "swatch", (".rgb",), "toy", NoOptions
    show_flag, show_extensions = "picture", (".png",)

    def read(self, path, /):
        return {"color": torch.tensor(list(path.read_bytes()))}

    def write(self, sample, path, /, *, tags):
        path.write_bytes(bytes(sample["color"].tolist()))

    def read_tags(self, path, /):
        return {}

    def show(self, samples, path, /):
        Image.new("RGB", (64, 48), tuple(samples[0][1]["color"].tolist())).save(path)


class Scents:
    """A third party's modality of which nothing can be shown."""

    name, extensions, default_model, Options = "scent", (".scent",), "toy", NoOptions
    read, write, read_tags = Swatches.read, Swatches.write, Swatches.read_tags


class Toy:
    """A model that is never run."""

    name, fingerprint, axes, defaults = "toy", "0123456789abcdef0123", {}, Defaults()
    shape = staticmethod(lambda options: (2,))

    def __init__(self, modality):
        self.modality = modality


def install(monkeypatch):
    """The toys as if they were installed."""
    ours = {
        "multigen.modalities": {"swatch": "Swatches", "scent": "Scents"},
        "multigen.models": {f"toy-{name}": f"toy_{name}" for name in MODALITIES},
    }
    installed = registry._by_name

    def with_toys(group):
        own = {name: (EntryPoint(name, f"toy_study:{place}", group),) for name, place in ours.get(group, {}).items()}
        return {**installed(group), **own}

    monkeypatch.setattr(registry, "_by_name", with_toys)


def __getattr__(name):
    """toy_audio and so on: loaders of the toy model."""
    modality = name.removeprefix("toy_")
    if modality not in MODALITIES:
        raise AttributeError(name)
    return lambda folder=None, **_: Toy(modality)


def study(*modalities, **changes):
    asked = {
        "modalities": modalities,
        "prompts": dict.fromkeys(modalities, PROMPTS),
        "seeds": (0, 1, 2),
        "model": {name: (f"toy-{name}",) for name in modalities},
        "sampler": SAMPLERS[:3],
        "steps": (4, 8, 16),
    }
    return Study(**{**asked, **changes})


def make(runner, samples):
    """Every record and every file. samples: of each modality, takes the arm and the number of the sample."""
    for arm in runner.arms:
        for i in range(runner.study.items):
            path = runner.sample_path(arm, i)
            path.parent.mkdir(parents=True, exist_ok=True)
            registry.modalities[arm.modality]().write(samples[arm.modality](arm, i), path, tags={})
            prompt, _ = runner.study.item(arm.modality, i)
            Record(f"{i:05d}", prompt, prompt, f"{i}").write(runner.path(arm, i))


def findings(runner, *, metrics=4):
    """Errors that fall with the steps, at rates of their own."""
    results, costs = {}, {}
    for arm in runner.arms:
        rank = runner.study.sampler.index(arm.sampler) if arm.sampler else 0
        twice = 2 if arm.sampler == "heun" else 1
        evaluations = float(twice * (arm.steps or 12))
        costs[arm] = Cost(evaluations, 0.011 * evaluations + 0.05, runner.study.items, 0)
        results[arm] = [
            result(metric, value(metric, arm, rank, place) if place < metrics else None)
            for place, metric in enumerate(runner.metrics(arm.modality))
        ]
    contrasts = [
        Contrast(
            first.modality, a.metric, factor, getattr(first, factor), getattr(second, factor),
            {name: level for name, level in first.levels().items() if name != factor},
            shifted(b.interval, -a.interval.value), 0.001, 0.004 if separate(a.interval, b.interval) else 0.3,
            (b.interval.value > a.interval.value) == bool(a.higher_is_better),
        )
        for factor, first, second in pairs(runner.arms)
        for a, b in zip(results[first], results[second], strict=True)
        if a.interval
    ]  # fmt: skip
    modalities = runner.study.modalities
    orders = {name: [*runner.study.sampler[i:], *runner.study.sampler[:i]] for i, name in enumerate(modalities)}
    ranks = {name: (1.5, 1.5, 3.0, 4.0, 5.0)[: len(order)] for name, order in orders.items()}
    agreements = [Agreement("kad", "sampler", 0.62, 0.04, orders, ranks)] if len(orders[modalities[-1]]) > 2 else []
    leaders = [leader(modality, results, costs) for modality in modalities]
    return Findings(runner.arms, results, costs, contrasts, agreements, leaders, 1000)


def leader(modality, results, costs):
    """By the first metric: the best arm, and the cheapest one."""
    mine = [arm for arm in results if arm.modality == modality]
    best = min(mine, key=lambda arm: results[arm][0].interval.value)
    return Leader(modality, results[best][0].metric, best, min(mine, key=lambda arm: costs[arm].evaluations))


def value(metric, arm, rank, place):
    """Better by more steps, with an interval of a tenth of itself."""
    far = (1 + 1.5 * rank) * 40 / (arm.steps or 12) ** (1.2 + 0.5 * rank) + 0.3 + 0.1 * len(arm.schedule)
    if metric.best is not None:
        middle = metric.best + 0.02 * far
    else:
        middle = 1 / (1 + far / 5) if metric.higher_is_better else far
    return Interval(middle, 0.9 * middle - 0.01, 1.1 * middle + 0.01 * math.cos(place))


def result(metric, interval):
    floor = Interval(0.4, 0.3, 0.5) if interval and metric.name == "kad" else None
    return Result(
        metric.name, metric.version, metric.unit, metric.higher_is_better, metric.best, metric.source, "toy 0", 3, 3,
        interval, floor, 0.1, "" if interval else "needs training samples, --training",
    )  # fmt: skip


def shifted(interval, by):
    return Interval(interval.value + by, interval.low + by, interval.high + by)


def separate(one, other):
    return one.high < other.low or other.high < one.low
