"""Writing a file as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_file(path: str | os.PathLike[str], data: bytes, /) -> None:
    """Write `data` to `path`; a reader finds the old file or the complete new one at any moment.

    The bytes go to a temporary name in the same folder first. A failure of any kind, a keyboard interrupt
    included, removes that name and leaves what was at `path` untouched. A link at `path` stays a link.

    Raises:
        OSError: the folder cannot be written, the disk is full, or `path` is a folder.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".multigen-{secrets.token_hex(8)}{target.suffix}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
