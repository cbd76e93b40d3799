"""Reading images and animated images (GIF, APNG, WebP) through Pillow: upright, on white where transparent."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from multigen_video.clip import Clip, DecodeError, RefusedError, check_length, fitted
from multigen_video.convert import on_white
from multigen_video.rate import USUAL

if TYPE_CHECKING:
    import numpy as np

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_ANIMATED = ("GIF", "PNG", "WEBP")
_GIF_CLOCK, _OTHER_CLOCK = 0.01, 0.001  # s
# What browsers make of a GIF that names no delay, or one too short for them.
_SHORTEST, _INSTEAD = 0.011, 0.1  # s


@contextmanager
def opened(file: BinaryIO, /) -> Iterator[Any]:
    """The Pillow image in a file, or None where it holds no image.

    Raises:
        DecodeError: it is damaged; also where that shows later, as the image is used.
        RefusedError: it is too large.
    """
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images, which are refused here, and of metadata that is not used
        try:
            try:
                image = Image.open(file, formats=_FORMATS)
            except UnidentifiedImageError:
                image = None
            if image is None:
                yield None
                return
            fitted(image.size, count=1)
            with image:
                yield image
        except Image.DecompressionBombError:
            raise RefusedError("has far too many pixels: make it smaller first") from None
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error) as error:
            raise DecodeError(error) from error


def clip(image: Any, /) -> Clip:
    """An image as one frame, an animated one as its frames. Raises RefusedError for what is too long or too large."""
    import numpy as np

    count = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    size = upright(image.size, image)
    width, height = fitted(size, count=count)
    frames = np.empty((count, 3, height, width), np.uint8)
    delays: list[float] = []
    for n in range(count):
        image.seek(n)
        frames[n] = pixels(image, (width, height))
        delay = float(image.info.get("duration") or 0) / 1000
        delays.append(delay if delay >= _SHORTEST else _INSTEAD)
        check_length(sum(delays) if count > 1 else 0)
    if count == 1:
        delays = [1 / USUAL]
    ends = np.cumsum(delays)
    clock = _GIF_CLOCK if image.format == "GIF" else _OTHER_CLOCK
    return Clip(frames, ends - delays, float(ends[-1]), (), clock, size)


def pixels(image: Any, size: tuple[int, int], /) -> np.ndarray:
    """(3, height, width) uint8 of the image's present frame, at a (width, height)."""
    import numpy as np
    from PIL import Image, ImageOps

    whole = ImageOps.exif_transpose(image)
    if whole.mode.startswith("I"):  # 16 bits a pixel; Pillow would cut off what is above 255
        whole = Image.fromarray((np.asarray(whole).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    transparent = whole.has_transparency_data
    whole = whole.convert("RGBA" if transparent else "RGB")
    if whole.size != size:
        whole = whole.resize(size, Image.Resampling.BOX)
    array = np.asarray(whole).transpose(2, 0, 1)
    return on_white(array[:3], array[3]) if transparent else array


def upright(size: tuple[int, int], image: Any, /) -> tuple[int, int]:
    """(width, height) as Exif says that the image is held."""
    orientation_tag, turned = 0x0112, (5, 6, 7, 8)
    return (size[1], size[0]) if image.getexif().get(orientation_tag) in turned else size
