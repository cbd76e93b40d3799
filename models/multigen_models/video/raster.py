"""Pictures of triangles: perspective, depth buffer, textures, one sun, and its shadow on the ground. No GPU is needed.

Space has y up; a camera of yaw 0 looks along -z. Light is added up linearly, pictures are sRGB (IEC 61966-2-1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TEXTURE = 256
"""Side of textures in pixels."""
SUN: Sequence[float] = (-0.35, 1.0, 0.45)
"""Where light comes from, if the camera is at +z and level."""

SOFT = 1.5
"""Standard deviation, in pixels, of what softens shadows."""

_FINE = 2  # samples across a pixel, and down
_SKY, _EARTH, _DIRECT, _RIM = 0.58, 0.36, 0.68, 0.22
_LEVELS = 4096  # of linear light, to look sRGB up by


@final
@dataclass(frozen=True, eq=False)
class Surface:
    """What triangles are painted with.

    faces: (f, 3) of vertices. colors: (v, 3) in linear light. uv: (v, 2) places in a texture, from its upper left
    corner, repeating. texture: (f,) which of the textures, -1 none. textures: (k, TEXTURE, TEXTURE, 3) in linear light;
    they multiply colours.
    """

    faces: NDArray[np.int64] = field(repr=False)
    colors: Floats = field(repr=False)
    uv: Floats = field(repr=False)
    texture: NDArray[np.int64] = field(repr=False)
    textures: Floats = field(repr=False)


@final
@dataclass(frozen=True)
class Camera:
    """A camera that looks at a point.

    target: (x, y, z). distance: from it. yaw: degrees by which what is seen is turned about the vertical through the
    target; +z comes to the picture's right at 90. elevation: degrees above the horizon. focal: length in pixels.
    center: (x, y) in pixels where the target is, x to the right and y down.
    """

    target: tuple[float, float, float]
    distance: float
    yaw: float
    elevation: float
    focal: float
    center: tuple[float, float]

    def project(self, points: Floats, /) -> Floats:
        """(..., 3) of points (..., 3): x and y in pixels, and 1 / depth, which is linear in the picture."""
        seen = (points - np.array(self.target, np.float32)) @ self.rotation.T
        near = 1 / (self.distance - seen[..., 2])
        scale = self.focal * near
        seen[..., 0] = self.center[0] + scale * seen[..., 0]
        seen[..., 1] = self.center[1] - scale * seen[..., 1]
        seen[..., 2] = near
        return np.asarray(seen, np.float32)

    def fallen(self, points: Floats, ground: float, /) -> Floats:
        """(..., 3) where the shadows of points (..., 3) are on the plane y = `ground`; the sun turns with a camera."""
        sun = self.sun
        return np.asarray(points - sun * ((points[..., 1:2] - np.float32(ground)) / sun[1]), np.float32)

    @cached_property
    def sun(self) -> Floats:
        """(3,) unit vector to the sun, in space."""
        return np.asarray(np.array(SUN) / math.hypot(*SUN) @ self.turn, np.float32)

    @cached_property
    def turn(self) -> Floats:
        """(3, 3) rotation by the yaw: from space to directions seen by a level camera."""
        c, s = math.cos(math.radians(self.yaw)), math.sin(math.radians(self.yaw))
        return np.array([(c, 0, s), (0, 1, 0), (-s, 0, c)], np.float32)

    @cached_property
    def rotation(self) -> Floats:
        """(3, 3) from space to right, up and backwards."""
        c, s = math.cos(math.radians(self.elevation)), math.sin(math.radians(self.elevation))
        return np.array([(1, 0, 0), (0, c, -s), (0, s, c)], np.float32) @ self.turn


def draw(
    surface: Surface, positions: Floats, normals: Floats, /, *, camera: Camera, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """(h, w, 4) sRGB and straight alpha of a surface with positions and unit normals (v, 3); size: (h, w)."""
    height, width = size
    screen = camera.project(positions)
    screen[:, :2] *= _FINE
    face, weights = visible(screen, surface.faces, _FINE * height, _FINE * width)
    colors, uv, textures = surface.colors, surface.uv, surface.textures
    paint = (surface.faces, colors, uv, surface.texture, textures, normals)
    return np.asarray(_shade(face, weights, *paint, camera.rotation[2], camera.sun, _encoded(), _FINE))


def shadow(
    surface: Surface, positions: Floats, /, *, ground: float, camera: Camera, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """(h, w) share of the sun's light, of 255, that a surface keeps from the plane y = `ground`, with soft edges."""
    from scipy.ndimage import gaussian_filter

    face, _ = visible(camera.project(camera.fallen(positions, ground)), surface.faces, *size)
    soft = gaussian_filter((face >= 0).astype(np.float32), SOFT, mode="constant")
    return np.asarray(np.rint(soft * 255), np.uint8)


def linear_light(srgb: Floats, /) -> Floats:
    """Linear light of sRGB, both in [0, 1]."""
    return np.asarray(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4), np.float32)


@cache
def _encoded() -> NDArray[np.uint8]:
    """(_LEVELS,) sRGB bytes of evenly spaced linear light."""
    light = np.linspace(0, 1, _LEVELS)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(srgb * 255), np.uint8)


@njit(cache=True)
def visible(screen, faces, height, width):  # type: ignore[no-untyped-def]
    """(h, w) the face seen at the middle of each pixel, or -1, and (h, w, 3) the shares of its corners in space.

    screen: (v, 3) float32 as `Camera.project` gives it. A point on an edge is in both faces: the nearer one is seen,
    or the first. Shares are corrected for perspective.
    """
    face = np.full((height, width), -1, np.int32)
    weights = np.empty((height, width, 3), np.float32)
    depth = np.zeros((height, width), np.float32)
    for index in range(len(faces)):
        a, b, c = faces[index, 0], faces[index, 1], faces[index, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        left = max(math.ceil(min(ax, bx, cx) - 0.5), 0)
        right = min(math.floor(max(ax, bx, cx) - 0.5), width - 1)
        top = max(math.ceil(min(ay, by, cy) - 0.5), 0)
        bottom = min(math.floor(max(ay, by, cy) - 0.5), height - 1)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if left > right or top > bottom or area == 0:
            continue
        scale = 1 / area
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * scale
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * scale
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                u, v, w = u * screen[a, 2], v * screen[b, 2], w * screen[c, 2]
                near = u + v + w
                if near > depth[row, column]:
                    depth[row, column] = near
                    face[row, column] = index
                    weights[row, column, 0] = u / near
                    weights[row, column, 1] = v / near
                    weights[row, column, 2] = w / near
    return face, weights


@njit(cache=True)
def _shade(face, weights, faces, colors, uv, texture, textures, normals, backwards, sun, encoded, fine):  # type: ignore[no-untyped-def]
    """(h, w, 4) bytes of the means of fine x fine samples, lit by a sky, the earth below it, a sun and from behind.

    Normals are turned towards the camera: both sides of a face are seen.
    """
    height, width, side = face.shape[0] // fine, face.shape[1] // fine, textures.shape[1]
    picture = np.zeros((height, width, 4), np.uint8)
    for row, column in np.ndindex(height, width):
        red, green, blue, count = np.float32(0), np.float32(0), np.float32(0), 0
        for sample in range(fine * fine):
            i, j = row * fine + sample // fine, column * fine + sample % fine
            index = face[i, j]
            if index < 0:
                continue
            a, b, c = faces[index]
            u, v, w = weights[i, j]
            x = u * normals[a, 0] + v * normals[b, 0] + w * normals[c, 0]
            y = u * normals[a, 1] + v * normals[b, 1] + w * normals[c, 1]
            z = u * normals[a, 2] + v * normals[b, 2] + w * normals[c, 2]
            facing = x * backwards[0] + y * backwards[1] + z * backwards[2]
            long = max(math.sqrt(x * x + y * y + z * z), 1e-9) * (1 if facing >= 0 else -1)
            direct = max((x * sun[0] + y * sun[1] + z * sun[2]) / long, 0)
            shade = _EARTH + (_SKY - _EARTH) * 0.5 * (1 + y / long) + _DIRECT * direct + _RIM * (1 - facing / long) ** 3
            r = shade * (u * colors[a, 0] + v * colors[b, 0] + w * colors[c, 0])
            g = shade * (u * colors[a, 1] + v * colors[b, 1] + w * colors[c, 1])
            h = shade * (u * colors[a, 2] + v * colors[b, 2] + w * colors[c, 2])
            if texture[index] >= 0:
                across = u * uv[a, 0] + v * uv[b, 0] + w * uv[c, 0]
                down = u * uv[a, 1] + v * uv[b, 1] + w * uv[c, 1]
                i = min(int((down - math.floor(down)) * side), side - 1)
                j = min(int((across - math.floor(across)) * side), side - 1)
                r *= textures[texture[index], i, j, 0]
                g *= textures[texture[index], i, j, 1]
                h *= textures[texture[index], i, j, 2]
            red, green, blue, count = red + min(r, 1), green + min(g, 1), blue + min(h, 1), count + 1
        if count:
            scale = (len(encoded) - 1) / count
            picture[row, column, 0] = encoded[int(red * scale + 0.5)]
            picture[row, column, 1] = encoded[int(green * scale + 0.5)]
            picture[row, column, 2] = encoded[int(blue * scale + 0.5)]
            picture[row, column, 3] = int(255 * count / (fine * fine) + 0.5)
    return picture
