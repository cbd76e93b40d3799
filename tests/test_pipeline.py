"""The pipeline: requests, prompts with parts, guidance specs, the registry, and generation from Python."""

from dataclasses import replace

import pytest
import torch

import multigen
from multigen import registry, samplers
from multigen.errors import UsageError
from multigen.job import generate, prepare
from multigen.loaders import load
from multigen.options import make, option
from multigen.request import Request, components, span

SHORT = {"duration": 1.0}


@pytest.fixture(scope="module")
def job():
    return prepare(Request("audio", "rain", options=SHORT, steps=3))


def test_parts_of_a_prompt():
    assert components("rain on a tin roof") == [("rain on a tin roof", 1.0)]
    assert components("rain AND wind:0.5 NOT a dog") == [("rain", 1.0), ("wind", 0.5), ("a dog", -1.0)]
    assert components("an ANDROID at 12:30 o'clock")[0][0] == "an ANDROID at 12:30 o'clock"
    for bad in ("rain AND", "NOT rain", "a AND  NOT b"):
        with pytest.raises(UsageError, match="empty part"):
            components(bad)


def test_spans():
    assert span("1.0:2.5", "--mask", "1:2") == (1.0, 2.5)
    for bad in ("2:1", "1", "a:b", "1:1", "-1:2", ":", "1:2:3"):
        with pytest.raises(UsageError, match="START:END"):
            span(bad, "--mask", "1:2")


def test_a_composed_prompt_is_the_weighted_sum_of_its_parts(job):
    pipe, options = job.pipeline, job.options
    x = torch.randn(1, *pipe.model.shape(options), generator=torch.Generator().manual_seed(0))

    def denoised(text):
        return pipe.model.denoiser(pipe.model.condition([text]), options)(x, 2.0)

    with torch.no_grad():
        whole = replace(pipe, guidance=lambda wanted, _: wanted).plan(
            "rain AND wind:0.5 NOT a dog", seeds=[0], options=options
        )
        base = denoised("")
        parts = [(1.0, "rain"), (0.5, "wind"), (-1.0, "a dog")]
        expected = base + sum(weight * (denoised(text) - base) for weight, text in parts)
        torch.testing.assert_close(whole.denoise(x, 2.0), expected, rtol=1e-4, atol=1e-4)


def test_a_guide_model_takes_the_place_of_the_negative_prompt(job):
    pipe = replace(job.pipeline, guide=job.pipeline.model)
    (alone,) = replace(pipe, guidance=lambda wanted, _: wanted)("rain", seeds=[1], **SHORT)
    (guided,) = pipe("rain", seeds=[1], **SHORT)  # a guide that agrees with the model changes nothing
    torch.testing.assert_close(guided["wave"], alone["wave"], rtol=1e-3, atol=1e-3)


def test_a_bare_scale_replaces_the_models(job):
    assert job.request.guidance.startswith("cfg:scale=")
    assert prepare(Request("audio", "rain", options=SHORT, guidance="1.5")).request.guidance == "cfg:scale=1.5"


def test_what_is_left_open_is_filled_in(job):
    d = job.pipeline.model.defaults
    filled = job.request
    assert (filled.model, filled.steps, filled.sampler, filled.schedule) == ("audio-small", 3, d.sampler, d.schedule)
    assert filled.fingerprint == job.pipeline.model.fingerprint


def test_seeds_are_the_same_in_any_batch_and_order(job):
    together = job.pipeline("rain", seeds=[4, 2, 9], **SHORT)
    (alone,) = job.pipeline("rain", seeds=[9], **SHORT)
    turned = job.pipeline("rain", seeds=[9, 4], **SHORT)
    assert torch.equal(together[2]["wave"], alone["wave"])
    assert torch.equal(turned[0]["wave"], alone["wave"])
    assert not torch.equal(together[0]["wave"], together[1]["wave"])


@pytest.mark.parametrize("name", registry.samplers.names())
def test_every_sampler_runs_on_the_real_model(job, name):
    (sample,) = replace(job.pipeline, sampler=registry.samplers[name], steps=2)("rain", seeds=[0], **SHORT)
    assert sample["wave"].shape == (1, 24_000)
    assert torch.isfinite(sample["wave"]).all()


@pytest.mark.parametrize("name", registry.schedules.names())
@pytest.mark.parametrize(
    "guidance", ["cfg:scale=2", "apg:scale=3", "cfg_zero_star:scale=3", "cfg_pp:scale=0.6", "rescaled:scale=3"]
)
def test_every_schedule_and_guidance_runs_on_the_real_model(name, guidance):
    job = prepare(Request("audio", "rain", options=SHORT, steps=2, schedule=name, guidance=guidance))
    assert torch.isfinite(job.run(0)["wave"]).all()


def test_names_that_diffusers_users_know(job):
    ours = generate("audio", "rain", seed=5, steps=2, guidance="2", **SHORT)
    theirs = generate(
        "audio",
        "rain",
        num_inference_steps=2,
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(5),
        **SHORT,
    )
    assert torch.equal(ours[0]["wave"], theirs[0]["wave"])
    assert multigen.generate is generate


def test_a_stream_yields_every_step(job):
    steps = []
    for step in job.pipeline.stream("rain", seeds=[0], **SHORT):
        assert torch.is_grad_enabled()  # the caller's own gradients are not switched off between steps
        assert not step.x.requires_grad
        steps.append(step)
    assert [s.i for s in steps] == [0, 1, 2]
    assert steps[-1].sigma == 0
    (sample,) = job.pipeline.decode(steps[-1].x, job.options)
    assert torch.equal(sample["wave"], job.run(0)["wave"])


def test_replacing_a_part_is_the_research_interface(job):
    other = replace(job.pipeline, sampler=samplers.heun)
    assert not torch.equal(other("rain", seeds=[0], **SHORT)[0]["wave"], job.run(0)["wave"])


def test_unknown_options_are_refused(job):
    with pytest.raises(UsageError, match=r"--duratoin.*--duration"):
        job.pipeline("rain", duratoin=3.0)
    with pytest.raises(UsageError, match=r"0\.5 to 600"):
        generate("audio", "rain", duration=0.1)


def test_loading_another_modalitys_model_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="makes audio, not video"):
        load("audio-small", modality="video")


def test_options_describe_and_check_themselves():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Options:
        size: int = option(3, "how big", unit="px", low=1, high=9)
        kind: str = option("a", "which", choices=("a", "b"))

    assert make(Options, {"size": 9}) == Options(size=9)
    for bad in ({"size": 10}, {"kind": "c"}, {"shape": 1}):
        with pytest.raises(UsageError):
            make(Options, bad)


def test_two_distributions_with_one_name_are_refused(monkeypatch):
    from importlib.metadata import EntryPoint

    twice = (EntryPoint("audio", "one:A", "multigen.modalities"), EntryPoint("audio", "two:B", "multigen.modalities"))
    monkeypatch.setattr(registry, "_by_name", lambda group: {"audio": twice})
    with pytest.raises(UsageError, match="one and two: pip uninstall one of them"):
        registry.modalities["audio"]
