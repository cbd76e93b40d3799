"""The codec of the voxel models: distances of closed, open and thin surfaces, and meshes that are always watertight."""

import numpy as np
import pytest
import torch
import trimesh

from multigen.errors import UsageError
from multigen_models.shapes.distance_grid import DistanceGrid

GRID = DistanceGrid()
RED, BLUE = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])


def analysed(*meshes, color=RED):
    mesh = trimesh.util.concatenate(list(meshes))
    faces = torch.tensor(mesh.faces)
    return GRID.analyse(torch.tensor(mesh.vertices), faces, color.expand(len(faces), 3))


def centres():
    """Positions (64, 64, 64, 3) of the cells in the cube."""
    at = (torch.arange(GRID.resolution) + 0.5 - GRID.margin) * GRID.voxel - 1
    return torch.stack(torch.meshgrid(at, at, at, indexing="ij"), dim=-1)


def box(extents, at=(0, 0, 0)):
    return trimesh.creation.box(extents, trimesh.transformations.translation_matrix(at))


def check_solid(vertices, faces):
    mesh = trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)
    assert len(mesh.faces) > 0
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    return mesh


def sphere_distance(radius):
    return centres().norm(dim=-1) - radius


def box_distance(half):
    q = centres().abs() - torch.tensor(half)
    return q.clamp(min=0).norm(dim=-1) + q.max(dim=-1).values.clamp(max=0)


def test_distances_to_a_sphere_and_a_box():
    for mesh, exact in [
        (trimesh.creation.icosphere(5, radius=0.9), sphere_distance(0.9)),
        (box((1.6, 1.0, 0.6)), box_distance((0.8, 0.5, 0.3))),
    ]:
        distance, _ = analysed(mesh)
        expected = (exact / GRID.voxel / GRID.truncation).clamp(-1, 1)
        assert (distance - expected).abs().max() * GRID.truncation < 0.25  # voxels
        clear = exact.abs() > 0.1 * GRID.voxel
        assert torch.equal((distance < 0)[clear], (exact < 0)[clear])


def test_a_mesh_inside_out_and_one_with_a_hole_have_the_same_inside():
    sphere = trimesh.creation.icosphere(4, radius=0.8)
    whole, _ = analysed(sphere)
    turned, _ = analysed(trimesh.Trimesh(sphere.vertices, sphere.faces[:, ::-1], process=False))
    assert torch.equal(turned < 0, whole < 0)
    top = sphere.triangles_center[:, 1] > 0.75
    holed, _ = analysed(trimesh.Trimesh(sphere.vertices, sphere.faces[~top], process=False))
    far = centres()[..., 1] < 0.5
    assert torch.equal((holed < 0)[far], (whole < 0)[far])
    assert float((holed < 0).sum()) == pytest.approx(float((whole < 0).sum()), rel=0.03)


def test_doubled_walls_enclose_nothing_beyond_the_box_of_the_surface():
    whole = box((1.2, 1.0, 1.2))
    walls = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 1] > -0.49], process=False)
    assert len(walls.faces) == 10
    grown = walls.copy()
    grown.apply_scale(1.002)  # two copies in one place would be one surface
    doubled, _ = analysed(walls, grown)
    closed, _ = analysed(whole)
    assert torch.equal(doubled < 0, closed < 0)


def test_overlapping_shells_are_one_solid():
    left, right = (trimesh.creation.icosphere(4, radius=0.5) for _ in range(2))
    left.apply_translation((-0.25, 0, 0))
    right.apply_translation((0.25, 0, 0))
    distance, _ = analysed(left, right)
    exact = torch.minimum(
        (centres() - torch.tensor([-0.25, 0, 0])).norm(dim=-1), (centres() - torch.tensor([0.25, 0, 0])).norm(dim=-1)
    )
    clear = (exact - 0.5).abs() > 0.1 * GRID.voxel
    assert torch.equal((distance < 0)[clear], (exact < 0.5)[clear])
    _, faces, _ = GRID.synthesise(*analysed(left, right))
    assert len(faces) > 100


def test_a_sheet_and_a_rod_thinner_than_a_voxel_survive():
    sheet = trimesh.Trimesh([[-0.8, 0, -0.8], [0.8, 0, -0.8], [0.8, 0, 0.8], [-0.8, 0, 0.8]], [[0, 1, 2], [0, 2, 3]])
    rod = box((0.3 * GRID.voxel, 1.8, 0.3 * GRID.voxel), at=(0.1, 0, 0.2))
    for mesh, length, axis in ((sheet, 1.6, 0), (rod, 1.8, 1)):
        vertices, faces, _ = GRID.synthesise(*analysed(mesh))
        made = check_solid(vertices, faces)
        assert made.body_count == 1
        assert np.ptp(made.vertices[:, axis]) == pytest.approx(length, abs=3 * GRID.voxel)


def test_a_rebuilt_mesh_has_its_place_its_volume_and_its_colours():
    top, bottom = box((1.0, 0.6, 1.0), at=(0, 0.5, 0)), box((1.0, 0.6, 1.0), at=(0, -0.5, 0))
    mesh = trimesh.util.concatenate([top, bottom])
    colors = torch.cat([RED.expand(12, 3), BLUE.expand(12, 3)])
    grids = GRID.analyse(torch.tensor(mesh.vertices), torch.tensor(mesh.faces), colors)
    vertices, faces, made = GRID.synthesise(*grids)
    rebuilt = check_solid(vertices, faces)
    assert rebuilt.volume == pytest.approx(1.2, rel=0.03)
    assert np.abs(rebuilt.bounds - mesh.bounds).max() < 0.6 * GRID.voxel
    assert (made[vertices[:, 1] > 0] - RED).abs().max() < 0.02
    assert (made[vertices[:, 1] < 0] - BLUE).abs().max() < 0.02


def test_colours_are_zero_away_from_the_surface():
    distance, color = analysed(trimesh.creation.icosphere(4, radius=0.8))
    near = torch.nn.functional.max_pool3d(-distance.abs()[None], 2)[0] > -0.2
    assert (color[:, near].movedim(0, -1) - (2 * RED - 1)).abs().max() < 0.01
    assert not color[:, 0].any()


def test_every_field_becomes_a_watertight_mesh():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.randn(12, 1, 9, 9, 9, generator=generator), (64,) * 3, mode="trilinear"
    )[:, 0].clamp(-1, 1)
    rough = torch.randn(4, 64, 64, 64, generator=generator).clamp(-1, 1)
    checkers = torch.ones(64, 64, 64)
    checkers[::2, ::2, ::2] = -1
    checkers[1::2, 1::2, ::2] = -1
    alone = torch.ones(64, 64, 64)
    alone[5, 6, 7] = -0.01
    for field in [*smooth, *rough, checkers, alone, torch.ones(64, 64, 64), -torch.ones(64, 64, 64), 0 * alone]:
        vertices, faces, colors = GRID.synthesise(field, torch.zeros(3, 32, 32, 32))
        check_solid(vertices, faces)
        assert colors.shape == vertices.shape


def test_packing_is_a_bijection():
    distance, color = torch.randn(2, 64, 64, 64), torch.randn(2, 3, 32, 32, 32)
    packed = GRID.pack(distance, color)
    assert packed.shape == (2, 88, 16, 16, 16)
    again = GRID.unpack(packed)
    assert torch.equal(again[0], distance)
    assert torch.equal(again[1], color)
    assert torch.equal(packed[:, 0, 1, 2, 3], distance[:, 4, 8, 12])
    assert torch.equal(packed[:, 64, 1, 2, 3], color[:, 0, 2, 4, 6])


@pytest.mark.parametrize("vertices", [torch.zeros(3, 3), torch.full((3, 3), torch.nan), 5 * torch.eye(3)])
def test_what_is_no_surface_in_the_cube_is_refused(vertices):
    with pytest.raises(UsageError):
        GRID.analyse(vertices, torch.tensor([[0, 1, 2]]), torch.ones(1, 3))
    with pytest.raises(UsageError, match="finite"):
        GRID.synthesise(torch.full((64, 64, 64), torch.nan), torch.zeros(3, 32, 32, 32))
