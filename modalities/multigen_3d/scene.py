"""A picture of a shape by ray casting on the CPU: no display, no GPU driver, the same picture every time.

Embree (embreex, the ray engine that trimesh uses) finds what a ray hits; the light is computed here. A wide sky and a
soft key light move with the camera, so turning the camera is turning the object. How much of them reaches a point is
found with few rays, in other directions for each cell of a tile of pixels, and averaged over the tile as far as it
lies on one surface (Keller and Heidrich, "Interleaved Sampling", EGWR 2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from multigen.errors import GenerationError
from multigen_3d.srgb import to_srgb
from multigen_3d.triangles import dot, triangles, unit

if TYPE_CHECKING:
    import numpy as np

    from multigen.modality import Sample

_FIELD_OF_VIEW = 24.0  # degrees
_MARGIN = 1.03
_SUPERSAMPLES = 2  # on a side of a pixel
_TILE = 8
# What a white surface reflects of the light: of the sky above it, of the bounce from below it, of the key light.
_SKY, _BOUNCE, _KEY = 0.56, 0.32, 0.90
_KEY_AZIMUTH, _KEY_ELEVATION, _KEY_RADIUS = -42.0, 52.0, 9.0  # degrees, the azimuth from the camera's
_INTERREFLECTION = 0.8
_SHOULDER = 0.7  # linear; what is brighter is compressed below 1
_BACKGROUND = 0.80  # linear; 230 of 255 in sRGB
_GROUND_RADIUS = 4.0  # of the bounding sphere; no shadow is looked for farther out
_LIFT = 2e-3  # of the bounding sphere's radius: rays start above the surface that they leave
_SAME_DIRECTION, _SAME_PLANE = 0.8, 0.02  # least cosine of the normals and largest distance, on one surface


@final
class Scene:
    """A sample prepared for pictures from any side, on light ground; a point cloud is drawn as small balls."""

    def __init__(self, sample: Sample, /) -> None:
        """
        Args:
            sample: {"vertices", "faces", "colors"} or {"points", "colors"}, in any unit.

        Raises:
            UsageError: there is nothing to draw, or a coordinate is not finite.
            GenerationError: embreex is missing, as where it has no wheel (Linux on ARM).
        """
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise GenerationError(
                "a picture of a shape needs embreex, which is not installed and cannot be on every processor: "
                "try pip install embreex, or draw no picture"
            ) from error

        import numpy as np

        self._triangles = triangles(sample)
        self._floor = float(self._triangles.corners[..., 1].min())
        self._embree = EmbreeScene(robust=True)
        self._geometry = TriangleMesh(self._embree, self._triangles.corners)
        # The first ray builds the tree; afterwards pictures may be made by several threads.
        self._is_hit(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))

    def render(self, *, size: int, azimuth: float, elevation: float, samples: int) -> np.ndarray:
        """(size, size, 3) uint8 in sRGB. The bounding sphere fills the picture, so all views have one scale.

        Args:
            size: side of the picture in pixels.
            azimuth: of the camera in degrees about y: 0 sees the front (+z) with +x to the right, 90 the side at +x.
            elevation: of the camera in degrees, -90 to 90; from below the ground it is not seen.
            samples: rays towards each of the two lights, for each quarter of a pixel.
        """
        import numpy as np

        side = size * _SUPERSAMPLES
        turn = _turn(azimuth)
        eye, rays = _camera(side, turn=turn, elevation=elevation)
        image = np.full((side * side, 3), _BACKGROUND, dtype=np.float32)
        seen, albedo = self._object(eye, rays)
        image[seen.pixels] = _object_color(albedo, self._light(seen, side, turn=turn, samples=samples))
        if eye[1] > self._floor:
            ground = self._ground(eye, rays, np.delete(np.arange(len(rays)), seen.pixels))
            image[ground.pixels] = _ground_color(ground, self._light(ground, side, turn=turn, samples=samples))
        image = image.reshape(size, _SUPERSAMPLES, size, _SUPERSAMPLES, 3).mean((1, 3))
        return (to_srgb(image) * 255 + 0.5).astype(np.uint8)

    def _object(self, eye: np.ndarray, rays: np.ndarray) -> tuple[_Seen, np.ndarray]:
        """What the rays hit, and its own colour there: (n, 3), linear."""
        import numpy as np

        hit = self._embree.run(np.repeat(eye[None], len(rays), axis=0), rays, output=True)
        pixels = np.flatnonzero(hit["primID"] >= 0)
        face, u, v, distance = (hit[key][pixels] for key in ("primID", "u", "v", "tfar"))
        rays = rays[pixels]
        weights = np.stack([1 - u - v, u, v], axis=-1)
        # Whichever side of a face is seen is its front.
        flat = _towards(-rays, unit(hit["Ng"][pixels]))
        normals = _towards(flat, unit(np.einsum("nc,nci->ni", weights, self._triangles.normals[face])))
        seen = _Seen(pixels=pixels, points=eye + distance[:, None] * rays, flat=flat, normals=normals)
        return seen, np.einsum("nc,nci->ni", weights, self._triangles.colors[face])

    def _ground(self, eye: np.ndarray, rays: np.ndarray, pixels: np.ndarray) -> _Seen:
        """Where the rays of the pixels hit the ground, within its radius."""
        import numpy as np

        pixels = pixels[rays[pixels, 1] < 0]
        rays = rays[pixels]
        points = eye + ((self._floor - eye[1]) / rays[:, 1])[:, None] * rays
        near = np.hypot(points[:, 0], points[:, 2]) < _GROUND_RADIUS
        up = np.repeat(np.array([[0, 1, 0]], dtype=np.float32), int(near.sum()), axis=0)
        return _Seen(pixels=pixels[near], points=points[near], flat=up, normals=up)

    def _light(self, seen: _Seen, side: int, *, turn: np.ndarray, samples: int) -> _Light:
        import numpy as np

        toward, disc = _key_light(_TILE * _TILE * samples)
        toward, disc = turn @ toward, disc @ turn.T
        dome = _dome(_TILE * _TILE * samples)
        y, x = np.divmod(seen.pixels, side)
        cell = y % _TILE * _TILE + x % _TILE
        # Seen from the camera, so that the pattern of the rays is the same from every side.
        right, up = (axis @ turn.T for axis in _frame(seen.normals @ turn))
        arrives = np.zeros((2, len(cell)), dtype=np.float32)
        for first in range(0, len(dome), _TILE * _TILE):
            a, b, c = dome[first + cell].T[..., None]
            arrives[0] += self._is_open(seen, disc[first + cell])
            arrives[1] += self._is_open(seen, a * right + b * up + c * seen.normals)
        key_share, dome_share = _tile_mean(arrives / samples, seen, side)
        key = _KEY * np.maximum(seen.normals @ toward, 0) * key_share
        dome_light = _BOUNCE + (_SKY - _BOUNCE) * (1 + seen.normals[:, 1]) / 2
        return _Light(key=key, dome=dome_light, dome_share=dome_share)

    def _is_open(self, seen: _Seen, toward: np.ndarray) -> np.ndarray:
        """1 where nothing is in the way from a point in its direction, else 0: (n,)."""
        import numpy as np

        origins = seen.points + _LIFT * seen.flat
        outward = dot(seen.flat, toward) > 0
        # The object lies in the unit sphere; most rays from the ground pass by that.
        behind, outside = dot(origins, toward), dot(origins, origins) - 1
        meets = np.flatnonzero(outward & ((outside <= 0) | ((behind < 0) & (behind * behind > outside))))
        is_open = outward.astype(np.float32)
        is_open[meets] = ~self._is_hit(origins[meets], toward[meets])
        return is_open

    def _is_hit(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        hit: np.ndarray = self._embree.run(origins, directions, query="OCCLUDED") >= 0
        return hit


@final
@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Points of a surface that rays hit."""

    pixels: np.ndarray  # (n,), ascending
    points: np.ndarray  # (n, 3)
    flat: np.ndarray  # (n, 3), the face's normal towards the eye
    normals: np.ndarray  # (n, 3), the shading's normal on the same side


@final
@dataclass(frozen=True, kw_only=True)
class _Light:
    """(n,) each: what a white surface would reflect."""

    key: np.ndarray  # after shadows
    dome: np.ndarray  # without anything in the way
    dome_share: np.ndarray  # that arrives


def _object_color(albedo: np.ndarray, light: _Light) -> np.ndarray:
    import numpy as np

    share = light.dome_share[:, None]
    # What stands in the way of the dome is mostly of the same colour, and reflects in its turn: a geometric series.
    share = share / (1 - _INTERREFLECTION * albedo * (1 - share))
    color: np.ndarray = albedo * (light.key[:, None] + light.dome[:, None] * share)
    beyond = np.maximum(color - _SHOULDER, 0) / (1 - _SHOULDER)
    return np.minimum(color, _SHOULDER) + (1 - _SHOULDER) * np.tanh(beyond)


def _ground_color(ground: _Seen, light: _Light) -> np.ndarray:
    """The background's, darkened by the share of the light that is missing, (n, 1); no edge where the ground ends."""
    import numpy as np

    free = _KEY * math.sin(math.radians(_KEY_ELEVATION)) + light.dome
    shadow = 1 - (light.key + light.dome * light.dome_share) / free
    fade = np.clip(2 - 2 * np.hypot(ground.points[:, 0], ground.points[:, 2]) / _GROUND_RADIUS, 0, 1)
    color: np.ndarray = _BACKGROUND * (1 - shadow * fade)[:, None]
    return color


def _tile_mean(values: np.ndarray, seen: _Seen, side: int) -> np.ndarray:
    """(c, n) averaged over the neighbours of each pixel on the same surface, up to half a tile away."""
    import numpy as np

    rows, columns = np.divmod(seen.pixels, side)
    rows, columns = rows - rows.min(initial=side), columns - columns.min(initial=side)
    grids = np.zeros((len(values) + 7, rows.max(initial=0) + 1, columns.max(initial=0) + 1), dtype=np.float32)
    grids[:, rows, columns] = np.concatenate([values, np.ones_like(values[:1]), seen.normals.T, seen.points.T])
    normals, points = grids[-6:-3], grids[-3:]
    height = np.einsum("ihw,ihw->hw", normals, points)
    for axis in (1, 2):
        sums = np.zeros_like(grids[:-6])
        for shift in range(-_TILE // 2, _TILE // 2):
            here, there = _shifted(shift, axis)
            same = np.einsum("ihw,ihw->hw", normals[here], normals[there]) > _SAME_DIRECTION
            same &= np.abs(np.einsum("ihw,ihw->hw", normals[here], points[there]) - height[here[1:]]) < _SAME_PLANE
            sums[here] += grids[:-6][there] * same
        grids[:-6] = sums
    means = grids[:-6, rows, columns]
    return means[:-1] / means[-1]


def _shifted(shift: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Of (c, h, w), what has a neighbour so far on along the axis, and those neighbours."""
    here, there = [slice(None)] * 3, [slice(None)] * 3
    here[axis] = slice(max(0, -shift), -shift if shift > 0 else None)
    there[axis] = slice(max(0, shift), shift if shift < 0 else None)
    return tuple(here), tuple(there)


def _turn(azimuth: float) -> np.ndarray:
    """(3, 3), which turns the front view's directions to those of the camera's azimuth."""
    import numpy as np

    cos, sin = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=np.float32)


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    """(3,), of length 1, from the front view's camera."""
    import numpy as np

    a, e = math.radians(azimuth), math.radians(elevation)
    return np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)], dtype=np.float32)


def _camera(side: int, *, turn: np.ndarray, elevation: float) -> tuple[np.ndarray, np.ndarray]:
    """The eye, (3,), and the directions of the rays through the pixels row by row from the top, (side * side, 3)."""
    import numpy as np

    half = math.radians(_FIELD_OF_VIEW) / 2
    back, right = turn @ _direction(0, elevation), turn[:, 0]
    across = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1) * np.float32(math.tan(half))
    x, y = np.meshgrid(across, -across)
    rays = unit(x.reshape(-1, 1) * right + y.reshape(-1, 1) * np.cross(back, right) - back)
    return np.float32(_MARGIN / math.sin(half)) * back, rays


def _spiral(n: int) -> tuple[np.ndarray, np.ndarray]:
    """n even points of the unit disc, in the golden angle: squared radius and angle."""
    import numpy as np

    i = np.arange(n)
    return (i + 0.5) / n, i * math.pi * (3 - math.sqrt(5))


def _key_light(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The direction of the key light's centre, (3,), and of n points of its disc, (n, 3)."""
    import numpy as np

    center = _direction(_KEY_AZIMUTH, _KEY_ELEVATION)
    right, up = _frame(center[None])
    square, angle = _spiral(n)
    radius = np.sqrt(square) * math.tan(math.radians(_KEY_RADIUS))
    disc = center + (radius * np.cos(angle))[:, None] * right + (radius * np.sin(angle))[:, None] * up
    return center, unit(disc).astype(np.float32)


def _dome(n: int) -> np.ndarray:
    """n directions about z that a matt surface weighs alike, (n, 3)."""
    import numpy as np

    square, angle = _spiral(n)
    radius = np.sqrt(square)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - square)], -1).astype(np.float32)


def _frame(normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two directions at right angles to each normal and to each other, by Duff et al., "Building an Orthonormal Basis,
    Revisited", JCGT 2017."""
    import numpy as np

    x, y, z = normals.T
    sign = np.copysign(np.float32(1), z)
    a = -1 / (sign + z)
    b = x * y * a
    return np.stack([1 + sign * x * x * a, sign * b, -sign * x], -1), np.stack([b, sign + y * y * a, -y], -1)


def _towards(ahead: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The vectors, each turned around where it points away from `ahead`."""
    import numpy as np

    return np.where(dot(ahead, vectors)[:, None] < 0, -vectors, vectors)
