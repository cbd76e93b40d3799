"""What the README shows is run."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from multigen import cli, registry, verbs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_examples_run_and_say_the_truth():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    scope = {}
    for block in blocks:
        exec(block, scope)
    assert tuple(scope["sound"]["wave"].shape) == (1, 48_000)
    claimed = re.search(r'sound\["wave"\]\.shape, sound\["sample_rate"\]  # (.*)', README)[1]
    (sound,) = scope["multigen"].generate("audio", "rain on a tin roof", duration=3, seed=0, steps=1)
    assert claimed == f"{tuple(sound['wave'].shape)}, {sound['sample_rate']}"


def shown():
    """The commands of the console blocks, as the words that a shell would give to multigen."""
    lines = "".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL)).splitlines()
    assert all(line.startswith("$ ") for line in lines)
    words = [shlex.split(line[2:], comments=True) for line in lines]
    return [line[line.index("multigen") + 1 :] for line in words]


@pytest.mark.parametrize("words", shown(), ids=" ".join)
def test_every_command_shown_can_be_typed(words, monkeypatch):
    class Read(BaseException):
        """Flags and their values were understood; what they ask for is not done."""

    def stop(parser, arguments):
        raise Read(argparse.ArgumentParser.parse_args(parser, arguments))

    monkeypatch.setattr(cli.Parser, "parse_args", stop)
    with pytest.raises(Read):
        cli.main(words)


def test_every_verb_and_modality_is_shown():
    assert {words[0] for words in shown()} == {*registry.modalities.names(), *verbs.VERBS}


@pytest.mark.parametrize("spec", re.findall(r"--(?:sampler|schedule|guidance) ([a-z_0-9]+:[^ `]+)", README))
def test_the_specs_shown_are_possible(spec):
    found = [
        group for group in (registry.samplers, registry.schedules, registry.guidances) if spec.split(":")[0] in group
    ]
    assert len(found) == 1
    found[0].configured(spec)


def test_the_two_commands_set_up_the_same_environment():
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert len(commands) == 2
    assert all(len(command.splitlines()) == 1 for command in commands)
    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)


def test_the_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_command_of_the_main_job_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = re.search(r"\.venv/bin/multigen (.*)", README)[1].replace('"rain on a tin roof"', "PROMPT").split()
    prompt = ["rain on a tin roof" if word == "PROMPT" else word for word in words]
    assert cli.main([*prompt, "--steps", "2"]) == 0
    assert {path.name for path in Path().iterdir()} == {"rain.wav", "rain.png"}
