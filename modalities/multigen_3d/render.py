"""Pictures of shapes: one as an array, and several in a file as a contact sheet or as a turntable film."""

from __future__ import annotations

import io
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen_3d.scene import Scene

if TYPE_CHECKING:
    import numpy as np
    from PIL.ImageFont import FreeTypeFont

    from multigen.modality import Sample

EXTENSIONS: Sequence[str] = (".png", ".mp4")

_AZIMUTH, _ELEVATION = 35.0, 22.0  # degrees: a three-quarter view
_PICTURE_RAYS, _FILM_RAYS = 4, 2
_FRAMES, _FRAME_RATE = 60, 24
_AHEAD = 20  # frames that are in memory at a time
_MOST_THREADS = 8  # each takes some 100 MB for a film of one shape
_BT709 = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}  # ITU-T H.273; limited range
_INK, _PAPER = 40, 231  # grey; the paper is the pictures' background
_TITLE_LINES = 2


def render(
    sample: Sample,
    /,
    *,
    size: int = 512,
    azimuth: float = _AZIMUTH,
    elevation: float = _ELEVATION,
    samples: int = _PICTURE_RAYS,
) -> np.ndarray:
    """A picture of a mesh, or of a point cloud as small balls, on light ground: (size, size, 3) uint8 in sRGB.

    The bounding sphere fills the picture, so all views of one object have one scale. The light moves with the camera.

    Args:
        sample: {"vertices", "faces", "colors"} or {"points", "colors"}, in any unit.
        size: side of the picture in pixels.
        azimuth: of the camera in degrees about y: 0 sees the front (+z) with +x to the right, 90 the side at +x.
        elevation: of the camera in degrees, -90 to 90; from below the ground it is not seen.
        samples: rays towards each of the two lights, for each quarter of a pixel.

    Raises:
        UsageError: there is nothing to draw, or a coordinate is not finite.
        GenerationError: embreex is missing, as where it has no wheel (Linux on ARM).
    """
    return Scene(sample).render(size=size, azimuth=azimuth, elevation=elevation, samples=samples)


def preview(
    samples: Sequence[tuple[str, Sample]],
    path: str | os.PathLike[str],
    /,
    *,
    size: int | None = None,
    columns: int | None = None,
) -> None:
    """Draw one or more (title, sample) as a picture (.png) or as a film of one turn that loops without a seam (.mp4).

    One sample fills the picture; several are laid out row by row under their titles, each on its own scale. The film
    is H.264 with 24 frames a second for 2.5 s. The file is written whole or not at all.

    Args:
        size: side of each picture in pixels, even; by default 768 for one, 320 for several, in films 400 and 200.
        columns: of the sheet; by default up to 4, and 6 for more than 16 samples.

    Raises:
        UsageError: another extension, no sample, or a sample with nothing to draw.
        GenerationError: embreex is missing.
        OSError: the file cannot be written.
    """
    extension = Path(path).suffix.lower()
    if extension not in EXTENSIONS:
        raise UsageError(f"{path}: a preview is .png (a picture) or .mp4 (a turntable); give a name that ends in one")
    if not samples:
        raise UsageError("there is no sample to draw; give at least one")
    scenes = [Scene(sample) for _, sample in samples]
    titles = [title for title, _ in samples] if len(samples) > 1 else None
    columns = columns or min(len(scenes), 4 if len(scenes) <= 16 else 6)
    if extension == ".png":
        size = size or (320 if titles else 768)
        pictures = [
            scene.render(size=size, azimuth=_AZIMUTH, elevation=_ELEVATION, samples=_PICTURE_RAYS) for scene in scenes
        ]
        replace_file(path, _png(_sheet(pictures, titles, columns=columns)))
    else:
        size = size or (200 if titles else 400)
        replace_file(path, _mp4(_sheet(pictures, titles, columns=columns) for pictures in _turn(scenes, size=size)))


def _turn(scenes: Sequence[Scene], *, size: int) -> Iterator[list[np.ndarray]]:
    """The pictures of all scenes, frame by frame. The camera of the first frame is that of a still picture."""
    from tqdm import tqdm

    def pictures(frame: int) -> list[np.ndarray]:
        azimuth = _AZIMUTH + 360 * frame / _FRAMES
        return [scene.render(size=size, azimuth=azimuth, elevation=_ELEVATION, samples=_FILM_RAYS) for scene in scenes]

    # Embree and numpy let go of the interpreter, so threads are all that it takes.
    with (
        ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool,
        tqdm(total=_FRAMES, unit="frame", leave=False, disable=None) as bar,
    ):
        for first in range(0, _FRAMES, _AHEAD):
            for made in pool.map(pictures, range(first, min(first + _AHEAD, _FRAMES))):
                bar.update()
                yield made


def _sheet(pictures: Sequence[np.ndarray], titles: Sequence[str] | None, *, columns: int) -> np.ndarray:
    """(h, w, 3) of square pictures of one size, row by row, each under its title where there are titles."""
    import numpy as np

    cells = list(pictures)
    if titles is not None:
        cells = [np.concatenate([_title(title, len(cell)), cell]) for title, cell in zip(titles, cells, strict=True)]
    cells += [np.full_like(cells[0], _PAPER)] * (-len(cells) % columns)
    return np.concatenate([np.concatenate(cells[k : k + columns], axis=1) for k in range(0, len(cells), columns)])


def _title(text: str, width: int) -> np.ndarray:
    """(h, width, 3) of the text in at most two lines; h is even and the same for every text."""
    import matplotlib
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    # The font with the most scripts that comes with a dependency.
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(str(file), max(11, width // 22))
    line = round(1.1 * sum(font.getmetrics()))
    strip = Image.new("RGB", (width, line // 2 * 2 * _TITLE_LINES + 4), (_PAPER,) * 3)
    draw = ImageDraw.Draw(strip)
    for row, words in enumerate(_lines(text, font, width=0.94 * width)):
        draw.text((width / 2, 4 + row * line), words, (_INK,) * 3, font, anchor="ma")
    return np.asarray(strip)


def _lines(text: str, font: FreeTypeFont, *, width: float) -> list[str]:
    """The text broken between words, or in a word that is too long, into at most two lines of the width."""
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < _TITLE_LINES:
        fits = max(1, bisect_right(range(1, len(rest) + 1), width, key=lambda n: font.getlength(rest[:n])))
        space = rest.rfind(" ", 0, fits + 1)
        end = space if fits < len(rest) and space > 0 else fits
        lines.append(rest[:end])
        rest = rest[end:].lstrip()
    while rest and font.getlength(f"{lines[-1]} ...") > width:
        lines[-1] = lines[-1][:-1].rstrip()
    return [*lines[:-1], f"{lines[-1]} ..."] if rest else lines


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="png")
    return file.getvalue()


def _mp4(frames: Iterable[np.ndarray]) -> bytes:
    import av

    # The index goes to the start of the file, for the web, by reading the file again; that needs a name.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "film.mp4")
        with av.open(str(file), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
            stream: Any = container.add_stream("libx264", rate=_FRAME_RATE, options={"crf": "18"})
            codec = stream.codec_context
            codec.pix_fmt = "yuv420p"
            for name, code in _BT709.items():
                setattr(codec, name, code)
            for picture in frames:
                if not codec.is_open:
                    codec.height, codec.width, _ = picture.shape
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
            container.mux(stream.encode(None))
        return file.read_bytes()
