"""Figures to film: animated models clip by clip, and still models, upright and with their front to +z."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen_models.shapes.names import shape_name
from multigen_models.shapes.prepare import Meshes
from multigen_models.video.raster import TEXTURE, Floats, Surface, linear_light
from multigen_models.video.skeleton import Clip
from multigen_models.video.skinned import Skinned, read_skinned
from multigen_models.video.takes import RATE

MOST = 48
"""Poses of a clip at most."""

_SAME = 0.015  # of the height: how far the last pose may be from the first in a clip that goes round,
_NEAR = 0.7  # or of the way that is usual from pose to pose
_STILL = 0.0005  # of the height: what moves less from pose to pose does not move
_TOUCH = 0.02  # of the height: how near the ground a foot stands on it
_SLOW = 0.08  # heights a second below which feet stand
_CREASE = 40.0  # degrees: faces that meet in a sharper edge are shaded apart
_PER_KIND = 8

# Degrees about y that bring the front of a model to +z, where the front of all others is.
_TURNED: Mapping[str, float] = {"tank": 90, "tank2": 90, "tank3": 90, "tank4": 90, "wasp": -90}
# Parts of models that hold several things at once, and the clips in which each is shown.
_HELD: Sequence[tuple[str, str]] = (
    (r"1H_Sword|1H_Axe|Knife", r"1H_Melee|Dualwield|Block"),
    (r"\w+_Offhand", r"Dualwield"),
    (r"2H_Sword|2H_Axe|2H_Staff", r"2H_Melee"),
    (r"1H_Wand", r"1H_|Spell"),
    (r"1H_Crossbow", r"1H_Ranged"),
    (r"2H_Crossbow", r"2H_Ranged"),
    (r"Throwable", r"Throw"),
    (r"Mug|Spellbook", r"Use_Item"),
    (r"Barbarian_Round_Shield|Round_Shield", r"Block"),
    (r"Badge_Shield|Rectangle_Shield|Spike_Shield|Spellbook_open", r"$^"),
    (r"Pistol|Gun", r"\w*(Gun|Shoot)|Weapon"),
    (r"Sword", r"\w*Sword"),
)
# Kinds of still shapes that are animated elsewhere, or are no thing by themselves.
_UNFIT = """animal, arm, arrow, blade, block, counter, dinosaur, dirt block, door, entrance, field, fish, fork, frame,
grass, half, head, hill, key, knife, lid, number, outline, pan, panels, patty, path, person, plate, platform, post,
railing, range, ring, road, robot, roll, rug, site, slab, slice, spoon, square, switch, tower roof, tunnel, walls,
wall socket, window"""


@final
@dataclass(frozen=True, eq=False)
class Motion:
    """A figure as it moves, `RATE` poses a second, or one pose of a figure that does not.

    positions, normals: (n, v, 3), y up, the front towards +z. loop: after the last pose comes the first. ground: y of
    what the figure stands on. height: of the figure at rest. speed: as in `Take`.
    """

    figure: str
    clip: str
    surface: Surface = field(repr=False)
    positions: Floats = field(repr=False)
    normals: Floats = field(repr=False)
    loop: bool
    ground: float
    height: float
    speed: float


@final
@dataclass(frozen=True)
class _Course:
    """How a clip goes. seconds: until nothing moves any more, 0 if nothing ever does. travel: of the vertex that gets
    farthest, in heights. round: whether the end leads on to the beginning."""

    seconds: float
    travel: float
    round: bool


def animated(path: Path, /) -> Iterator[Motion]:
    """The clips of a .glb file that move. Of those with one name the one that moves most is taken.

    Raises
    ------
    UsageError: the file cannot be read.
    """
    model = read_skinned(path)
    turn = _about_y(_TURNED.get(path.stem, 0.0))
    _, used = _shown(model, "")
    rest = model.pose(None, [0.0])[0][0, used]
    low, height = float(rest[:, 1].min()), float(np.ptp(rest[:, 1]))
    # What swims has its origin in its middle, what walks or hovers has it on the ground.
    ground = low if low < -0.2 * height else 0.0
    named: dict[str, list[Clip]] = defaultdict(list)
    for clip in model.clips:
        named[clip.name].append(clip)
    for name, clips in named.items():
        course, clip = max(((_measure(model, clip, height), clip) for clip in clips), key=lambda pair: pair[0].travel)
        if not course.seconds:
            continue
        surface, used = _shown(model, name)
        poses = model.pose(clip, _times(course))
        positions, normals = (np.ascontiguousarray(array[:, used] @ turn.T) for array in poses)
        loop = course.round and course.seconds * RATE < MOST + 0.5
        motion = Motion(path.stem, name, surface, positions, normals, loop, ground, height, 0.0)
        yield replace(motion, speed=_ground_speed(motion)) if course.round and ground == 0 else motion


def still(meshes: Meshes, row: Mapping[str, str], /) -> Motion:
    """A mesh of a folder of shapes."""
    import igl

    vertices, faces, colors = meshes.mesh(row)
    along, across = (vertices[faces[:, corner]] - vertices[faces[:, 0]] for corner in (1, 2))
    area = np.linalg.norm(np.cross(along, across), axis=1)
    faces, colors = faces[area > 0], colors[area > 0]
    corners = 3 * len(faces)
    normals = igl.per_corner_normals(vertices.astype(np.float64), faces, _CREASE).astype(np.float32)
    surface = Surface(
        faces=np.arange(corners).reshape(-1, 3),
        colors=np.repeat(linear_light(colors), 3, 0),
        uv=np.zeros((corners, 2), np.float32),
        texture=np.full(len(faces), -1),
        textures=np.zeros((0, TEXTURE, TEXTURE, 3), np.float32),
    )
    positions = vertices[faces].reshape(1, corners, 3)
    low, high = float(positions[..., 1].min()), float(positions[..., 1].max())
    return Motion(row["id"], "", surface, positions, normals.reshape(1, corners, 3), True, low, high - low, 0.0)


def choose(rows: Sequence[Mapping[str, str]], /, *, most: int = 500) -> list[Mapping[str, str]]:
    """Up to so many shapes to film: whole, named, a few of each of the commonest kinds of things.

    Deterministic in the ids of the shapes.
    """
    unfit = set(re.split(r",\s", _UNFIT))
    kinds: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        name = shape_name(row["label"], row.get("name", ""), row.get("category", ""))
        if row.get("modular_part", "0") != "1" and name is not None and name.kind not in unfit:
            kinds[name.kind].append(row)
    chosen: list[Mapping[str, str]] = []
    for _, members in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        chosen += sorted(members, key=lambda row: hashlib.sha256(row["id"].encode()).digest())[:_PER_KIND]
    return chosen[:most]


def _shown(model: Skinned, clip: str) -> tuple[Surface, NDArray[np.int64]]:
    """The surface without what is not held in a clip, and its vertices (v,) among those of the model."""
    hidden = [
        node
        for node, name in enumerate(model.skeleton.names)
        if any(re.fullmatch(part, name) and not re.match(clips, clip) for part, clips in _HELD)
    ]
    seen = ~np.isin(model.part, hidden)
    whole = model.surface
    used, faces = np.unique(whole.faces[seen], return_inverse=True)
    faces = faces.reshape(-1, 3)
    return Surface(faces, whole.colors[used], whole.uv[used], whole.texture[seen], whole.textures), used


def _measure(model: Skinned, clip: Clip, height: float) -> _Course:
    """How a clip goes, in heights."""
    from scipy.spatial import cKDTree

    seconds = np.append(np.arange(0, clip.seconds, 1 / RATE), clip.seconds).astype(np.float32)
    positions = model.pose(clip, seconds)[0] / np.float32(height)
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1).max(-1)
    moving = np.flatnonzero(steps > _STILL)
    if not len(moving):
        return _Course(0.0, 0.0, False)
    end = moving[-1] + 1
    first, last = positions[0], positions[end]
    closed = np.linalg.norm(last - first, axis=-1).max() < max(_NEAR * np.median(steps[:end]), _SAME)
    return _Course(
        seconds=float(seconds[end]),
        travel=float(np.linalg.norm(positions - positions[:1], axis=-1).max()),
        # A track that has moved on by one link looks as before: the same points, but others.
        round=bool(closed or cKDTree(first).query(last)[0].max() < _SAME),
    )


def _times(course: _Course) -> NDArray[np.float32]:
    """(n,) times of poses, up to `MOST`; of what goes round equal parts of nearly 1 / RATE, the end left out."""
    if course.round:
        count = max(round(course.seconds * RATE), 1)
        return np.arange(min(count, MOST), dtype=np.float32) * np.float32(course.seconds / count)
    return np.arange(min(math.floor(course.seconds * RATE + 1e-3) + 1, MOST), dtype=np.float32) / np.float32(RATE)


def _ground_speed(motion: Motion) -> float:
    """Heights a second at which what is on the ground moves towards -z, most of the time."""
    now, later = motion.positions[:-1], motion.positions[1:]
    limit = _TOUCH * motion.height
    standing = (np.abs(now[..., 1] - motion.ground) < limit) & (np.abs(later[..., 1] - motion.ground) < limit)
    pushes = [np.median((a - b)[touch, 2]) for a, b, touch in zip(now, later, standing, strict=True) if touch.any()]
    if len(pushes) < 2:
        return 0.0
    usual, mean = np.array([np.median(pushes), np.mean(pushes)]) * RATE / motion.height
    return float(usual) if abs(usual) > _SLOW and mean / usual > 0.5 else 0.0


def _about_y(degrees: float) -> Floats:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([(c, 0, s), (0, 1, 0), (-s, 0, c)], np.float32)
