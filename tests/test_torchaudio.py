"""`import torchaudio` beside a torch that its compiled extension was not built for, and beside one that it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, *path: Path) -> str:
    """The standard output of Python code in a fresh interpreter, with `path` before all other imports."""
    paths = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_transforms_work_after_import_multigen() -> None:
    code = """
import multigen, torch
from torchaudio.transforms import GriffinLim, InverseMelScale, MelSpectrogram, Resample
wave = torch.sin(torch.arange(8000) * 0.3)
mel = MelSpectrogram(16000, n_fft=512, n_mels=40)(wave)
power = InverseMelScale(257, n_mels=40, sample_rate=16000)(mel)
print(*mel.shape, *power.shape, *GriffinLim(512, n_iter=2)(power).shape, *Resample(16000, 8000)(wave).shape)
"""
    assert run(code) == "40 32 257 32 7936 4000"


def test_transformers_imports_after_multigen() -> None:
    assert run("import multigen, transformers.models.bert as bert; print(bert.BertConfig().hidden_size)") == "768"


def test_a_network_is_saved_without_a_word_of_multigen_itself(tmp_path: Path) -> None:
    code = f"""
from multigen_models.shapes.grid_autoencoder import GridAutoencoder
GridAutoencoder().save_pretrained({str(tmp_path)!r})
"""
    run(code)
    assert list(tmp_path.glob("*.safetensors"))


def test_a_failed_import_before_multigen_does_not_spoil_the_next() -> None:
    code = """
try:
    import torchaudio
except OSError:
    pass
import multigen, torchaudio
print(torchaudio.functional.resample.__name__)
"""
    assert run(code) == "resample"


def test_installing_the_finder_imports_nothing_heavy_and_happens_once() -> None:
    code = """
import sys
import multigen
from multigen._compat import tolerate_missing_torchaudio_extension
before = list(sys.meta_path)
tolerate_missing_torchaudio_extension()
print(sys.meta_path == before, "torch" in sys.modules, "torchaudio" in sys.modules)
"""
    assert run(code) == "True False False"


def fake_torchaudio(folder: Path, load_lib: str) -> None:
    """A package with torchaudio's import structure, whose `_load_lib(lib)` has the given body."""
    extension = folder / "torchaudio" / "_extension"
    extension.mkdir(parents=True)
    (folder / "torchaudio" / "__init__.py").write_text("from . import _extension\n")
    (extension / "__init__.py").write_text("from .utils import _load_lib\nLOADED = _load_lib('_torchaudio')\n")
    (extension / "utils.py").write_text(f"def _load_lib(lib):\n    {load_lib}\n")


REPORT = "import multigen, torchaudio; from torchaudio._extension import utils; print(torchaudio._extension.LOADED"


@pytest.mark.parametrize(
    ("load_lib", "loaded"),
    [
        pytest.param("return lib == '_torchaudio'", "True", id="matching"),
        pytest.param("return False", "False", id="absent"),
        pytest.param("raise OSError('libc10_cuda.so: cannot open shared object file')", "False", id="not matching"),
    ],
)
def test_the_extension_counts_as_loaded_only_where_it_loads(tmp_path: Path, load_lib: str, loaded: str) -> None:
    fake_torchaudio(tmp_path, load_lib)
    code = f"{REPORT}, utils.__file__, utils.__loader__ is utils.__spec__.loader, type(utils.__loader__).__name__)"
    file = tmp_path / "torchaudio" / "_extension" / "utils.py"
    assert run(code, tmp_path) == f"{loaded} {file} True SourceFileLoader"


def test_other_errors_of_the_extension_are_not_hidden(tmp_path: Path) -> None:
    fake_torchaudio(tmp_path, "raise RuntimeError('built for CUDA 12.6, torch has 13.0')")
    code = """
import multigen
try:
    import torchaudio
except RuntimeError as error:
    print(error)
"""
    assert run(code, tmp_path) == "built for CUDA 12.6, torch has 13.0"


def test_a_torchaudio_without_the_function_is_left_alone(tmp_path: Path) -> None:
    fake_torchaudio(tmp_path, "return True")
    extension = tmp_path / "torchaudio" / "_extension"
    (extension / "utils.py").write_text("")
    (extension / "__init__.py").write_text("from . import utils\nLOADED = sorted(vars(utils).keys() & {'_load_lib'})\n")
    assert run(REPORT + ")", tmp_path) == "[]"
