"""multigen: one diffusion core, one plugin per modality.

``import multigen`` is light: submodules and the names below are imported when they are first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from multigen._compat import tolerate_missing_torchaudio_extension

if TYPE_CHECKING:
    from multigen.errors import GenerationError, UsageError
    from multigen.job import generate
    from multigen.loaders import load
    from multigen.pipeline import Pipeline

__all__ = ["GenerationError", "Pipeline", "UsageError", "generate", "load"]
__version__ = version("multigen-suite")

_HOMES = {
    "GenerationError": "multigen.errors",
    "Pipeline": "multigen.pipeline",
    "UsageError": "multigen.errors",
    "generate": "multigen.job",
    "load": "multigen.loaders",
}

tolerate_missing_torchaudio_extension()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'multigen' has no attribute {name!r}")
