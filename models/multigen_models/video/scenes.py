"""Clips to train on: figures in places, with captions in which every word is true of the pixels.

Clip i is a function of (seed, i). Its caption says some of what there is to say (`Scene.telling`).

    python -m multigen_models.video.scenes --data FOLDER --cache FOLDER --sheet sheet.png
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from multigen.errors import UsageError
from multigen_models.video.captions import Telling, caption
from multigen_models.video.casting import Cast
from multigen_models.video.names import Figure
from multigen_models.video.paint import PAINTS
from multigen_models.video.plans import draw_plan
from multigen_models.video.roles import Role, colour_held_out, combination_held_out, roles_of
from multigen_models.video.stage import film
from multigen_models.video.takes import Takes


@final
@dataclass(frozen=True, eq=False)
class Scene:
    """A clip with all that is known of it.

    frames: (t, 3, h, w) uint8 sRGB. telling: what there is to say. takes: of the figures, the farthest first; covers:
    (figures, t, h, w) uint8 how opaque each is before the weather.
    """

    frames: Tensor = field(repr=False)
    fps: float
    caption: str
    telling: Telling
    takes: tuple[int, ...]
    covers: NDArray[np.uint8] = field(repr=False)


@final
class VideoScenes(Dataset[tuple[Tensor, float, str]]):
    """Clips drawn at random: item i is (frames (t, 3, h, w) uint8, frames a second, caption), a function of (seed, i).

    Parameters
    ----------
    split: a name of `SPLITS`, which figures are shown.
    length: number of clips.
    frames: of a clip; one frame is an image.
    still: names of still figures by their ids, as `still_figures` gives them; those without a name are not shown.

    Raises
    ------
    UsageError: there is no such split, or nothing to show for it.
    """

    def __init__(
        self,
        takes: Takes,
        /,
        *,
        split: str,
        length: int,
        seed: int,
        frames: int = 16,
        still: Mapping[str, Figure] = MappingProxyType({}),
    ) -> None:
        self._takes, self._length, self._seed, self._count = takes, length, seed, frames
        if split not in SPLITS:
            raise UsageError(f"there is no split {split!r}; give one of {', '.join(SPLITS)}")
        self._casts = SPLITS[split](takes, roles_of(takes, still))
        if not self._casts:
            raise UsageError(f"none of {len(takes.takes)} takes is for the split {split!r}; give more takes")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple[Tensor, float, str]:
        scene = self.described(index)
        return scene.frames, scene.fps, scene.caption

    def described(self, index: int, /) -> Scene:
        """Clip `index` with all that is known of it."""
        if not 0 <= index < self._length:
            raise IndexError(f"clip {index} of {self._length}")
        rng = np.random.default_rng((self._seed, index))
        cast = self._casts[int(rng.integers(len(self._casts)))]
        plan = draw_plan(cast, rng, count=self._count)
        frames, covers = film(plan.shot, self._takes, rng, fps=plan.fps)
        return Scene(
            torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous(),
            plan.fps,
            caption(plan.telling, rng),
            plan.telling,
            tuple(actor.take for actor in plan.shot.actors),
            covers,
        )


def _shown(noun: str, action: str) -> bool:
    return not combination_held_out(noun, action)


def _worn(noun: str, colour: str) -> bool:
    return not colour_held_out(noun, colour)


def _training(takes: Takes, roles: Sequence[Role]) -> list[Cast]:
    chosen = [role for role in roles if not role.held_out and _shown(role.figure.noun, role.does)]
    return [Cast(takes, chosen, actions=_shown, colors=_worn)] if chosen else []


def _validation(takes: Takes, roles: Sequence[Role]) -> list[Cast]:
    chosen = [role for role in roles if role.held_out and _shown(role.figure.noun, role.does)]
    return [Cast(takes, chosen, actions=_shown, colors=_worn)] if chosen else []


def _combinations(takes: Takes, roles: Sequence[Role]) -> list[Cast]:
    known = [role for role in roles if not role.held_out]
    doing = [role for role in known if combination_held_out(role.figure.noun, role.does)]
    wearing = [
        role
        for role in known
        if _shown(role.figure.noun, role.does) and any(colour_held_out(role.figure.noun, name) for name in PAINTS)
    ]
    casts = []
    if doing:
        casts.append(Cast(takes, doing, actions=combination_held_out, colors=_worn))
    if wearing:
        casts.append(Cast(takes, wearing, actions=_shown, colors=colour_held_out, painted=1.0))
    return casts


SPLITS: Mapping[str, Callable[[Takes, Sequence[Role]], list[Cast]]] = {
    "train": _training, "validation": _validation, "combinations": _combinations,
}  # fmt: skip
"""Casts of the splits: for training; clips of figures that are never trained on; and figures doing what they never do
in training, or in colours that they never have there."""


def _main() -> None:
    """Draw a sheet of scenes, and print how long one takes."""
    import argparse
    import time

    from multigen_models.video.names import still_figures
    from multigen_models.video.sheet import sheet
    from multigen_models.video.takes import load_takes

    parser = argparse.ArgumentParser(prog="python -m multigen_models.video.scenes", description=_main.__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="holds the folders animated, shapes")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER", help="where takes are kept")
    parser.add_argument("--sheet", type=Path, required=True, metavar="FILE.png", help="where scenes are drawn")
    parser.add_argument("--split", choices=SPLITS, default="train", help="which figures (default train)")
    parser.add_argument("--count", type=int, default=48, metavar="N", help="scenes on the sheet (default 48)")
    parser.add_argument("--frames", type=int, default=16, metavar="N", help="of a scene (default 16)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sheet (default 0)")
    given = parser.parse_args()
    takes = load_takes(given.data, cache=given.cache)
    scenes = VideoScenes(
        takes, split=given.split, length=given.count, seed=given.seed, frames=given.frames,
        still=still_figures(given.data),
    )  # fmt: skip
    start = time.process_time()
    drawn = [scenes[index] for index in range(given.count)]
    print(f"{1e3 * (time.process_time() - start) / given.count:.1f} ms a scene")
    sheet(drawn, given.sheet)


if __name__ == "__main__":
    _main()
