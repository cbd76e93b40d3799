"""A model on held-out items: the error that training prints, and bits/dim in closed form."""

import math

import pytest
import torch
from toy_recipe import Network, ToyRecipe

from multigen.denoise import bind
from multigen.evaluation import Collection, Evidence, measure
from multigen.evaluation.held_out import HELD_OUT, Held, item_values
from multigen.model import Defaults
from multigen.objective import LEVELS, Denoising
from multigen.options import NoOptions
from multigen.settings import Settings
from multigen.testing import Gaussian
from multigen.training import held_out

NAMES = {metric.name: metric for metric in HELD_OUT}
ERRORS = [metric for metric in HELD_OUT if metric.name != "bits/dim"]
NOBODY = Collection((), ())


class OfNetwork:
    """A model of the toy recipe's network."""

    defaults = Defaults()

    def __init__(self, network, parameterization):
        self._network, self._parameterization = network, parameterization

    def denoiser(self, cond, options, /):
        return bind(self._network, self._parameterization, cond)


def test_the_error_is_the_one_that_training_prints():
    torch.manual_seed(0)
    recipe, network = ToyRecipe(), Network().eval()
    assert isinstance(recipe, Held)
    printed = held_out(recipe, network, Settings(), device=torch.device("cpu"))
    values = item_values(recipe, OfNetwork(network, recipe.parameterization), NoOptions(), ERRORS)
    for name, key in {"held-out-error": "mean", **{f"held-out-error-{t:g}": str(t) for t in LEVELS}}.items():
        assert float(values[name].mean()) == pytest.approx(printed[key], rel=1e-5), name
        assert len(values[name]) == 64


def test_noise_that_goes_with_samples_is_the_recipes():
    class Paired(ToyRecipe):
        def couple(self, x0, unit, /):
            return x0.flip(-1)

        def correlate(self, unit, /):
            return 2 * unit

    torch.manual_seed(0)
    network = Network().eval()
    recipe = Paired()
    goal = Denoising(recipe, recipe.parameterization, t_mean=0.0, t_sd=1.0)
    items = [recipe.items("validation")[i] for i in range(64)]
    x0, cond = recipe.collate(items)
    with torch.no_grad():
        expected = goal.errors(network, x0, cond, seeds=range(64))["mean"]
    model = OfNetwork(network, recipe.parameterization)
    values = item_values(recipe, model, NoOptions(), [NAMES["held-out-error"]])
    assert torch.allclose(values["held-out-error"].float(), expected, rtol=1e-4)


class OfGaussian:
    """A perfect model of a Gaussian, whose densities are known."""

    data = Gaussian(torch.tensor([0.5, -0.2], dtype=torch.float64), torch.tensor([1.3, 0.4], dtype=torch.float64))
    defaults = Defaults(sigma_min=0.05, sigma_max=200.0)

    def denoiser(self, cond, options, /):
        return self.data.denoise

    def items(self, split, /):
        return [(self.data.mean + self.data.variance.sqrt() * torch.tensor([math.cos(i), math.sin(i)]), {})
                for i in range(20)]  # fmt: skip

    def collate(self, items, /):
        return torch.stack([x for x, _ in items]), {}


def test_bits_per_dim_are_the_density_of_a_gaussian():
    model = OfGaussian()
    values = item_values(model, model, NoOptions(), [NAMES["bits/dim"]])["bits/dim"]
    asked = values.isfinite()
    assert int(asked.sum()) == NAMES["bits/dim"].most == 12
    variance = model.data.variance + model.defaults.sigma_min**2
    x = torch.stack([x for x, _ in model.items("validation")])
    nats = ((x - model.data.mean).square() / variance + (2 * math.pi * variance).log()).sum(1) / 2
    exact = nats / (2 * math.log(2))
    assert float((values - exact)[asked].abs().max()) < 0.02


def test_a_perfect_model_misses_by_the_posterior_variance():
    model = OfGaussian()
    values = item_values(model, model, NoOptions(), [NAMES["held-out-error-0.97"]])["held-out-error-0.97"]
    assert float(values.mean()) == pytest.approx(float(model.data.variance.mean()), rel=0.7)


def test_noise_that_is_not_white_leaves_bits_undefined():
    class Correlated(OfGaussian):
        def correlate(self, unit, /):
            return unit

    model = Correlated()
    values = item_values(model, model, NoOptions(), [NAMES["bits/dim"]])
    (result,) = measure(Evidence(NOBODY, items=values), [NAMES["bits/dim"]])
    assert result.note == "not defined for this model"


def test_results_have_intervals_and_say_what_they_need():
    model = OfGaussian()
    values = item_values(model, model, NoOptions(), HELD_OUT, most=8)
    found = {r.metric: r for r in measure(Evidence(NOBODY, items=values), HELD_OUT, repeats=100)}
    assert {r.n for r in found.values()} == {8}
    assert all(r.interval.low <= r.interval.value <= r.interval.high for r in found.values())
    assert found["held-out-error-0.1"].interval.value < found["held-out-error-0.97"].interval.value
    (bare,) = measure(Evidence(NOBODY), [NAMES["bits/dim"]])
    assert bare.note == "needs the dataset of the model that is measured, --data"
