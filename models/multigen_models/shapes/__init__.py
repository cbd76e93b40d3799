"""The embedded 3D models and encoder: grids and points of shapes, networks, and the data they are trained on."""
