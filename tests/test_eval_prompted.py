"""Samples and their prompts: every score against brute force and closed forms, chance, and what real ones reach."""

import math

import pytest
import torch
import torch.nn.functional as F

from multigen import registry
from multigen.errors import UsageError
from multigen.evaluation import Collection, Evidence, Reads, Record, extractors, measure, prompted
from multigen.evaluation.prompted import PROMPTED, expected, similarities

WIDTH = 16
BY_NAME = {metric.name: metric for metric in PROMPTED}


def places(prompts):
    """A direction for each prompt, the same for equal ones."""
    rows = [torch.randn(WIDTH, generator=torch.Generator().manual_seed(sum(map(ord, p)))) for p in prompts]
    return F.normalize(torch.stack(rows), dim=1)


class Reader:
    name, fingerprint, modality = "reader", "1", "toys"

    def __call__(self, sample, /):
        return sample["v"]

    def text(self, prompts, /):
        return places(prompts)


def collected(prompts, *, noise=0.0, seed=0, clusters=None):
    """Samples that lie where their prompts do, and noise."""
    rows = places(prompts) + noise * torch.randn(len(prompts), WIDTH, generator=torch.Generator().manual_seed(seed))
    return Collection.of(
        Record(f"{i}", prompt, clusters[i] if clusters else prompt, f"{i}", features={"reader": row})
        for i, (prompt, row) in enumerate(zip(prompts, rows, strict=True))
    )


def prompts(count, each=1):
    return [f"thing {chr(97 + i)}{i}" for i in range(count) for _ in range(each)]


def results(made, real=None):
    found = measure(Evidence(made, real), PROMPTED, None, reader=Reader(), repeats=50)
    return {r.metric: r for r in found}


def drawn(n, k, seed=0):
    generator = torch.Generator().manual_seed(seed)
    own = torch.cat([torch.arange(k), torch.randint(k, (n - k,), generator=generator)])
    return torch.rand(n, k, generator=generator, dtype=torch.float64), own


def test_scores_are_those_found_one_by_one():
    similarity, own = drawn(30, 7)
    right = [float(max(range(7), key=lambda j: float(similarity[i, j])) == own[i]) for i in range(30)]
    assert BY_NAME["prompt-accuracy"].score(similarity, own).tolist() == right
    for most in (1, 5):
        order = similarity.argsort(0, descending=True)[:most]
        found = [float(any(own[i] == j for i in order[:, j])) for j in range(7)]
        assert BY_NAME[f"retrieval-r{most}"].score(similarity, own).tolist() == [found[j] for j in own]
    assert BY_NAME["text-similarity"].score(similarity, own).tolist() == [
        float(similarity[i, own[i]]) for i in range(30)
    ]


@pytest.mark.parametrize("name", BY_NAME)
def test_without_regard_to_prompts_scores_are_at_chance(name):
    metric = BY_NAME[name]
    found = torch.stack([metric.score(*drawn(24, 6, seed)).mean() for seed in range(400)])
    chances = torch.tensor([metric.chance(*drawn(24, 6, seed)) for seed in range(400)])
    error = float(found.std()) / math.sqrt(len(found))
    assert float(found.mean()) == pytest.approx(float(chances.mean()), abs=4 * error)


def test_ties_count_against_a_sample():
    similarity, own = torch.full((6, 3), 0.5, dtype=torch.float64), torch.arange(6) % 3
    assert float(BY_NAME["prompt-accuracy"].score(similarity, own).sum()) == 0
    assert float(BY_NAME["retrieval-r1"].score(similarity, own).sum()) == 0
    assert float(BY_NAME["retrieval-r5"].score(similarity, own).sum()) == 6  # only four samples are not its own


@pytest.mark.parametrize("count", [2, 4, 9])
def test_accuracy_among_fewer_prompts_has_its_closed_form(count):
    """With r prompts ahead of its own among k, none of them is among count - 1 others: C(k-1-r, c-1) / C(k-1, c-1)."""
    similarity, own = drawn(60, 9)
    ahead = (similarity > similarity.gather(1, own[:, None])).sum(1)
    exact = torch.tensor([math.comb(8 - int(r), count - 1) / math.comb(8, count - 1) for r in ahead])
    found = expected(BY_NAME["prompt-accuracy"], similarity, own, count)
    assert float((found - exact).abs().max()) < (1e-12 if count == 9 else 0.2)
    assert float(found.mean()) == pytest.approx(float(exact.mean()), abs=0.02)


def test_values_fall_as_samples_lose_their_prompts():
    series = [results(collected(prompts(12, 4), noise=noise)) for noise in (0.0, 0.2, 0.5, 2.0)]
    for name in BY_NAME:
        values = [found[name].interval.value for found in series]
        assert values == sorted(values, reverse=True), name
        assert values[0] == pytest.approx(1)
        assert values[-1] == pytest.approx(series[-1][name].chance, abs=0.25), name


def test_real_samples_are_told_apart_under_the_same_odds():
    real = collected(prompts(20, 2), noise=0.3, seed=1, clusters=[str(i) for i in range(40)])
    few, many = (results(collected(prompts(count, 3), noise=0.3), real)["prompt-accuracy"] for count in (3, 20))
    assert (few.chance, many.chance) == (pytest.approx(1 / 3), pytest.approx(1 / 20))
    assert few.floor.value > many.floor.value + 0.05
    assert many.floor.value == pytest.approx(many.interval.value, abs=0.2)
    similarity, own = similarities(real, Reader())
    assert many.floor.value == pytest.approx(float(BY_NAME["prompt-accuracy"].score(similarity, own).mean()))
    assert results(collected(prompts(21)), real)["prompt-accuracy"].floor is None  # too few captions


def test_what_is_missing_is_said():
    made = collected(prompts(3, 2))
    (found,) = measure(Evidence(made), PROMPTED[:1], None)
    assert found.note.startswith("needs an extractor that knows texts")
    assert results(collected(["one"] * 4))["retrieval-r1"].note == "needs two different prompts"
    unprompted = Collection.of([Record("0", "", "0", "0", features={"reader": torch.ones(WIDTH)})])
    assert results(unprompted)["prompt-accuracy"].note == "needs prompts"


def test_samples_none_of_which_can_be_measured_are_said_to_be():
    silent = Collection.of(Record(f"{i}", prompt, prompt, "", faults=("silent",)) for i, prompt in enumerate("ab"))
    assert {r.note for r in results(silent, collected(prompts(3))).values()} == {
        "there is no sample that can be measured"
    }


def test_all_right_and_one_prompt_are_no_certainty():
    found = results(collected(prompts(12, 4)))["prompt-accuracy"]
    assert (found.interval.value, found.interval.high) == (1, 1)
    assert 0.7 < found.interval.low < 0.8  # twelve prompts: Wilson's is 0.76


def test_intervals_are_wider_for_few_prompts_than_for_many():
    similarity = prompted.values(collected(prompts(4, 30), noise=0.35), BY_NAME["prompt-accuracy"], Reader())
    assert similarity.shape == (120,)
    few, many = (
        results(collected(prompts(*shape), noise=0.4))["text-similarity"].interval for shape in ((4, 30), (40, 3))
    )
    assert few.high - few.low > 0
    assert many.high - many.low > 0


# --- which extractor --------------------------------------------------------------------------------------------------


class Toys:
    name, extensions, default_model = "toys", (".toy",), "toy"

    def extractors(self):
        return (Blind(),)

    def metrics(self):
        return ()

    def faults(self, sample, /):
        return ()


class Blind:
    name, fingerprint = "blind", "1"

    def __call__(self, sample, /):
        return sample["v"]


class Loader:
    def __init__(self, modality, made=Reader, *, ready=True):
        self.modality, self.ready, self._made = modality, ready, made

    def __call__(self, place="", /):
        found = self._made()
        found.place = place
        return found


@pytest.fixture
def installed(monkeypatch):
    """Extractors as if they were installed."""
    loaders = {"reader": Loader("toys"), "raw": Loader("toys", ready=False), "ears": Loader("sounds")}
    find, names = registry.Registry.__getitem__, registry.Registry.names
    ours = registry.extractors
    monkeypatch.setattr(registry.Registry, "__getitem__", lambda g, n: loaders[n] if g == ours else find(g, n))
    monkeypatch.setattr(registry.Registry, "names", lambda g: sorted(loaders) if g == ours else names(g))
    contains = registry.Registry.__contains__
    monkeypatch.setattr(registry.Registry, "__contains__", lambda g, n: n in loaders if g == ours else contains(g, n))


def test_a_registered_extractor_that_knows_texts_is_found(installed):
    known = extractors.own(Toys())
    assert extractors.registered(Toys()) == ["reader"]
    assert isinstance(extractors.reader(Toys(), known), Reader)
    assert extractors.reader(Toys(), [named := Reader()]) is named
    assert isinstance(Reader(), Reads)
    assert not isinstance(Blind(), Reads)
    assert extractors.find("blind", Toys(), known) is known[0]
    assert extractors.find("reader", Toys(), known).name == "reader"


def test_a_folder_is_read_by_the_loader_that_it_names(installed, tmp_path):
    (tmp_path / "multigen.json").write_text('{"loader": "raw"}')
    assert extractors.find(str(tmp_path), Toys(), ()).place == str(tmp_path)


def test_other_extractors_are_refused(installed, tmp_path):
    with pytest.raises(
        UsageError, match="unknown extractor 'redaer': choose from blind, reader; did you mean 'reader'"
    ):
        extractors.find("redaer", Toys(), extractors.own(Toys()))
    sounds = Toys()
    sounds.name = "sounds"
    with pytest.raises(UsageError, match="the extractor 'ears' sees toys, not sounds: choose another"):
        extractors.find("ears", sounds, ())
    with pytest.raises(UsageError, match="is no extractor"):
        extractors.find(str(tmp_path), Toys(), ())
