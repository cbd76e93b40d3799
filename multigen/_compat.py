"""Makes `import torchaudio` work beside a torch it was not built for.

The wheels of torchaudio on PyPI hold an extension that is linked against CUDA; with a CPU-only torch it
cannot be loaded, and `torchaudio._extension.utils._load_lib` lets that `OSError` through. Where the extension
is absent the same function returns False, and everything in pure torch (transforms, functional) works.
`tolerate_missing_torchaudio_extension` makes an extension that cannot be loaded count as one that is absent.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import logging
import sys
from collections.abc import Sequence
from types import ModuleType

_LOGGER = logging.getLogger(__name__)
_TARGET = "torchaudio._extension.utils"


def tolerate_missing_torchaudio_extension() -> None:
    """Let every later `import torchaudio` do without a compiled extension that cannot be loaded.

    Imports neither torch nor torchaudio; a second call changes nothing. Where the extension loads, torchaudio
    behaves exactly as without this call.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    # An `import torchaudio` that failed before this call leaves this submodule behind, and the next one reuses it.
    if _TARGET in sys.modules:
        _tolerate_oserror(sys.modules[_TARGET])


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `torchaudio._extension.utils` with the other finders and wraps its loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _TARGET:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Executes the module with its own loader, leaves it to that loader, and then adapts `_load_lib`."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _tolerate_oserror(module)


def _tolerate_oserror(module: ModuleType) -> None:
    load_lib = getattr(module, "_load_lib", None)
    if load_lib is None or hasattr(load_lib, "__wrapped__"):
        return

    @functools.wraps(load_lib)
    def load_lib_if_possible(lib: str) -> bool:
        try:
            return bool(load_lib(lib))
        except OSError as error:
            _LOGGER.debug("torchaudio works without its compiled extension: %s", error)
            return False

    module._load_lib = load_lib_if_possible  # type: ignore[attr-defined]
