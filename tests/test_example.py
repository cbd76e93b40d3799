"""The example plugin, installed as a third party would: its own distribution, in its own place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLE = Path(__file__).parent.parent / "examples" / "multigen-digits"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, str(EXAMPLE)], check=True, capture_output=True)
    return target


def run(place, *words, cwd):
    environment = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.run(
        [sys.executable, "-m", "multigen", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_under_40_lines():
    lines = (EXAMPLE / "multigen_digits.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) < 40


def test_it_has_a_verb_and_metadata_and_replay(place, tmp_path):
    made = run(place, "digits", "a 7", "-n", "2", "-o", "out/", "-q", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    with Image.open(tmp_path / "out/seed-0.png") as picture:
        assert picture.size == (128, 128)
    assert (tmp_path / "out/seed-0.png").read_bytes() != (tmp_path / "out/seed-1.png").read_bytes()
    again = run(place, "replay", "out/seed-1.png", cwd=tmp_path)
    assert (again.returncode, again.stdout.strip()) == (0, "bit-exact"), again.stderr


def test_it_can_be_varied(place, tmp_path):
    run(place, "digits", "a 3", "-o", "three.png", "-q", cwd=tmp_path)
    varied = run(place, "digits", "a 3", "--init", "three.png", "--strength", "0.3", "-o", "v.png", "-q", cwd=tmp_path)
    assert varied.returncode == 0, varied.stderr
    refused = run(place, "digits", "a 3", "--init", "three.png", "--mask", "0:1", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--mask" in refused.stderr


def test_what_it_draws_is_what_was_asked(place, tmp_path):
    code = """
import torch, multigen_digits
from multigen.options import NoOptions
from multigen.job import generate
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
data = load_digits()
judge = KNeighborsClassifier(3).fit(data.data / 8 - 1, data.target)
right = 0
for digit in range(10):
    images = generate("digits", f"a {digit}", seeds=range(10))
    right += (judge.predict(torch.stack([s["image"] for s in images]).flatten(1).numpy()) == digit).sum()
assert right >= 95, right
from multigen.testing import check_modality, check_model
sample = images[0]
check_modality(multigen_digits.Digits(), sample)
check_model(multigen_digits.Gaussians(), NoOptions(), sample, prompts=("a 1", "a 9"))
"""
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
