"""The 3D modality: coloured meshes and point clouds, written as glTF, OBJ, PLY, STL, XYZ or NPZ."""

from multigen_3d.shape import Shape, ShapeOptions

__all__ = ["Shape", "ShapeOptions"]
