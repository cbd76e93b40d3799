"""Evaluation of any modality: collections, results with intervals and floors, and what is flagged."""

import dataclasses
import itertools
import math

import pytest
import torch
from sklearn.metrics import pairwise

from multigen.errors import UsageError
from multigen.evaluation import (
    Collection,
    Evidence,
    Need,
    PerSample,
    PerSet,
    Record,
    Recorder,
    measure,
    read_collection,
)
from multigen.evaluation.collection import scattered
from multigen.evaluation.general import GENERAL, standardised
from multigen.evaluation.protocol import told_of
from multigen.metrics import bootstrap, gaussian, median_distance, vendi, wilson
from multigen.options import NoOptions


class Vectors:
    """Samples are {"v": (8,)}, read from text; a vector of zeros is faulty."""

    name, extensions, default_model, Options = "vectors", (".txt",), "none", NoOptions

    def read(self, path, /):
        return {"v": torch.tensor([float(part) for part in path.read_text().split()])}

    def read_tags(self, path, /):
        return {}

    def extractors(self):
        return (Itself(),)

    def metrics(self):
        return (FIRST,)

    def faults(self, sample, /):
        return () if sample["v"].any() else ("empty",)


class Itself:
    name, fingerprint = "itself", "1"

    def __call__(self, sample, /):
        return sample["v"]


FIRST = PerSample(
    name="first",
    about="the first number, where the prompt asks for it",
    source="this test",
    higher_is_better=True,
    needs=frozenset({Need.PROMPTS}),
    value=lambda sample, prompt: float(sample["v"][0]) if "first" in prompt else math.nan,
)
BY_NAME = {metric.name: metric for metric in GENERAL}


def normal(n, *, seed=0, shift=0.0, scale=1.0):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed)) * scale + shift


RECORDER = Recorder(Vectors(), (*GENERAL, FIRST), (Itself(),))


def collected(rows, prompts=None, clusters=None):
    n = len(rows)
    prompts = prompts or ["a vector"] * n
    clusters = clusters or [str(i) for i in range(n)]
    told = zip(rows, prompts, clusters, strict=True)
    return Collection.of(
        RECORDER({"v": row}, name=f"{i}.txt", prompt=prompt, cluster=cluster)
        for i, (row, prompt, cluster) in enumerate(told)
    )


def results(made, real=None, training=None, metrics=GENERAL, **how):
    found = measure(Evidence(made, real, training), metrics, Itself(), repeats=100, **how)
    return {result.metric: result for result in found}


def test_equal_distributions_reach_the_floor():
    found = results(collected(normal(120)), collected(normal(120, seed=1)), collected(normal(300, seed=2)))
    for name in ("kad", "1-nna", "density", "coverage", "vendi"):
        low, high = found[name].floor.low, found[name].floor.high
        margin = 0.5 * (high - low)
        assert low - margin <= found[name].interval.value <= high + margin, name
    assert found["1-nna"].interval.value == pytest.approx(0.5, abs=0.1)
    assert found["nearest-training"].interval.value == pytest.approx(1, abs=0.1)


DEGRADED = {
    "noise": [normal(120) + normal(120, seed=5, scale=s) for s in (0.0, 0.7, 1.5, 3.0)],
    "shift": [normal(120, shift=s) for s in (0.0, 0.5, 1.0, 2.0)],
    "dropped": [normal(120)[torch.arange(120) % k] for k in (120, 30, 10, 3)],
}


@pytest.mark.parametrize("kind", DEGRADED)
def test_metrics_worsen_step_by_step_as_samples_do(kind):
    real = collected(normal(120, seed=1))
    series = [results(collected(made), real) for made in DEGRADED[kind]]
    worse = {
        "noise": ("kad", "coverage", "density"),
        "shift": ("kad", "coverage", "density"),
        "dropped": ("kad", "coverage", "vendi"),
    }
    for name in worse[kind]:
        values = [found[name].interval.value for found in series]
        assert sorted(values, reverse=bool(BY_NAME[name].higher_is_better)) == values, (name, values)
    distances = [abs(found["1-nna"].interval.value - 0.5) for found in series]
    assert all(later > earlier - 0.02 for earlier, later in itertools.pairwise(distances))
    assert distances[-1] > distances[0] + 0.1


# --- numbers of samples -----------------------------------------------------------------------------------------------


def test_a_perfect_model_reaches_the_floor_whatever_the_numbers_of_samples():
    """64 made samples and 600 real ones of one distribution."""
    found = results(collected(normal(64)), collected(normal(600, seed=1)), collected(normal(200, seed=2)))
    for name, result in found.items():
        if result.interval is None:
            continue
        assert result.floor.low <= result.interval.value <= result.floor.high, name
    assert found["1-nna"].interval.value == pytest.approx(0.5, abs=0.12)
    for name in ("1-nna", "density", "coverage"):
        r = found[name]
        assert (r.n, r.reference, r.floor_n, r.floor_reference) == (64, 64, 64, 64), name
    for name in ("kad", "vendi", "nearest-training"):
        r = found[name]
        assert (r.n, r.reference, r.floor_n, r.floor_reference) == (64, 600, 64, 300), name


def test_the_larger_set_is_thinned_out_for_neighbours_whichever_it_is():
    few, many = collected(normal(40)), collected(normal(400, seed=1))
    for made, real in ((few, many), (many, few)):
        found = results(made, real, metrics=(BY_NAME["1-nna"],))["1-nna"]
        assert (found.n, found.reference) == (40, 40)
        assert found.interval.value == pytest.approx(0.5, abs=0.2)  # of all 440 it would be 0.83


def test_a_floor_of_too_few_real_samples_says_how_many_they_were():
    found = results(collected(normal(64)), collected(normal(64, seed=1)), metrics=(BY_NAME["1-nna"],))["1-nna"]
    assert (found.n, found.reference, found.floor_n, found.floor_reference) == (64, 64, 32, 32)


# --- intervals that would say nothing ---------------------------------------------------------------------------------


def test_one_prompt_has_no_interval_and_says_so():
    made = collected(normal(20), prompts=["first"] * 20, clusters=["first"] * 20)
    found = results(made, metrics=(FIRST,))["first"]
    assert found.note == "all are of one prompt or source: no interval"
    assert math.isnan(found.interval.low)
    assert found.interval.value == pytest.approx(float(normal(20)[:, 0].mean()))
    one_source = collected(normal(30, seed=1), clusters=["tape"] * 30)
    found = results(collected(normal(20)), one_source, metrics=(BY_NAME["kad"],))["kad"]
    assert (found.note, found.floor) == ("all are of one prompt or source: no interval", None)


def test_values_that_are_all_equal_have_no_interval_and_say_so():
    found = results(collected(torch.ones(20, 8), prompts=["first"] * 20), metrics=(FIRST,))["first"]
    assert found.note == "the same in all resamplings: no interval"
    assert (found.interval.value, math.isnan(found.interval.high)) == (1.0, True)
    far = results(collected(normal(30, shift=50)), collected(normal(30, seed=1)), metrics=(BY_NAME["1-nna"],))["1-nna"]
    assert (far.interval.value, far.note) == (1.0, "the same in all resamplings: no interval")


def test_a_share_of_all_samples_has_an_interval():
    positive = dataclasses.replace(FIRST, value=lambda sample, prompt: float(sample["v"][0] > 0), share=True)
    recorder = dataclasses.replace(RECORDER, metrics=(positive,))
    made = Collection.of(
        recorder({"v": torch.ones(8)}, name=f"{i}", prompt="first", cluster=f"{i // 2}") for i in range(40)
    )
    found = results(made, metrics=(positive,))["first"]
    assert (found.interval.value, found.interval.high, found.note) == (1, 1, "")
    assert found.interval.low == pytest.approx(wilson(20, 20).low)


def test_intervals_of_sets_stay_in_the_range_of_the_values():
    copies = normal(40, seed=1)
    for made in (copies + 1e-4, normal(40, shift=1.2), normal(40, scale=0.1)):
        for name, result in results(collected(made), collected(copies)).items():
            if result.interval is None or math.isnan(result.interval.low):
                continue
            low, high = BY_NAME[name].limits
            assert low <= result.interval.low <= result.interval.high <= high, name


def test_copies_of_training_samples_are_told():
    training = normal(200, seed=2)
    found = results(collected(training[:60] + 1e-3), collected(normal(60, seed=1)), collected(training))
    assert found["nearest-training"].interval.high < 0.05


def test_vendi_counts_different_samples():
    far = 100 * torch.eye(8)
    assert vendi(far, gaussian(1.0))() == pytest.approx(8)
    assert vendi(far[[0, 0, 1, 1, 1, 2]], gaussian(1.0))() == pytest.approx(
        math.exp(-sum(p * math.log(p) for p in (2 / 6, 3 / 6, 1 / 6)))
    )
    x = normal(40)
    kernel = pairwise.rbf_kernel(x.double().numpy(), gamma=0.5 / median_distance(x) ** 2) / 40
    eigenvalues = torch.linalg.eigvalsh(torch.from_numpy(kernel)).clamp(min=1e-300)
    expected = math.exp(-float((eigenvalues * eigenvalues.log()).sum()))
    assert vendi(x, gaussian(median_distance(x)))() == pytest.approx(expected, rel=1e-9)
    weights = torch.tensor([1.0, 0, 2, 0, 0, 1])
    assert vendi(far[:6], gaussian(1.0))(weights) == pytest.approx(
        math.exp(-(0.5 * math.log(0.25) + 0.5 * math.log(0.5)))
    )


def test_a_sample_metric_counts_only_samples_whose_prompt_asks_for_it():
    rows = torch.arange(1.0, 7)[:, None].expand(6, 8)
    made = collected(rows, prompts=["first", "other"] * 3)
    result = results(made, metrics=(FIRST,))["first"]
    assert (result.n, result.interval.value) == (3, 3.0)
    assert results(collected(rows), metrics=(FIRST,))["first"].note == "no prompt asks for it"


def test_samples_of_one_cluster_widen_the_interval():
    rows = normal(8, seed=3).repeat_interleave(10, dim=0)
    prompts = ["first"] * 80
    alone = results(collected(rows, prompts), metrics=(FIRST,))["first"].interval
    together = results(collected(rows, prompts, [str(i // 10) for i in range(80)]), metrics=(FIRST,))["first"].interval
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_what_is_missing_is_said():
    made, real = collected(normal(20)), collected(normal(20, seed=1))
    assert results(made)["kad"].note == "needs real samples, --against"
    assert results(made, real)["nearest-training"].note == "needs training samples, --training"
    assert "too few samples: 5" in results(collected(normal(5)), real)["kad"].note
    assert "too few samples: 3" in results(made, real, collected(normal(3)))["nearest-training"].note
    (bare,) = measure(Evidence(made, real), (BY_NAME["kad"],))
    assert "needs features" in bare.note
    assert results(collected(normal(20), prompts=[""] * 20), metrics=(FIRST,))["first"].note == "needs prompts"
    assert all(result.interval is None for result in results(made).values())


def test_faulty_samples_are_named_and_not_counted():
    rows = normal(12)
    rows[3] = 0
    made = collected(rows)
    assert len(made) == 11
    assert [(record.name, record.faults) for record in made.faulty] == [("3.txt", ("empty",))]


def test_features_are_standardised_on_the_real_samples():
    real, made = normal(50, shift=3, scale=2), normal(20, seed=1)
    real[:, 7] = 5.0
    first, second = standardised(real, made)
    assert first.shape == (50, 7)
    torch.testing.assert_close(first.mean(0), torch.zeros(7), atol=1e-5, rtol=0)
    torch.testing.assert_close(first.std(0, unbiased=False), torch.ones(7))
    torch.testing.assert_close(second, ((made - real.mean(0)) / real.std(0, unbiased=False))[:, :7])


def prompts(found):
    return [record.prompt for record in found.records]


def test_a_folder_is_read_with_its_captions_and_sources(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.txt").write_text(" ".join(["1"] * 8))
    bare = read_collection(RECORDER, tmp_path)
    assert (len(bare), prompts(bare), len(torch.unique(bare.clusters()))) == (4, [""] * 4, 4)
    (tmp_path / "metadata.csv").write_text("file_name,caption,source\n2.txt,two,a\n0.txt,zero,a\n1.txt,one,b\n")
    listed = read_collection(RECORDER, tmp_path)
    assert prompts(listed) == ["two", "zero", "one"]
    assert listed.clusters().tolist() == [0, 0, 1]
    assert prompts(read_collection(RECORDER, tmp_path, most=2)) == ["two", "zero"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no vectors: give a folder with .txt files"),
        ({"metadata.csv": "name\nx.txt\n"}, "has no column file_name"),
        ({"a.txt": "one two"}, "cannot be read as vectors"),
    ],
)
def test_other_folders_are_refused(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        read_collection(RECORDER, tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        read_collection(RECORDER, tmp_path / "none")


def test_a_metric_of_an_unknown_kind_is_a_mistake():
    class Other:
        name, needs = "other", frozenset()

    with pytest.raises(TypeError, match="other is none of"):
        measure(Evidence(collected(normal(12))), (Other(),))


def test_a_third_partys_metric_needs_its_function_alone():
    mine = PerSet(
        name="spread",
        about="deviation",
        source="this test",
        higher_is_better=True,
        statistic=lambda made, real, training: lambda u, v: float((u @ made.square().sum(1) / u.sum()).sqrt()),
        intervals=bootstrap,
    )
    wide, narrow = (
        measure(Evidence(collected(normal(50, scale=s))), (mine,), Itself(), repeats=50)[0] for s in (2.0, 1.0)
    )
    assert isinstance(wide.interval.value, float)
    assert wide.extractor == "itself 1"
    assert narrow.floor is None


def test_a_collection_is_told_by_its_samples():
    assert collected(normal(3)).fingerprint() == collected(normal(3)).fingerprint()
    assert collected(normal(3)).fingerprint() != collected(normal(3, seed=1)).fingerprint()


def test_a_record_is_kept_in_a_file(tmp_path):
    record = RECORDER({"v": normal(1)[0]}, name="a", prompt="first", cluster="c", made={"seconds": 1.5})
    record.write(tmp_path / "deep" / "a.safetensors")
    again = Record.read(tmp_path / "deep" / "a.safetensors")
    assert torch.equal(again.features["itself"], record.features["itself"])
    assert (again.name, again.prompt, again.cluster, again.values, dict(again.made)) == (
        "a", "first", "c", record.values, {"seconds": 1.5},
    )  # fmt: skip
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds no record"):
        Record.read(tmp_path / "broken.safetensors")


def test_a_record_gets_what_it_lacks_and_nothing_else():
    asked = []

    class Watched(Itself):
        def __init__(self, name):
            self.name = name

        def __call__(self, sample, /):
            asked.append(self.name)
            return sample["v"]

    sample = {"v": normal(1)[0]}
    few = Recorder(Vectors(), (), (Watched("one"),))
    more = Recorder(Vectors(), (FIRST,), (Watched("one"), Watched("two")))
    record = few(sample, name="a", prompt="first", cluster="a")
    assert not few.lacks(record)
    assert more.lacks(record)
    again = more.again(record, sample)
    assert asked == ["one", "two"]
    assert (set(again.features), set(again.values), again.from_file) == ({"one", "two"}, {"first"}, True)
    assert not more.lacks(again)
    assert Recorder(Vectors(), (dataclasses.replace(FIRST, version=2),), ()).lacks(again)


class Fast(Vectors):
    """Vectors at a rate: their last number."""

    resampler = "none"

    def rates(self, sample, /):
        return {"Hz": float(sample["v"][-1])}

    def sizes(self, sample, /):
        return {"length": float(len(sample["v"]))}


def test_samples_of_other_rates_are_flagged_and_not_averaged():
    rows = normal(12)
    rows[:, -1] = 24.0
    rows[3, -1] = 8.0
    recorder = Recorder(Fast(), (), (Itself(),))
    every = Collection.of(recorder({"v": row}, name=str(i), prompt="", cluster=str(i)) for i, row in enumerate(rows))
    assert every.rates == {"Hz": 24.0}
    agreeing = every.at(every.rates)
    assert len(agreeing) == 11
    assert [(r.name, r.faults) for r in agreeing.faulty] == [("3", ["8 Hz, not 24"])]
    assert len(every.at({"Hz": 24.03})) == 11  # as near as 29.97 and 30
    assert len(every.at({"Hz": 8.0})) == 1
    told = told_of(every)
    assert (told["rates"], told["sizes"]) == ({"Hz": [8.0, 24.0]}, {"length": [8.0, 8.0]})


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_every_beginning_of_scattered_rows_is_spread_over_them(n):
    rows = scattered(range(n))
    assert sorted(rows) == list(range(n))
    classes = [row * 10 // n for row in rows[:32]]
    assert len(set(classes)) == min(n, 10)
