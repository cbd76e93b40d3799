"""Studies, on the example plugin of a third party: arms, resumption, shared noise, differences, tables, bad input."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pyarrow import parquet

from multigen import compare_verb, registry
from multigen.cli import main
from multigen.comparison import Arm, Study, arms
from multigen.comparison import findings as findings_module
from multigen.comparison.column import Column
from multigen.comparison.findings import Agreement, Contrast, Cost, find, pairs, undecidable
from multigen.comparison.oracle import likelihoods, mixture, oracle
from multigen.comparison.run import Runner, Share
from multigen.comparison.study import ranges
from multigen.comparison.tables import contrasts, markdown, results, samples, to_csv, to_parquet
from multigen.errors import GenerationError, UsageError
from multigen.evaluation import Collection, Evidence, PerSample, Record, extractors, making, measure
from multigen.evaluation.general import GENERAL
from multigen.evaluation.protocol import sha
from multigen.job import generate, prepare
from multigen.metrics import Interval
from multigen.options import read_toml
from multigen.request import Request

EXAMPLE = Path(__file__).parent.parent / "examples" / "multigen-digits"


def digits(**changes):
    """A study of two samplers and two numbers of steps."""
    asked = {
        "modalities": ("digits",),
        "prompts": {"digits": ("a 3", "a 7", "an 8")},
        "seeds": tuple(range(24)),
        "sampler": ("euler", "heun"),
        "steps": (3, 12),
    }
    asked |= changes
    fitting = {name: prompts[: len(asked["seeds"])] for name, prompts in asked["prompts"].items()}
    return Study(**{**asked, "prompts": changes.get("prompts", fitting)})


@pytest.fixture(autouse=True)
def plugin(monkeypatch):
    """The example's distribution, as if it were installed."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    installed = registry._by_name
    named = {"multigen.modalities": "multigen_digits:Digits", "multigen.models": "multigen_digits:Gaussians"}

    def with_digits(group):
        own = {"digits": (EntryPoint("digits", named[group], group),)} if group in named else {}
        return {**installed(group), **own}

    monkeypatch.setattr(registry, "_by_name", with_digits)
    yield
    sys.modules.pop("multigen_digits", None)


@pytest.fixture
def real(tmp_path):
    """What stands for real digits, with their captions: the model's own, by many steps, of other seeds."""
    import multigen_digits

    folder, rows = tmp_path / "real", ["file_name,caption"]
    folder.mkdir()
    for digit in range(10):
        said, seeds = f"a {digit}", range(1000 * digit + 1000, 1000 * digit + 1012)
        for seed, sample in zip(seeds, generate("digits", said, seeds=seeds, steps=60, sampler="heun"), strict=True):
            multigen_digits.Digits().write(sample, folder / f"{seed}.png", tags={})
            rows.append(f"{seed}.png,{said}")
    (folder / "metadata.csv").write_text("\n".join(rows))
    return str(folder)


def ran(study, folder, **how):
    runner = Runner(study, folder)
    told = []
    runner.run(Share(**how), told.append)
    return runner, told


def test_arms_are_all_combinations_and_have_keys_of_their_own():
    found = arms(digits(guidance=("1", "cfg:scale=2")))
    assert len(found) == len(set(found)) == len({arm.key for arm in found}) == 8
    assert arms(digits(sampler=(), steps=())) == [Arm("digits")]


def test_contrasts_are_of_arms_that_differ_in_one_thing():
    for factor, first, second in pairs(arms(digits(schedule=("karras", "exponential", "vp")))):
        differing = [name for name, value in first.levels().items() if value != second.levels()[name]]
        assert differing == [factor]
    assert len(pairs(arms(digits()))) == 4


def test_arms_share_prompts_and_noise(tmp_path):
    runner, _ = ran(digits(steps=(40,), seeds=(0, 1, 2, 3)), tmp_path)
    euler, heun = (runner.collection(arm) for arm in runner.arms)
    assert [r.prompt for r in euler.records] == [r.prompt for r in heun.records] == ["a 3", "a 7", "an 8", "a 3"]
    name = runner.extractor("digits").name
    between = (euler.features(name) - heun.features(name)).norm(dim=1)
    others = (euler.features(name) - heun.features(name).roll(1, 0)).norm(dim=1)
    assert (between < 0.3 * others).all()  # two good samplers come to nearly the same sample


def test_a_killed_study_goes_on_without_repeating_a_sample(tmp_path):
    study = digits(seeds=tuple(range(6)))
    runner = Runner(study, tmp_path)

    class KilledError(Exception):
        pass

    def kill(progress):
        if progress.done == 7:
            raise KilledError

    with pytest.raises(KilledError):
        runner.run(Share(), kill)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "records").rglob("*.safetensors")}
    assert len(before) == 7
    assert not runner.complete()
    again, told = ran(study, tmp_path)
    assert len(told) == 24 - 7
    assert again.complete()
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    whole, _ = ran(study, tmp_path / "whole")
    for arm in whole.arms:
        one, other = (r.collection(arm) for r in (whole, again))
        assert [r.sha256 for r in one.records] == [r.sha256 for r in other.records]


def test_processes_share_the_work(tmp_path):
    study = digits(seeds=(0, 1, 2))
    first, told = ran(study, tmp_path, index=0, of=2)
    assert not first.complete()
    second, rest = ran(study, tmp_path, index=1, of=2)
    assert second.complete()
    assert len(told) + len(rest) == 12


def test_every_process_has_a_like_share_of_every_arm():
    four = arms(digits(sampler=("euler",), steps=(4, 8, 16, 32)))
    shares = [Share(i, 4).part(four, 16) for i in range(4)]
    assert {sum(arm.steps for arm, _ in mine) for mine in shares} == {4 * (4 + 8 + 16 + 32)}
    assert sum(map(len, shares)) == 64
    assert {one for mine in shares for one in mine} == {(arm, i) for arm in four for i in range(16)}
    few = [Share(i, 3).part(four, 2) for i in range(3)]
    assert sorted(len(mine) for mine in few) == [2, 3, 3]


def test_progress_tells_the_time_left(tmp_path):
    _, told = ran(digits(seeds=(0, 1)), tmp_path)
    assert [p.done for p in told] == list(range(1, 9))
    assert {p.of for p in told} == {8}
    assert told[0].left > told[-1].left == 0


def test_a_study_grows_by_arms_and_seeds_without_making_a_sample_again(tmp_path):
    ran(digits(sampler=("euler",), seeds=(0, 1, 2)), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "records").rglob("*.safetensors")}
    assert len(before) == 6
    wider, told = ran(digits(seeds=(0, 1, 2, 3, 4)), tmp_path)
    assert len(told) == 20 - 6
    assert wider.complete()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole, _ = ran(digits(seeds=(0, 1, 2, 3, 4)), tmp_path / "whole")
    for arm in whole.arms:
        one, other = (r.collection(arm) for r in (whole, wider))
        assert [r.sha256 for r in one.records] == [r.sha256 for r in other.records]
    narrow, told = ran(digits(sampler=("heun",), steps=(12,), seeds=(0, 1, 2, 3)), tmp_path)
    assert told == []
    assert len(narrow.collection(narrow.arms[0]).records) == 4
    assert Runner(digits(seeds=(0, 1, 2, 3, 4)), tmp_path).complete()


NAMED = {"sampler": ("mine",), "named": {"mine": {"digits": "euler"}}}


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ({}, {"seeds": (5, 6, 7)}, "its digits sample 0 is of 'a 3', seed 0, not of 'a 3', seed 5: give another -o"),
        ({}, {"prompts": {"digits": ("a 3", "a 4")}}, "its digits sample 1 is of 'a 7', seed 1, not of 'a 4', seed 1"),
        (
            NAMED,
            NAMED | {"named": {"mine": {"digits": "heun"}}},
            "the sampler of digits/mine-.* is 'euler' there, not 'h",
        ),
    ],
)
def test_a_folder_whose_samples_were_made_in_another_way_is_left_alone(tmp_path, first, then, said):
    Runner(digits(**first), tmp_path)
    before = (tmp_path / "study.json").read_text()
    with pytest.raises(UsageError, match="holds another study: .*" + said):
        Runner(digits(**then), tmp_path)
    assert (tmp_path / "study.json").read_text() == before


def test_a_folder_of_another_layout_is_left_alone(tmp_path):
    (tmp_path / "study.json").write_text('{"study": {}, "weights": {}}')
    with pytest.raises(UsageError, match="holds a study that another version of multigen made: give another -o"):
        Runner(digits(), tmp_path)


def test_weights_that_have_changed_are_not_mixed(tmp_path, monkeypatch):
    import multigen_digits

    ran(digits(seeds=(0, 1)), tmp_path)
    monkeypatch.setattr(multigen_digits.Gaussians, "fingerprint", "others")
    with pytest.raises(UsageError, match=r"are no longer those that .* was begun with: give another -o"):
        Runner(digits(seeds=(0, 1)), tmp_path)


class Mean:
    name, fingerprint, modality = "mean", "1", "digits"

    def __call__(self, sample, /):
        return sample["image"].mean(0)


def test_a_finished_study_is_measured_in_another_way_without_making_a_sample_again(tmp_path, real, monkeypatch):
    few = digits(steps=(3,), metrics=("vendi",))
    runner, _ = ran(few, tmp_path / "study")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "study" / "samples").rglob("*.png")}
    made = [runner.collection(arm) for arm in runner.arms]
    monkeypatch.chdir(tmp_path)
    more = replace(few, metrics=(), against={"digits": "real"})
    again, told = ran(more, tmp_path / "study")
    assert told == []
    (first, _) = find_results(again)
    assert {r.metric: r.interval is not None for r in first}["kad"]
    other_path, _ = ran(replace(more, against={"digits": real}), tmp_path / "study")
    assert len(other_path.real("digits")) == 120
    assert len(list((tmp_path / "study" / "real" / "digits" / "against").iterdir())) == 1
    monkeypatch.setattr(extractors, "find", lambda name, modality, known: Mean())
    seen, told = ran(replace(more, extractor={"digits": "mean"}), tmp_path / "study")
    assert len(told) == 48
    assert seen.extractor("digits").name == "mean"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for arm, old in zip(seen.arms, made, strict=True):
        new = seen.collection(arm)
        assert new.features("mean").shape == (24, 8)
        assert [r.made for r in new.records] == [r.made for r in old.records]
        assert all(r.from_file for r in new.records)
    _, told = ran(replace(more, extractor={"digits": "mean"}), tmp_path / "study")
    assert told == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompts": {"digits": ("a 3", "a 7 AND")}}, "the prompt 'a 7 AND' has an empty part"),
        ({"against": {"digits": "none"}}, "none is no folder: give one with digits files"),
        ({"training": {"digits": str(EXAMPLE)}}, "holds no digits: give a folder with .png files"),
        ({"data": {"digits": "none"}}, "--data needs the recipe of a model: 'digits' has none"),
        ({"sampler": ("euler", "eulr")}, "digits sampler=eulr steps=3 cannot run: unknown sampler 'eulr'"),
        ({"schedule": ("karras:rho=x",)}, "cannot run: schedule karras:rho=x"),
        ({"guidance": ("1000",)}, "cannot run: --guidance 1000"),
        ({"model": {"digits": ("audio-small",)}}, "cannot run: the model 'audio-small' makes audio"),
    ],
)
def test_an_arm_that_cannot_run_is_refused_before_anything_starts(tmp_path, change, said):
    with pytest.raises(UsageError, match=said):
        Runner(digits(**change), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_levels_have_names_and_their_own_meaning_in_each_modality():
    named = {"strong": {"digits": "cfg:scale=5 within 0.3:4 beside digits"}}
    study = digits(guidance=("strong", "cfg:scale=2 within 1:2"), named=named)
    strong, plain = (Arm("digits", guidance=level).request(study, "a 3") for level in study.guidance)
    assert (strong.guidance, strong.guidance_interval, strong.guide_model) == ("cfg:scale=5", "0.3:4", "digits")
    assert (plain.guidance, plain.guidance_interval, plain.guide_model) == ("cfg:scale=2", "1:2", "")
    assert Arm("audio", guidance="strong").request(study, "rain").guidance == "strong"
    with pytest.raises(UsageError, match="not of the form NAME"):
        Arm("digits", guidance="cfg:scale=2 and more").request(study, "a 3")


def cost(study, folder):
    """Network evaluations of a sample of each arm, by its guidance."""
    runner, _ = ran(study, folder)
    return {arm.guidance: runner.collection(arm).records[0].made["evaluations"] for arm in runner.arms}


def test_every_row_that_a_network_is_given_is_counted(tmp_path):
    within = "cfg:scale=2 within 0.3:4"
    guidance = ("cfg:scale=1", "cfg:scale=2", within, "cfg:scale=2 beside digits")
    study = digits(guidance=guidance, steps=(12,), sampler=("euler",), seeds=(0,))
    found = cost(study, tmp_path / "one")
    assert (found["cfg:scale=1"], found["cfg:scale=2"], found["cfg:scale=2 beside digits"]) == (12, 24, 24)
    levels = Runner(study, tmp_path / "one").pipeline(Arm("digits", "", "euler", "", 12, within)).schedule(12)
    assert found[within] == 12 + sum(0.3 < sigma <= 4 for sigma in levels)
    composed = replace(study, prompts={"digits": ("a 3 AND a 7",)}, guidance=("cfg:scale=1",))
    assert cost(composed, tmp_path / "two") == {"cfg:scale=1": 36}


def test_a_second_pass_is_counted():
    import multigen_digits

    class Finer(multigen_digits.Digits):
        coarse = staticmethod(lambda options: options)
        between = join = staticmethod(lambda sample, *others: sample)

    job = prepare(Request("digits", "a 3", steps=20))
    twice = dataclasses.replace(job, fine=job.options, pipeline=dataclasses.replace(job.pipeline, modality=Finer()))
    (_, once), (_, both) = making.make(job, 0), making.make(twice, 0)
    assert (once["evaluations"], both["evaluations"], both["steps"]) == (20, 20 + 0.35 * 20, 20)


def test_what_a_process_does_once_is_no_time_of_its_first_sample(tmp_path, monkeypatch):
    import multigen_digits

    decode, calls, clock = multigen_digits.Gaussians.decode, [], [0.0]
    monkeypatch.setattr(making, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def slow_at_first(model, x, options):
        calls.append(x)
        clock[0] += 1 if len(calls) > 1 else 100
        return decode(model, x, options)

    monkeypatch.setattr(multigen_digits.Gaussians, "decode", slow_at_first)
    runner, _ = ran(digits(seeds=(0, 1), steps=(3,)), tmp_path)
    assert len(calls) == 1 + 4
    assert [r.made["seconds"] for arm in runner.arms for r in runner.collection(arm).records] == [1.0] * 4


def test_some_metrics_are_enough(tmp_path):
    runner = Runner(digits(metrics=("kad", "vendi")), tmp_path)
    assert [metric.name for metric in runner.metrics("digits")] == ["kad", "vendi"]
    with pytest.raises(UsageError, match="digits: unknown metric 'kid'"):
        Runner(digits(metrics=("kid",)), tmp_path / "other")


class Halves:
    """A recipe in little: a folder of digits, every second one for training."""

    def __init__(self, data, cache, /, *, seed, warm_start):
        self._files, self.cache = sorted(data.glob("*.png")), cache

    def real(self, split, /, *, most):
        import multigen_digits

        for path in self._files[split == "train" :: 2]:
            yield path.name, multigen_digits.Digits().read(path), "a 3", path.name


def test_a_dataset_gives_both_parts(tmp_path, real, monkeypatch):
    find = registry.Registry.__getitem__
    monkeypatch.setattr(
        registry.Registry, "__getitem__", lambda group, name: Halves if group.noun == "recipe" else find(group, name)
    )
    contains = registry.Registry.__contains__
    monkeypatch.setattr(
        registry.Registry, "__contains__", lambda group, name: group.noun == "recipe" or contains(group, name)
    )
    study = digits(steps=(12,), sampler=("euler",), data={"digits": real}, metrics=("kad", "nearest-training"))
    runner, _ = ran(study, tmp_path / "study")
    assert (len(runner.real("digits")), len(runner.training("digits"))) == (60, 60)
    (found,) = find_results(runner)
    assert all(result.interval is not None for result in found)
    with pytest.raises(UsageError, match="has both parts"):
        digits(data={"digits": real}, against={"digits": real})


def find_results(runner):
    return find(runner, repeats=50).results.values()


def test_faulty_samples_leave_pairs_alone(tmp_path, real):
    """A contrast is of the samples that both arms have, by the distances that were found for each whole arm."""
    asked = digits(steps=(2, 12), sampler=("euler",), against={"digits": real}, metrics=("kad", "1-nna"))
    runner, _ = ran(asked, tmp_path / "study")
    few, many = runner.arms
    path = runner.path(few, 5)
    Record("00005", "a 7", "a 7", "", faults=("empty",)).write(path)
    findings = find(runner, repeats=50)
    told = {c.metric: c.difference.value for c in findings.contrasts}
    kept = Collection([r for r in runner.collection(many).records if r.name != "00005"], ())
    evidence = [Evidence(made, runner.real("digits")) for made in (runner.collection(few), kept)]
    for metric in runner.metrics("digits"):
        one, other = (measure(e, [metric], runner.extractor("digits"), repeats=20)[0].interval.value for e in evidence)
        if metric.best is not None:
            one, other = abs(one - metric.best), abs(other - metric.best)
        assert told[metric.name] == pytest.approx(other - one, abs=1e-9), metric.name


# --- differences of two arms ------------------------------------------------------------------------------------------

FIRST, SECOND = (Arm("toys", sampler=name) for name in ("first", "second"))


def toys(values, *, faulty=(), features=None):
    """Samples with a value each; each is its own prompt."""
    found = []
    for i, value in enumerate(values):
        seen = {} if features is None else {"toy": features[i]}
        found.append(
            Record(f"{i}", f"p{i}", f"p{i}", f"{i}", {"value": value}, seen, ("broken",) if i in faulty else ())
        )
    return Collection.of(found)


class Toy:
    name, fingerprint = "toy", "1"


def column(metric, first, second, real=None):
    evidence = {arm: Evidence(made, real) for arm, made in ((FIRST, first), (SECOND, second))}
    return Column(metric, evidence, Toy(), None, 100)


def value_metric(**told):
    return PerSample(name="value", about="", source="", value=lambda sample, prompt: 0.0, **told)


def normal(n, d=4, *, seed=0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_the_better_arm_is_better_on_the_samples_of_both():
    """The second arm is better on every shared sample, and has the only one that is very bad in both."""
    one = [float(i) for i in range(20)]
    made = column(
        value_metric(higher_is_better=True), toys([*one, -500.0], faulty=[20]), toys([*(v + 1 for v in one), -500.0])
    )
    assert made.result(FIRST).interval.value > made.result(SECOND).interval.value
    found = made.difference(FIRST, SECOND)
    assert (found.interval.value, found.p < 0.001, made.better(found)) == (pytest.approx(1), True, True)


def test_where_a_value_is_best_the_distances_from_it_are_compared():
    metric = value_metric(higher_is_better=None, best=1.0)
    noise = normal(40, 1)[:, 0]
    below, above = (torch.full((40,), place) + 0.05 * noise for place in (0.2, 1.3))
    made = column(metric, toys(below.tolist()), toys(above.tolist()))
    found = made.difference(FIRST, SECOND)
    assert found.interval.value == pytest.approx(0.3 - 0.8, abs=0.05)
    assert made.better(found)
    assert found.p < 1e-6
    rows = (place + 0.3 * (row - row.mean()) for place, row in ((0.7, noise), (1.3, normal(40, 1, seed=1)[:, 0])))
    alike = column(metric, *(toys(row.tolist()) for row in rows))
    assert alike.difference(FIRST, SECOND).p > 0.9  # 0.6 apart, and as far from 1


def test_sets_are_judged_by_their_distance_from_the_best_value():
    """Copies of real samples have a low 1-NNA, samples of the same distribution one near 0.5."""
    rows = normal(60)
    metric = next(m for m in GENERAL if m.name == "1-nna")
    copies, fresh = (toys([0.0] * 60, features=x) for x in (rows + 1e-3, normal(60, seed=1)))
    made = column(metric, copies, fresh, toys([0.0] * 60, features=rows))
    found = made.difference(FIRST, SECOND)
    assert made.result(FIRST).interval.value < 0.1 < 0.35 < made.result(SECOND).interval.value
    assert (made.better(found), found.interval.value < -0.3, found.p < 1e-4) == (True, True, True)


def test_the_cheapest_arm_that_is_not_worse_is_told_by_paired_differences():
    """All intervals overlap; the cheapest arm is worse on every sample by a little, the next one is not."""
    spread = 10 * normal(30, 1)[:, 0]
    arms = [Arm("toys", steps=steps) for steps in (1, 2, 3)]
    values = spread - 0.5, spread + torch.tensor([0.1, -0.12]).repeat(15), spread
    evidence = {arm: Evidence(toys(row.tolist())) for arm, row in zip(arms, values, strict=True)}
    costs = {arm: Cost(float(arm.steps), 1.0, 30, 0) for arm in arms}
    (found,) = findings_module._leader(
        "toys", Column(value_metric(higher_is_better=True), evidence, None, None, 100), costs
    )
    assert (found.best.steps, found.cheapest.steps) == (3, 2)


def test_what_so_few_prompts_cannot_show_is_said():
    contrast = Contrast("toys", "value", "sampler", "a", "b", {}, Interval(1, 0.5, 2), 0.03, 1.0, True, least=2**-4)
    assert undecidable([contrast]) == (
        "With so few prompts and so many comparisons no difference could be significant by value (p at least 0.062)."
    )
    assert "p at least 1)" in undecidable([contrast] * 20)
    assert undecidable([dataclasses.replace(contrast, least=2**-15)] * 133) == ""
    assert undecidable([]) == ""


def test_levels_that_are_as_good_share_their_place():
    found = Agreement("kad", "sampler", 0.5, 0.1, {"audio": ["a", "b", "c"]}, {"audio": [1.5, 1.5, 3.0]})
    assert found.written("audio") == "a = b > c"
    assert dataclasses.replace(found, ranks={"audio": [1.0, 2.5, 2.5]}).written("audio") == "a > b = c"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modalities": ("smell",)}, "unknown modality 'smell'"),
        ({"prompts": {}}, "there are no prompts for digits"),
        ({"seeds": ()}, "needs a modality and a seed"),
        ({"steps": (4, 8, 4)}, "--steps names 4 twice"),
        ({"seeds": (0, 1)}, "3 prompts of digits for 2 seeds, each of which takes one prompt: give more --seeds"),
        ({"named": {"strnog": {"digits": "3"}}, "guidance": ("strong",)}, "in .named. 'strnog': .* 'strong'?"),
        ({"against": {"3d": "x"}}, "--against is about '3d', which is not in the study"),
        ({"options": {"audio": {"duration": 2.0}}}, "--options is about 'audio', which is not in the study"),
        ({"model": {"audio": ("audio-small",)}}, "--models is about 'audio', which is not in the study"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(change, said):
    with pytest.raises(UsageError, match=said):
        digits(**{"prompts": {"digits": ("a 3", "a 7", "an 8")}, **change})


def test_findings_tell_few_steps_from_many(tmp_path, real):
    asked = digits(
        steps=(1, 16),
        sampler=("euler",),
        seeds=tuple(range(40)),
        prompts={"digits": tuple(f"a {digit}" for digit in range(10))},
        against={"digits": real},
    )
    runner, _ = ran(asked, tmp_path / "study")
    findings = find(runner, repeats=200)
    few, many = ({r.metric: r for r in findings.results[arm]} for arm in findings.arms)
    assert few["kad"].interval.value > many["kad"].interval.value
    assert few["vendi"].interval.value < many["vendi"].interval.value
    assert many["kad"].extractor.startswith("state-of-digits")
    told = {c.metric: c for c in findings.contrasts}
    assert told["kad"].better
    assert told["kad"].adjusted < 0.05
    assert told["kad"].difference.value == pytest.approx(many["kad"].interval.value - few["kad"].interval.value)
    costs = [findings.costs[arm].evaluations for arm in findings.arms]
    assert costs == [1, 16]
    text = markdown(runner, findings)
    assert "16 against 1" in text
    assert "better" in text


def test_identical_arms_do_not_differ(tmp_path, real):
    runner, _ = ran(digits(steps=(12,), sampler=("euler", "ddim"), against={"digits": real}), tmp_path / "study")
    findings = find(runner, repeats=200)
    assert findings.contrasts
    assert all(c.difference.value == 0 and c.adjusted == 1 for c in findings.contrasts)


def test_tables_are_tidy_and_equal_in_both_formats(tmp_path, real):
    runner, _ = ran(digits(seeds=tuple(range(12)), against={"digits": real}), tmp_path / "study")
    findings = find(runner, repeats=100)
    for name, rows in (
        ("results", results(findings)),
        ("contrasts", contrasts(findings)),
        ("samples", samples(runner)),
    ):
        (tmp_path / f"{name}.csv").write_bytes(to_csv(rows))
        (tmp_path / f"{name}.parquet").write_bytes(to_parquet(rows))
        table = parquet.read_table(tmp_path / f"{name}.parquet").to_pylist()
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            written = list(csv.DictReader(file))
        assert len(table) == len(written) == len(rows) > 0
        assert list(written[0]) == list(table[0])
        for key in table[0]:
            assert [row[key] for row in written] == ["" if row[key] is None else str(row[key]) for row in table], key
    kad = [row for row in results(findings) if row["metric"] == "kad"]
    assert len(kad) == 4
    assert all(row["low"] <= row["value"] <= row["high"] for row in kad)


def fail_at(monkeypatch, seed):
    whole = making.make

    def fail(job, at, /):
        if at == seed:
            raise GenerationError(f"seed {seed} gave values that are not finite")
        return whole(job, at)

    monkeypatch.setattr(making, "make", fail)


def test_a_sample_that_fails_is_kept_with_its_reason(tmp_path, monkeypatch):
    fail_at(monkeypatch, 2)
    runner, _ = ran(digits(seeds=(0, 1, 2), steps=(3,), sampler=("euler",)), tmp_path)
    assert runner.complete()
    found = runner.collection(runner.arms[0])
    assert [r.name for r in found.records] == ["00000", "00001"]
    assert "not finite" in found.faulty[0].faults[0]
    assert [row["faults"] for row in samples(runner)].count("seed 2 gave values that are not finite") == 1


def test_the_command_runs_a_study_and_goes_on(tmp_path, real, capsys):
    (tmp_path / "prompts.txt").write_text("a 3\na 7\n")
    words = ["compare", "--modalities", "digits", "--samplers", "euler,dpmpp_2m", "--steps", "2,6", "--seeds", "0-11",
             "--prompts", str(tmp_path / "prompts.txt"), "--against", real, "--repeats", "50", "--oracle",
             "-o", str(tmp_path / "study"), "-q"]  # fmt: skip
    assert main(words) == 0
    written = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    assert {
        "results.csv",
        "results.parquet",
        "samples.csv",
        "contrasts.csv",
        "report.md",
        "protocol.json",
        "oracle.csv",
        "figures",
    } <= written
    assert {path.suffix for path in (tmp_path / "study" / "figures").iterdir()} == {".svg"}
    assert (tmp_path / "study" / "figures" / "exact-digits.svg").is_file()
    protocol = json.loads((tmp_path / "study" / "protocol.json").read_text())
    assert {arm["weights"] for arm in protocol["arms"].values()} == {"digits"}
    assert protocol["seeds"] == "0-11"
    about = protocol["modalities"]["digits"]
    assert about["prompts"] == {"different": 2, "sha256": sha(("a 3", "a 7"))}
    assert about["real"]["samples"] == 120
    assert protocol["threads"] == [torch.get_num_threads()]
    assert protocol["peak_memory_mib"]["process"] > 10
    assert len(list((tmp_path / "study" / "samples").rglob("*.png"))) == 48
    record = next((tmp_path / "study" / "records").rglob("*.safetensors"))
    record.unlink()
    assert main(words) == 0
    assert Record.read(record).prompt in ("a 3", "a 7")


@pytest.fixture
def installed(tmp_path):
    """Where the example's distribution and this package are found by other processes."""
    about = tmp_path / "site" / "multigen_digits-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: multigen-digits\nVersion: 0.1\n")
    groups = ("modalities", "Digits"), ("models", "Gaussians")
    lines = [f"[multigen.{group}]\ndigits = multigen_digits:{name}" for group, name in groups]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return os.pathsep.join(map(str, (about.parent, EXAMPLE)))


def test_two_processes_run_a_study_together(tmp_path, installed):
    (tmp_path / "prompts.txt").write_text("a 3\na 7\n")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "multigen"]
    words = ["compare", "--modalities", "digits", "--samplers", "euler,heun", "--steps", "2", "--seeds", "0-11",
             "--prompts", "prompts.txt", "--repeats", "20", "-o", "study", "-q"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": installed, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if line.startswith("study")]
    assert len(printed) == len(set(printed))  # by one of them
    assert "study/report.html" in printed
    assert len(list((tmp_path / "study" / "records").rglob("*.safetensors"))) == 24
    ran(digits(prompts={"digits": ("a 3", "a 7")}, steps=(2,), seeds=tuple(range(12))), tmp_path / "alone")
    together = sorted((tmp_path / "study" / "records").rglob("*.safetensors"))
    alone = sorted((tmp_path / "alone" / "records").rglob("*.safetensors"))
    assert [Record.read(path).sha256 for path in together] == [Record.read(path).sha256 for path in alone]


def test_a_file_says_what_flags_do(tmp_path, capsys):
    (tmp_path / "prompts.txt").write_text("a 3\n")
    (tmp_path / "study.toml").write_text(
        'modalities = ["digits"]\nsamplers = ["euler"]\nsteps = [2]\nseeds = "0-1"\n'
        f'prompts = "{tmp_path}/prompts.txt"\n'
    )
    assert main(["compare", str(tmp_path / "study.toml"), "-o", str(tmp_path / "out"), "-q"]) == 0
    assert "kad" in (tmp_path / "out" / "results.csv").read_text()
    (tmp_path / "bad.toml").write_text('sampler = "euler"\n')
    assert main(["compare", str(tmp_path / "bad.toml"), "-o", str(tmp_path / "x")]) == 2
    assert "did you mean 'samplers'?" in capsys.readouterr().err


def test_what_a_file_says_of_modalities_that_are_left_out_is_left_out():
    written = read_toml(EXAMPLE.parent.parent / "docs" / "study.toml")
    typed = compare_verb._of_modalities({**written, "modalities": "3d"}, written["modalities"])
    assert (typed["options"], typed["prompts"]) == ([], {"3d": "docs/study/3d.txt"})
    assert typed["named"] == {"own": {"3d": "cfg:scale=3"}}
    assert typed["samplers"] == written["samplers"]


def test_seeds_are_written_as_they_are_typed():
    assert ranges((0, 1, 2, 3, 100)) == "0-3, 100"
    assert ranges((7,)) == "7"


@pytest.mark.parametrize(("name", "arms_of_each"), [("study", 60), ("study-guidance", 6)])
def test_the_first_study_can_be_asked(name, arms_of_each, monkeypatch):
    monkeypatch.chdir(EXAMPLE.parent.parent)
    asked = compare_verb._study(read_toml(Path("docs") / f"{name}.toml"))
    assert asked.modalities == ("audio", "video", "3d")
    assert len(arms(asked)) == 3 * arms_of_each
    for arm in arms(asked):
        request = arm.request(asked, asked.item(arm.modality, 0)[0])
        request.validate()
        registry.samplers.configured(request.sampler)
        registry.schedules.configured(request.schedule)
        registry.guidances.configured(request.guidance)
    for modality in asked.modalities:
        assert len(asked.prompts[modality]) == 16
        known = {metric.name for metric in (*GENERAL, *registry.modalities[modality]().metrics())}
        assert set(asked.metrics) <= known


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "add -o study/"),
        (["-o", "x"], "add --modalities"),
        (["-o", "x", "--modalities", "digits"], "there are no prompts for digits"),
        (["-o", "x", "--modalities", "digits", "--prompts", "none.txt"], "none.txt cannot be read"),
        (["-o", "x", "--modalities", "digits", "--steps", "few"], "--steps 'few' is no number of steps"),
        (["-o", "x", "--modalities", "digits", "--models", "small"], "--models 'small' is not of the form"),
        (["-o", "x", "--modalities", "digits", "--options", "digits.size=3"], "unknown option of digits 'size'"),
        (
            ["-o", "x", "--modalities", "digits", "--repeats", "0"],
            "--repeats 0 is not possible: a whole number from 10",
        ),
        (["none.toml", "-o", "x"], "none.toml cannot be read as TOML"),
    ],
)
def test_bad_input_is_one_sentence(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not (tmp_path / "x").exists()


def test_on_an_oracle_errors_fall_with_steps_and_order(tmp_path):
    runner, _ = ran(
        digits(sampler=("euler", "heun", "dpmpp_2m", "dpmpp_2m_sde"), steps=(8, 64), schedule=("karras",), seeds=(0,)),
        tmp_path,
    )
    errors = {(e.sampler, e.steps): e.error for e in oracle(runner, seeds=range(4), fine=400)}
    assert len(errors) == 8
    for sampler in ("euler", "heun", "dpmpp_2m", "dpmpp_2m_sde"):
        assert errors[sampler, 64].value < 0.7 * errors[sampler, 8].value, sampler
    assert errors["heun", 64].value < 0.1 * errors["euler", 64].value
    assert errors["dpmpp_2m", 64].value < 0.2 * errors["euler", 64].value
    assert errors["euler", 8].low <= errors["euler", 8].value <= errors["euler", 8].high


def test_oracle_arms_do_not_depend_on_guidance_and_have_the_rank_of_the_modality(tmp_path):
    runner, _ = ran(digits(guidance=("1", "3"), steps=(3,), sampler=("euler",), seeds=(0,)), tmp_path)
    (found,) = oracle(runner, seeds=(0, 1), fine=50)
    assert (found.modality, found.sampler, found.steps) == ("digits", "euler", 3)
    assert mixture((3, 4, 5, 6)).denoise(torch.zeros(1, 3, 4, 5, 6), 1.0).shape == (1, 3, 4, 5, 6)
    data = mixture((4, 8, 8)).sample(range(400))
    assert float(data.var()) == pytest.approx(1, abs=0.15)


def test_bits_are_exact_on_an_oracle_but_for_the_estimated_divergence(tmp_path):
    runner = Runner(digits(steps=(3,), sampler=("euler",), seeds=(0, 1, 2)), tmp_path)
    estimated, exact = likelihoods(runner, seeds=range(3))
    assert (estimated.known, exact.known) == (False, True)
    assert exact.value == estimated.value
    assert exact.error.value < 0.02
    assert exact.error.value < estimated.error.value
