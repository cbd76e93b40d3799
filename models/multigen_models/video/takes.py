"""Rendered foregrounds to make video from: figures, animated or still, without a background.

A *figure* is a model; a *take* is one rendering of it, from one direction or from one that turns. The pictures of a
take are one crop, compressed one by one, and read where they lie in a memory-mapped file.

    python -m multigen_models.video.takes --data FOLDER --cache FOLDER --sheet sheet.png
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

RATE = 16
"""Pictures a second of the clip's own time."""


@final
@dataclass(frozen=True)
class Take:
    """What is known of one rendering.

    figure: the stem of an animated file, or the id of a still shape. clip: the artist's name of the animation, "" for a
    still figure. yaw: degrees in the first and in the last picture, evenly between; 0 faces the camera, 90 the
    picture's right, -90 its left, 180 away, and 360 the camera again. elevation: degrees of the camera above the
    horizon. loop: the picture after the last is the first. ground: (x, y) in pixels of the crop, x to the right and y
    down from its corner, of the point on the ground below the middle of the body at the start. height: pixels of the
    figure's height at rest. speed: at which it walks when shown at `RATE`, by how feet on the ground push it back, in
    such heights a second; negative backwards, 0 where none do.
    """

    figure: str
    clip: str
    yaw: tuple[float, float]
    elevation: float
    loop: bool
    ground: tuple[float, float]
    height: float
    speed: float


@final
@dataclass(frozen=True, eq=False)
class Takes:
    """Takes and their pictures.

    sizes: (m, 3) pictures, height and width of each take. starts: (pictures of all takes + 1) where each begins in
    `content`, which has for every picture its RGBA and then its shadow, compressed.
    """

    takes: tuple[Take, ...]
    sizes: NDArray[np.int64] = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)
    content: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def of(
        cls, takes: Sequence[Take], frames: Sequence[NDArray[np.uint8]], shadows: Sequence[NDArray[np.uint8]], /
    ) -> Takes:
        """Takes in memory, of frames (n, h, w, 4) and shadows (n, h, w)."""
        packed = [pack(*pictures) for pair in zip(frames, shadows, strict=True) for pictures in zip(*pair, strict=True)]
        sizes = np.array([array.shape for array in shadows], np.int64).reshape(-1, 3)
        starts = np.cumsum([0, *map(len, packed)], dtype=np.int64)
        return cls(tuple(takes), sizes, starts, np.frombuffer(b"".join(packed), np.uint8))

    def size(self, take: int, /) -> tuple[int, int, int]:
        """Pictures, height and width of a take."""
        n, height, width = map(int, self.sizes[take])
        return n, height, width

    def pictures(self, take: int, which: Sequence[int] | None = None, /) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Frames (k, h, w, 4), sRGB and straight alpha, and shadows (k, h, w), 255 where no light comes, of the
        pictures `which`, or of all; quicker than all of them where few are needed."""
        n, height, width = self.size(take)
        first = int(self.sizes[:take, 0].sum())
        chosen = range(n) if which is None else [range(n)[picture] for picture in which]
        both = np.empty((len(chosen), 5 * height * width), np.uint8)
        for place, picture in enumerate(chosen):
            begin, end = self.starts[first + picture : first + picture + 2]
            both[place] = np.frombuffer(zlib.decompress(self.content[begin:end].data), np.uint8)
        pixels = 4 * height * width
        return both[:, :pixels].reshape(-1, height, width, 4), both[:, pixels:].reshape(-1, height, width)

    def frames(self, take: int, /) -> NDArray[np.uint8]:
        """(n, h, w, 4) sRGB and straight alpha."""
        return self.pictures(take)[0]

    def shadows(self, take: int, /) -> NDArray[np.uint8]:
        """(n, h, w) how much of the light the figure keeps from the ground, 255 all."""
        return self.pictures(take)[1]


def load_takes(data: Path, /, *, cache: Path, workers: int | None = None) -> Takes:
    """The takes of the figures in data/animated and data/shapes; filmed into `cache` at first by so many processes
    (by default as many as torch has threads), read from there afterwards. What was interrupted goes on where it was.

    Raises
    ------
    UsageError: a folder is missing, or a file in it cannot be read.
    """
    from multigen_models.video.takes_prepare import figures, film_all

    parts, key = figures(data)
    kept = cache / f"takes-{key}"
    if not kept.is_dir():
        done = cache / f"filming-{key}"
        done.mkdir(parents=True, exist_ok=True)
        whole = Path(tempfile.mkdtemp(prefix="partial-", dir=cache))
        try:
            film_all(parts, whole, done=done, workers=workers)
            os.replace(whole, kept)
        except BaseException:
            shutil.rmtree(whole, ignore_errors=True)
            raise
        shutil.rmtree(done)
    about = json.loads((kept / "takes.json").read_text())
    takes = tuple(Take(**take | {"yaw": tuple(take["yaw"]), "ground": tuple(take["ground"])}) for take in about)
    content = np.load(kept / "content.npy", mmap_mode="r")
    return Takes(takes, np.load(kept / "sizes.npy"), np.load(kept / "starts.npy"), content)


def pack(frame: NDArray[np.uint8], shadow: NDArray[np.uint8], /) -> bytes:
    """A picture (h, w, 4) and its shadow (h, w) as `Takes` keeps them."""
    return zlib.compress(frame.tobytes() + shadow.tobytes(), 4)


def _main() -> None:
    """Film the figures of a folder, print what there is, and draw a sheet of it."""
    import argparse
    from collections import Counter

    from multigen_models.shapes.data import write_attribution
    from multigen_models.video.takes_prepare import origins
    from multigen_models.video.takes_sheet import sheet

    parser = argparse.ArgumentParser(prog="python -m multigen_models.video.takes", description=_main.__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="holds the folders animated, shapes")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER", help="where takes are kept")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that film (default as many as torch has threads)"
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw takes with what is known of them")
    parser.add_argument("--count", type=int, default=40, metavar="N", help="takes on the sheet (default 40)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which takes (default 0)")
    parser.add_argument("--figure", default="", metavar="WORD", help="only figures with this in their name")
    parser.add_argument(
        "--attribution", type=Path, metavar="FILE.csv", help="write authors, licences and sources of the still figures"
    )
    given = parser.parse_args()
    takes = load_takes(given.data, cache=given.cache, workers=given.workers)
    if given.attribution:
        write_attribution(origins(given.data), given.attribution)
    figures = Counter(take.figure for take in takes.takes)
    clips = {(take.figure, take.clip) for take in takes.takes if take.clip}
    pictures = int(takes.sizes[:, 0].sum())
    print(f"{len(takes.takes)} takes of {len(figures)} figures and {len(clips)} clips, {pictures} pictures")
    if given.sheet:
        named = [index for index, take in enumerate(takes.takes) if given.figure in take.figure]
        order = np.random.default_rng(given.seed).permutation(named)
        sheet(takes, sorted(map(int, order[: given.count])), given.sheet)


if __name__ == "__main__":
    _main()
