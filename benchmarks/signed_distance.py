"""Prepared distances of watertight shapes beside exact ones: ``python benchmarks/signed_distance.py DATA``.

Exact is the distance to the nearest triangle (libigl), negative where a ray crosses the surface an odd number of times
(trimesh and Embree). So the shapes are those of one closed piece, for which that is the solid.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import igl
import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from multigen_models.shapes.prepare import GRID

CELLS = 3000
"""Of each shape, drawn from those within the truncation of its surface."""


def watertight(data: Path, /) -> Iterator[trimesh.Trimesh]:
    """Closed meshes of one piece in the cube [-1, 1]^3, in an order drawn once."""
    with (data / "metadata.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["watertight"] == "1" and row["modular_part"] != "1"]
    with np.load(data / "meshes.npz") as stored:
        arrays = {name: stored[name] for name in ("verts", "faces", "vert_offset", "face_offset")}
    for place in np.random.default_rng(0).permutation(len(rows)):
        at = int(rows[place]["index"])
        vertices, faces = (
            arrays[name][slice(*arrays[offset][at : at + 2])].astype(kind)
            for name, offset, kind in (("verts", "vert_offset", np.float64), ("faces", "face_offset", np.int64))
        )
        mesh = trimesh.Trimesh(vertices, faces)
        if mesh.is_watertight and mesh.is_winding_consistent and mesh.body_count == 1:
            mesh.apply_translation(-mesh.bounds.mean(0))
            mesh.apply_scale(2 / mesh.extents.max())
            yield mesh


def compared(mesh: trimesh.Trimesh, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ours and exact at `CELLS` cells, in voxels, at most the truncation."""
    colors = torch.zeros(len(mesh.faces), 3)
    grid, _ = GRID.analyse(torch.from_numpy(np.array(mesh.vertices)), torch.from_numpy(np.array(mesh.faces)), colors)
    ours = grid.numpy().astype(np.float64) * GRID.truncation
    rng = np.random.default_rng(0)
    near = np.argwhere(abs(ours) < GRID.truncation)
    cells = near[rng.choice(len(near), min(CELLS, len(near)), replace=False)]
    points = (cells + 0.5 - GRID.margin) * GRID.voxel - 1
    square, *_ = igl.point_mesh_squared_distance(points, np.array(mesh.vertices), np.array(mesh.faces, np.int64))
    exact = np.sqrt(square) / GRID.voxel * np.where(mesh.contains(points), -1, 1)
    return ours[tuple(cells.T)], exact.clip(-GRID.truncation, GRID.truncation)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with meshes.npz and metadata.csv")
    parser.add_argument("--count", type=int, default=30, metavar="N", help="shapes (default 30)")
    given = parser.parse_args()
    found = []
    for mesh, _ in zip(watertight(given.data), range(given.count), strict=False):
        ours, exact = compared(mesh)
        clear = abs(exact) > 0.5
        found.append(
            (
                (np.sign(ours) == np.sign(exact)).mean(),
                (np.sign(ours) == np.sign(exact))[clear].mean(),
                abs(ours - exact).mean(),
                np.quantile(abs(ours - exact), 0.99),
                (abs(ours - exact) < 0.01).mean(),
            )
        )
    names = ("same sign", "same sign beyond half a voxel", "mean error", "99 % of errors below", "errors below 0.01")
    print(f"{len(found)} shapes; lengths in voxels of {GRID.voxel:.4f}; mean, median, worst")
    for name, values, worst in zip(names, np.array(found).T, (min, min, max, max, min), strict=True):
        print(f"{name:30} {values.mean():.4f} {np.median(values):.4f} {worst(values):.4f}")


if __name__ == "__main__":
    main()
