"""The table of families beside the pipelines that are installed."""

import inspect
from importlib import import_module

import diffusers
import pytest
from tiny_parts import silently

from multigen import registry
from multigen.options import make
from multigen_models.hub.families import ALIASES, FAMILIES, family_of

OURS = {"steps", "guidance", "negative_prompt", "duration", "frames", "fps", "width", "height", "init"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.pipeline)
def test_its_pipeline_takes_what_the_table_says(family):
    pipeline = silently(getattr, diffusers, family.pipeline)
    call = inspect.signature(pipeline.__call__).parameters
    assert set(family.arguments) <= OURS
    assert set(family.arguments.values()) | set(family.fixed) <= set(call)
    assert family.network in inspect.signature(pipeline.__init__).parameters
    assert family.sampler in registry.samplers
    for name in ("", *(checkpoint.name for checkpoint in family.checkpoints)):
        make(registry.modalities[family.modality].Options, family.of(name).suggested)
    if family.opened:
        module, _, function = family.opened.partition(":")
        assert callable(getattr(import_module(f"multigen_models.hub.{module}"), function))


def test_each_family_and_each_model_is_there_once():
    assert len({family.pipeline for family in FAMILIES}) == len(FAMILIES)
    names = [checkpoint.name for family in FAMILIES for checkpoint in family.checkpoints]
    assert len(set(names)) == len(names)


def test_a_checkpoint_has_its_own_where_that_is_said():
    family = family_of("WanPipeline")
    assert family.of("") == family
    assert family.of("Wan-AI/Wan2.2-TI2V-5B-Diffusers").suggested["fps"] == 24
    assert family.of("Wan-AI/Wan2.2-T2V-A14B-Diffusers").guidance == 4
    assert family.of("Wan-AI/Wan2.2-T2V-A14B-Diffusers").suggested == family.suggested


def test_the_names_that_an_unknown_call_is_searched_for_are_those_of_the_known_ones():
    assert set(ALIASES) == OURS
    for family in FAMILIES:
        for ours in ("duration", "frames", "fps"):
            assert family.arguments.get(ours, ALIASES[ours][0]) in ALIASES[ours]
