"""Pipelines of diffusers, from a folder or a hub, as models. Importing this package imports no part of diffusers."""
