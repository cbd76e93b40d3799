"""The distribution: what a wheel holds, what imports what, and that importing it is light."""

import ast
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from multigen import registry

ROOT = Path(__file__).parent.parent
HEAVY = (
    "accelerate",
    "av",
    "diffusers",
    "igl",
    "librosa",
    "matplotlib",
    "skimage",
    "torchaudio",
    "transformers",
    "trimesh",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(target)]
    subprocess.run([*pip, str(ROOT)], check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_multigen_and_its_plugins_only(wheel):
    names = {name.split("/")[0] for name in wheel.namelist()}
    packages = {name for name in names if not name.endswith(".dist-info")}
    assert packages == {"multigen", "multigen_audio", "multigen_video", "multigen_3d", "multigen_models"}


def test_the_wheel_holds_every_module_and_weight(wheel):
    inside = set(wheel.namelist())
    for root in (
        "multigen",
        "modalities/multigen_audio",
        "modalities/multigen_video",
        "modalities/multigen_3d",
        "models/multigen_models",
    ):
        base = (ROOT / root).parent
        for path in (ROOT / root).rglob("*"):
            if path.suffix in (".py", ".safetensors", ".json", ".md", ".typed", ".css", ".js"):
                assert path.relative_to(base).as_posix() in inside


def test_every_entry_point_loads():
    groups = ("modalities", "models", "samplers", "schedules", "guidance", "recipes", "metrics", "extractors")
    for group in groups:
        points = [p for p in entry_points(group=f"multigen.{group}") if p.dist and p.dist.name == "multigen-suite"]
        assert points
        for point in points:
            assert callable(point.load()), point


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    ("root", "forbidden"),
    [
        (
            "multigen",
            (
                "multigen_audio",
                "multigen_video",
                "multigen_3d",
                "multigen_models",
                "diffusers",
                "transformers",
                "librosa",
                "torchaudio",
            ),
        ),
        ("modalities/multigen_audio", ("multigen_models", "multigen_video", "multigen_3d", "diffusers")),
        ("modalities/multigen_video", ("multigen_models", "multigen_audio", "multigen_3d", "diffusers")),
        ("modalities/multigen_3d", ("multigen_models", "multigen_audio", "multigen_video", "diffusers")),
        ("models/multigen_models", ("multigen_audio", "multigen_video", "multigen_3d")),
    ],
)
def test_the_core_imports_no_plugin_and_the_wings_do_not_touch(root, forbidden):
    files = sorted((ROOT / root).rglob("*.py"))
    assert files
    for path in files:
        assert not set(imported(path)) & set(forbidden), path


def modules_after(code):
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_importing_multigen_is_light():
    assert not modules_after("import multigen") & {"torch", "numpy", *HEAVY}


def test_importing_the_whole_core_needs_torch_alone():
    core = [
        "denoise",
        "edit",
        "guidance",
        "likelihood",
        "model",
        "noise",
        "pipeline",
        "samplers",
        "schedules",
        "testing",
        "training",
    ]
    assert not modules_after(f"import {', '.join(f'multigen.{name}' for name in core)}") & set(HEAVY)


@pytest.mark.parametrize(
    "words", [["--help"], ["audio", "--help"], ["3d", "--help"], ["list"], ["train", "--bad"], ["audio", ""]]
)
def test_help_and_errors_do_not_import_torch(words):
    code = f"from multigen.cli import main\ntry: main({words!r})\nexcept SystemExit: pass"
    assert "torch" not in modules_after(code)


def test_listing_names_imports_no_plugin():
    code = "from multigen import registry\nregistry.models.names(), registry.modalities.names()"
    assert not modules_after(code) & {"multigen_audio", "multigen_video", "multigen_3d", "multigen_models", "torch"}
    assert "audio" in registry.modalities.names()
