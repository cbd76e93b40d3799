"""Training: exact resumption after a kill, the averages, the schedule, the loss, and that it learns."""

import dataclasses
import json
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from killing import killed
from safetensors.torch import load_file
from torch import nn
from toy_recipe import ADAMW, SETTINGS, ToyRecipe

from multigen import registry
from multigen.denoise import edm, eps, flow, local, score, v, x0
from multigen.errors import UsageError
from multigen.noise import white
from multigen.objective import LEVELS, noise_levels, velocity_loss
from multigen.optim import Muon, orthogonalised
from multigen.training import Average, learning_rate, objective, prepare_recipe, train


def finish(folder, settings=SETTINGS):
    return list(train(ToyRecipe(), settings, folder))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, finish(folder)


def test_a_killed_run_goes_on_exactly(uninterrupted, tmp_path):
    killed("toy_recipe.py", tmp_path, at=480)
    rest = finish(tmp_path)
    assert 400 < rest[0].samples < 960
    whole, _ = uninterrupted
    for name in ("checkpoint.safetensors", "model/weights.safetensors", "model-ema-0.1/weights.safetensors"):
        expected, resumed = load_file(whole / name), load_file(tmp_path / name)
        assert expected.keys() == resumed.keys()
        assert all(torch.equal(expected[key], resumed[key]) for key in expected), name


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler's own look
def test_a_compiled_network_trains_alike(uninterrupted, graphs, tmp_path):
    steps = train(ToyRecipe(), dataclasses.replace(SETTINGS, compile=True), tmp_path)
    before = next(len(graphs) for step in steps if step.samples == 304)
    *_, last = steps
    assert before > 0
    assert len(graphs) == before  # evaluations run the network as it is
    whole, rows = uninterrupted
    assert last.held_out == rows[-1].held_out
    expected, made = (load_file(folder / "model/weights.safetensors") for folder in (whole, tmp_path))
    assert all(torch.equal(expected[key], made[key]) for key in expected)


def test_it_learns(uninterrupted):
    _, steps = uninterrupted
    evaluations = [step for step in steps if step.held_out is not None]
    assert [step.samples for step in evaluations] == [320, 640, 960]
    assert set(evaluations[0].held_out) == {*map(str, LEVELS), "mean"}
    assert evaluations[-1].held_out["mean"] < 0.5 * evaluations[0].held_out["mean"]


def test_the_log_has_a_line_for_every_step(uninterrupted):
    folder, steps = uninterrupted
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in rows] == [step.samples for step in steps]
    assert rows[-1]["held_out"] == steps[-1].held_out
    about = json.loads((folder / "model/about.json").read_text())
    assert (about["samples"], about["ema"]) == (960, 0.05)


def test_a_run_with_other_settings_is_refused(uninterrupted):
    folder, _ = uninterrupted
    with pytest.raises(UsageError, match="other settings"):
        finish(folder, dataclasses.replace(SETTINGS, lr=1e-3))


def test_two_runs_never_share_a_folder(tmp_path):
    first = train(ToyRecipe(), SETTINGS, tmp_path)
    next(first)
    with pytest.raises(UsageError, match=r"another run trains in .*: end it first, or choose another -o"):
        finish(tmp_path)
    # The first goes on, and leaves the folder to whoever is next.
    assert next(first).samples == 32
    first.close()
    assert finish(tmp_path)[-1].samples == SETTINGS.samples


def test_a_dataset_is_prepared_by_one_process_at_a_time(tmp_path, monkeypatch, capfd):
    entered, go_on, prepared = threading.Event(), threading.Event(), []

    def factory(data, cache, /, *, seed, warm_start):
        entered.set()
        assert go_on.wait(60)
        prepared.append((cache / "data").exists())
        (cache / "data").touch()

    monkeypatch.setattr(registry, "recipes", {"toy": factory})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(prepare_recipe, "toy", tmp_path, tmp_path / "cache")
        assert entered.wait(60)
        second = pool.submit(prepare_recipe, "toy", tmp_path, tmp_path / "cache")
        told = ""
        while not told and not second.done():
            told = capfd.readouterr().err
        assert "waiting for another process" in told
        assert prepared == []
        go_on.set()
        first.result(60), second.result(60)
    assert prepared == [False, True]


def test_a_run_can_be_made_longer(uninterrupted, tmp_path):
    short = finish(tmp_path, dataclasses.replace(SETTINGS, samples=160, decay=0.0))
    longer = finish(tmp_path, dataclasses.replace(SETTINGS, samples=320, decay=0.0))
    assert (short[-1].samples, longer[0].samples, longer[-1].samples) == (160, 176, 320)


def test_batches_can_grow_on_the_way(tmp_path):
    finish(tmp_path, dataclasses.replace(SETTINGS, samples=160, decay=0.0))
    rest = finish(tmp_path, dataclasses.replace(SETTINGS, samples=320, decay=0.0, batch=32))
    assert [step.samples for step in rest] == [192, 224, 256, 288, 320]


def test_the_learning_rate_warms_up_stays_and_falls():
    settings = dataclasses.replace(SETTINGS, samples=1000, warmup=100, decay=0.2)
    assert learning_rate(50, settings) == pytest.approx(0.5)
    assert learning_rate(100, settings) == learning_rate(800, settings) == 1
    assert learning_rate(900, settings) == pytest.approx(1 - math.sqrt(0.5))
    assert learning_rate(1000, settings) == 0


@pytest.mark.parametrize("length", [0.05, 0.1, 0.2])
def test_an_average_has_its_relative_length(length):
    """Weights that equal the step number are averaged to the mean of the profile, and its deviation is the length."""
    line = nn.Linear(1, 1, bias=False)
    average = Average(line, length)
    square = Average(line, length)
    steps = 4000
    for step in range(1, steps + 1):
        nn.init.constant_(line.weight, step / steps)
        average.update(line, step)
        nn.init.constant_(line.weight, (step / steps) ** 2)
        square.update(line, step)
    mean, second = float(average.weights["weight"]), float(square.weights["weight"])
    assert math.sqrt(second - mean**2) == pytest.approx(length, rel=0.02)


@pytest.mark.parametrize("parameterization", [eps, v, x0, edm(0.5), flow, score, local(0.1)])
def test_the_loss_is_that_of_the_velocity_for_every_parameterization(parameterization):
    generator = torch.Generator().manual_seed(0)
    clean, unit, guess = torch.randn(3, 5, 4, 3, generator=generator, dtype=torch.float64).unbind(0)
    sigma = torch.tensor([0.05, 0.3, 1.0, 4.0, 30.0], dtype=torch.float64)
    x = clean + sigma.view(-1, 1, 1) * unit
    denoised = clean + 0.1 * guess
    prediction = parameterization.from_x0(denoised, x, sigma)
    velocity = (x - denoised) / sigma.view(-1, 1, 1) - denoised
    expected = (velocity - (unit - clean)).square().flatten(1).mean(1)
    torch.testing.assert_close(velocity_loss(prediction, clean, x, sigma, parameterization), expected)


def test_noise_levels_are_logit_normal_in_time():
    z = torch.linspace(-2, 2, 9)
    t = noise_levels(z, mean=0.8, sd=0.9)
    t = t / (1 + t)
    torch.testing.assert_close(torch.logit(t), 0.8 + 0.9 * z.double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_muon_steps_are_nearly_orthogonal(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert values.min() > 0.5
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    overlap = torch.linalg.svdvals(orthogonalised(matrix) @ (left @ right).T)[: min(shape)]
    assert overlap.min() > 0.5


def test_muon_minimises():
    target = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    kernel = nn.Parameter(torch.zeros_like(target))
    muon = Muon([kernel], lr=0.02, weight_decay=0.0)
    for _ in range(300):
        muon.zero_grad()
        (kernel - target).square().sum().backward()
        muon.step()
    assert (kernel - target).square().mean() < 0.05 * target.square().mean()


def test_two_processes_train_the_same_model_as_one(tmp_path):
    """Each takes its share of every batch; the mean of their gradients differs by rounding alone."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert list(train(ToyRecipe(), ADAMW, one))[-1].samples == 960
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(Path(__file__).parent / "toy_recipe.py"), str(two), "adamw"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *script], check=True, capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.split().count("960") == 2
    for name in ("model", "model-ema-0.1"):
        expected, shared = (load_file(folder / name / "weights.safetensors") for folder in (one, two))
        for key, weights in expected.items():
            torch.testing.assert_close(shared[key], weights, rtol=1e-4, atol=1e-5)


def test_a_recipe_may_pair_samples_with_their_noise(tmp_path):
    """`couple` sees the noise that is added, and its result is what is denoised."""
    seen = []

    class Coupled(ToyRecipe):
        def couple(self, x0, unit, /):
            seen.append(unit)
            return x0.flip(-1)

    class Flipped(ToyRecipe):
        def collate(self, items):
            x0, cond = super().collate(items)
            return x0.flip(-1), cond

    settings = dataclasses.replace(SETTINGS, samples=32, batch=16, evaluate_every=32)
    coupled = list(train(Coupled(), settings, tmp_path / "coupled"))
    flipped = list(train(Flipped(), settings, tmp_path / "flipped"))
    assert [step.loss for step in coupled] == [step.loss for step in flipped]
    assert coupled[-1].held_out == flipped[-1].held_out
    assert torch.equal(seen[0], white(range(16), (2,)))


class Reconstruction(ToyRecipe):
    """An autoencoder's recipe in little: no diffusion, noise from the seeds, an error of its own."""

    parameterization = None

    def loss(self, network, x0, cond, /, *, seeds):
        noisy = x0 + 0.1 * white(seeds, x0.shape[1:])
        return (network(noisy, torch.zeros(len(x0)), **cond) - x0).square().mean(1)

    def errors(self, network, x0, cond, /, *, seeds):
        error = (network(x0, torch.zeros(len(x0)), **cond) - x0).square().mean(1)
        return {"mean": error, "rms": error.sqrt()}


def test_a_recipe_can_bring_its_own_objective(tmp_path):
    steps = list(train(Reconstruction(), SETTINGS, tmp_path))
    evaluations = [step.held_out for step in steps if step.held_out is not None]
    assert [set(errors) for errors in evaluations] == [{"mean", "rms"}] * 3
    assert evaluations[-1]["mean"] < 0.2 * evaluations[0]["mean"]


def test_a_recipe_without_an_objective_is_refused():
    with pytest.raises(TypeError, match="object has neither a parameterization nor a loss and errors"):
        objective(object(), SETTINGS)


class Correlated(ToyRecipe):
    def correlate(self, unit):
        return torch.stack([unit[:, 0], 0.8 * unit[:, 0] + 0.6 * unit[:, 1]], dim=1)


class Staggered(ToyRecipe):
    """The first part has noise as strong as sigma, the second of each sample as its seed says."""

    def levels(self, x0, seeds, /):
        return torch.stack([torch.ones(len(x0)), 0.5 + torch.tensor(seeds) % 2], dim=1).double()


def test_parts_have_noise_as_strong_as_a_recipe_says_and_networks_are_told():
    seen = []

    def network(x, noise, /, **cond):
        seen.append((x, noise))
        return torch.zeros_like(x)

    recipe = Staggered()
    made = objective(recipe, SETTINGS)
    made.loss(network, torch.zeros(4, 2), {}, seeds=range(4))
    made.errors(network, torch.zeros(4, 2), {}, seeds=range(4))
    parts, unit = torch.tensor([[1, 0.5], [1, 1.5], [1, 0.5], [1, 1.5]]), white(range(4), (2,))
    drawn = noise_levels(white(range(4), (), stream=1), mean=SETTINGS.t_mean, sd=SETTINGS.t_sd)
    fixed = [torch.full((4,), t / (1 - t), dtype=torch.float64) for t in LEVELS]
    p = recipe.parameterization
    for (x, noise), sigma in zip(seen, [drawn, *fixed], strict=True):
        level = sigma[:, None] * parts
        torch.testing.assert_close(x, (p.into(level) * level).float() * unit)
        torch.testing.assert_close(noise, p.noise(level).float())


def test_noise_is_as_a_recipe_correlates_it():
    seen = []

    def network(x, noise, /, **cond):
        seen.append(x)
        return torch.zeros_like(x)

    for recipe in (Correlated(), ToyRecipe()):
        objective(recipe, SETTINGS).loss(network, torch.zeros(4000, 2), {}, seeds=range(4000))
    correlated, plain = ((x.prod(dim=1) > 0).double().mean() for x in seen)
    assert float(correlated) == pytest.approx(0.5 + math.asin(0.8) / math.pi, abs=0.03)
    assert float(plain) == pytest.approx(0.5, abs=0.03)
