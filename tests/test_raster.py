"""Pictures of triangles against rays cast by brute force, and against closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from multigen_models.video.raster import SOFT, SUN, TEXTURE, Camera, Surface, draw, linear_light, shadow, visible

CAMERA = Camera((0.3, -0.2, 0.1), 5.0, 35.0, 20.0, 60.0, (24.0, 20.0))
LEVEL = Camera((0.0, 0.0, 0.0), 1000.0, 0.0, 0.0, 10000.0, (16.0, 16.0))  # 10 pixels to a unit, nearly parallel


def surface(faces: object, colors: object, **more: object) -> Surface:
    faces, colors = np.array(faces, np.int64), np.array(colors, np.float32)
    about = {
        "uv": np.zeros((len(colors), 2), np.float32),
        "texture": np.full(len(faces), -1),
        "textures": np.zeros((0, TEXTURE, TEXTURE, 3), np.float32),
    }
    return Surface(faces, colors, **about | more)


def square(
    side: float = 2.0, z: float = 0.0, normal: object = (0, 0, 1)
) -> tuple[np.ndarray, np.ndarray, list[object]]:
    half = side / 2
    corners = np.array([(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)], np.float32)
    return corners, np.tile(np.array(normal, np.float32), (4, 1)), [(0, 1, 2), (0, 2, 3)]


def picture(albedo: object = 0.5, camera: Camera = LEVEL, **shape: object) -> np.ndarray:
    positions, normals, faces = square(**shape)
    painted = surface(faces, np.tile(np.broadcast_to(np.float32(albedo), 3), (4, 1)))
    return draw(painted, positions, normals, camera=camera, size=(32, 32))


def light(pixel: np.ndarray) -> np.ndarray:
    return linear_light(pixel[:3].astype(np.float32) / 255)


def rays(camera: Camera, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The eye, and directions (h, w, 3) through the middles of pixels, from the camera's numbers alone."""
    yaw, elevation = np.radians((camera.yaw, camera.elevation))
    # The camera goes round by -yaw when what it sees turns by yaw.
    right = np.array([np.cos(yaw), 0, np.sin(yaw)])
    back = np.array([-np.sin(yaw) * np.cos(elevation), np.sin(elevation), np.cos(yaw) * np.cos(elevation)])
    up = np.cross(back, right)
    x = (np.arange(width) + 0.5 - camera.center[0]) / camera.focal
    y = (camera.center[1] - np.arange(height) - 0.5) / camera.focal
    directions = x[None, :, None] * right + y[:, None, None] * up - back
    return np.array(camera.target) + camera.distance * back, directions


def cast(eye: np.ndarray, directions: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First triangle hit, or -1, and shares of its corners (Moeller and Trumbore, 1997)."""
    a, b, c = triangles.swapaxes(0, 1)
    d = directions[..., None, :]
    p = np.cross(d, c - a)
    scale = 1 / np.sum((b - a) * p, -1)
    u = np.sum((eye - a) * p, -1) * scale
    q = np.cross(eye - a, b - a)
    v = np.sum(d * q, -1) * scale
    t = np.where((u >= 0) & (v >= 0) & (u + v <= 1), np.sum((c - a) * q, -1) * scale, np.inf)
    t = np.where(t > 0, t, np.inf)
    first = t.argmin(-1)
    u, v = (np.take_along_axis(w, first[..., None], -1)[..., 0] for w in (u, v))
    return np.where(np.isfinite(t.min(-1)), first, -1), np.stack([1 - u - v, u, v], -1)


def test_the_nearest_face_is_seen_in_every_pixel() -> None:
    rng = np.random.default_rng(1)
    positions = rng.normal(size=(90, 3)).astype(np.float32)
    positions += rng.normal(size=(30, 1, 3)).repeat(3, 1).reshape(90, 3).astype(np.float32) * 0.5
    faces = np.arange(90).reshape(30, 3)
    face, weights = visible(CAMERA.project(positions), faces, 40, 48)
    wanted, shares = cast(*rays(CAMERA, 40, 48), positions[faces].astype(np.float64))
    assert len(np.unique(wanted)) > 15
    assert 0.2 < np.mean(wanted >= 0) < 0.99
    same = face == wanted
    assert np.mean(same) > 0.999
    np.testing.assert_allclose(weights[same & (wanted >= 0)], shares[same & (wanted >= 0)], atol=2e-3)


def test_neighbouring_faces_leave_no_gap() -> None:
    n = 15
    y, x = np.mgrid[0:n, 0:n]
    rng = np.random.default_rng(2)
    grid = np.stack([x, y, np.ones((n, n))], -1) + np.pad(
        rng.uniform(-0.3, 0.3, (n - 2, n - 2, 2)), ((1, 1), (1, 1), (0, 1))
    )
    corner = np.arange(n * n).reshape(n, n)
    a, b, c, d = (corner[i : n - 1 + i, j : n - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 1), (1, 0)))
    screen = (grid.reshape(-1, 3) * (7, 7, 1)).astype(np.float32)
    face, weights = visible(screen, np.concatenate([np.stack([a, b, c], 1), np.stack([c, a, d], 1)]), 98, 98)
    assert (face >= 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_faces_without_area_or_outside_are_not_seen() -> None:
    screen = np.array([(0, 0, 1), (8, 8, 1), (4, 4, 1), (-9, -9, 1), (-1, -9, 1), (-5, -1, 1)], np.float32)
    face, _ = visible(screen, np.array([(0, 1, 2), (3, 4, 5)]), 8, 8)
    assert (face == -1).all()


def test_the_camera_turns_what_it_sees() -> None:
    axes = np.eye(3, dtype=np.float32)
    front = dataclasses.replace(LEVEL, target=(0.0, 0.0, 0.0))
    for yaw, (x, z) in {
        0: ((26, 16), (16, 16)),
        90: ((16, 16), (26, 16)),
        180: ((6, 16), (16, 16)),
        -90: ((16, 16), (6, 16)),
    }.items():
        seen = dataclasses.replace(front, yaw=float(yaw)).project(axes)
        np.testing.assert_allclose(seen[[0, 2], :2], [x, z], atol=0.02)
        np.testing.assert_allclose(seen[1, :2], (16, 6), atol=0.02)
    above = dataclasses.replace(front, elevation=90.0).project(axes)
    np.testing.assert_allclose(above[2, :2], (16, 26), atol=0.02)  # what is in front is below
    assert above[1, 2] > above[0, 2]  # what is above is nearer
    (middle,) = CAMERA.project(np.array([CAMERA.target], np.float32))
    np.testing.assert_allclose(middle, (*CAMERA.center, 1 / CAMERA.distance), rtol=1e-6)


def test_alpha_is_the_share_of_a_pixel_that_is_covered() -> None:
    alpha = picture(side=2.05, z=0.0)[..., 3]  # from pixel 5.75 to 26.25: half a pixel by samples at quarters
    assert (alpha[6:26, 6:26] == 255).all()
    assert alpha[10, 5] in (0, 128)
    shifted = picture(camera=dataclasses.replace(LEVEL, center=(16.5, 16.0)), side=2.0)
    assert set(shifted[10:20, 6, 3].tolist()) == {128}
    assert set(shifted[10:20, 26, 3].tolist()) == {128}
    assert not shifted[:, :6].any()
    # Straight alpha: a half covered pixel has the colour of what covers it.
    np.testing.assert_array_equal(shifted[10, 6, :3], shifted[10, 16, :3])


def test_light_is_proportional_to_the_albedo_and_colors_keep_their_ratio() -> None:
    dark, bright, colored = (light(picture(albedo)[16, 16]) for albedo in (0.2, 0.4, (0.4, 0.2, 0.1)))
    np.testing.assert_allclose(bright / dark, 2, rtol=0.02)
    np.testing.assert_allclose(colored / bright, (1, 0.5, 0.25), rtol=0.03)
    assert picture(1.0)[16, 16].max() == 255


def test_what_faces_the_sun_is_brightest_and_both_sides_are_lit_alike() -> None:
    sun = np.array(SUN) / np.linalg.norm(SUN)
    shades = {
        name: light(picture(normal=normal)[16, 16])[0]
        for name, normal in {"sun": sun, "front": (0, 0, 1), "left": (-1, 0, 0.1), "right": (1, 0, 0.1)}.items()
    }
    assert shades["sun"] > shades["front"] > shades["right"]
    assert shades["left"] > shades["right"]
    np.testing.assert_array_equal(picture(normal=-sun), picture(normal=sun))


def test_the_sun_turns_with_the_camera() -> None:
    turned = dataclasses.replace(LEVEL, yaw=70.0)
    positions, normals, faces = square()
    back = turned.rotation  # rows times this are seen by the camera as they were
    painted = surface(faces, np.full((4, 3), 0.5))
    seen = draw(painted, positions @ back, normals @ back, camera=turned, size=(32, 32))
    assert np.abs(seen.astype(int) - picture().astype(int)).max() <= 1


def test_textures_multiply_colors_and_repeat() -> None:
    positions, normals, faces = square(side=3.2)
    halves = np.zeros((1, TEXTURE, TEXTURE, 3), np.float32)
    halves[0, :, : TEXTURE // 2] = (1, 0, 0)
    halves[0, :, TEXTURE // 2 :] = (0, 1, 0)
    halves[0, TEXTURE // 2 :] *= 0.5
    uv = np.array([(0, 2), (2, 2), (2, 0), (0, 0)], np.float32) - 3  # two repetitions each way
    painted = surface(faces, np.full((4, 3), 0.5), uv=uv, texture=np.zeros(2, np.int64), textures=halves)
    made = draw(painted, positions, normals, camera=LEVEL, size=(32, 32))
    plain = light(picture(side=3.2)[2, 2])[0]
    for row, column, wanted in (
        (2, 2, (1, 0, 0)),
        (2, 12, (0, 1, 0)),
        (2, 18, (1, 0, 0)),
        (12, 2, (0.5, 0, 0)),
        (29, 29, (0, 0.5, 0)),
    ):
        np.testing.assert_allclose(light(made[row, column]) / plain, wanted, atol=0.02)


@pytest.mark.parametrize("yaw", [0.0, 50.0])
def test_the_shadow_lies_away_from_the_sun(yaw: float) -> None:
    above = Camera((0.0, 0.0, 0.0), 1000.0, yaw, 89.99, 10000.0, (24.0, 24.0))
    positions, _, faces = square(side=1.0)
    flat = positions[:, [0, 2, 1]]
    weights = []
    for height in (0.0, 1.1):
        fallen = shadow(
            surface(faces, np.ones((4, 3))),
            flat + np.float32([0, height - 0.5, 0]),
            ground=-0.5,
            camera=above,
            size=(48, 48),
        )
        weight = fallen.astype(float)
        assert weight.sum() / 255 == pytest.approx(100, rel=0.03)  # as large as the square, 10 x 10 pixels
        y, x = np.mgrid[0:48, 0:48] + 0.5
        weights.append(((weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()))
    (x0, y0), (x1, y1) = weights
    # To the right and to the back, as far as the height over the sun's slope; seen from above, the back is up.
    np.testing.assert_allclose((x0, y0), (24, 24), atol=0.2)
    np.testing.assert_allclose((x1 - x0, y1 - y0), (-11 * SUN[0] / SUN[1], -11 * SUN[2] / SUN[1]), atol=0.2)


def test_shadows_are_soft() -> None:
    above = Camera((0.0, 0.0, 0.0), 1000.0, 0.0, 89.99, 10000.0, (24.0, 24.0))
    positions, _, faces = square(side=2.0)
    row = (
        shadow(surface(faces, np.ones((4, 3))), positions[:, [0, 2, 1]], ground=0.0, camera=above, size=(48, 48))[24]
        / 255
    )
    slope = np.diff(row[:24].astype(float))
    middle = (slope * (np.arange(23) + 1)).sum()
    assert row[24] == 1
    assert slope.min() >= 0
    assert middle == pytest.approx(14, abs=0.1)
    assert (slope * (np.arange(23) + 1 - middle) ** 2).sum() == pytest.approx(SOFT**2, rel=0.1)


def test_arguments_stay_as_they_are() -> None:
    positions, normals, faces = square()
    before = positions.copy(), normals.copy()
    painted = surface(faces, np.full((4, 3), 0.5))
    draw(painted, positions, normals, camera=CAMERA, size=(40, 48))
    shadow(painted, positions, ground=-1.0, camera=CAMERA, size=(40, 48))
    CAMERA.project(positions)
    np.testing.assert_array_equal(positions, before[0])
    np.testing.assert_array_equal(normals, before[1])
