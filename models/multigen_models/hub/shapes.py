"""Pipelines of diffusers that make shapes, taken apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from multigen.denoise import Cond
from multigen.errors import GenerationError, UsageError
from multigen.modality import Sample

CHANNELS = ("R", "G", "B")


@final
@dataclass(frozen=True)
class ShapE:
    """Shap-E (arXiv 2305.02463): weights of a field of distances and colours; the state is (1024, 1024), without axes.

    The pipeline holds no encoder from shapes to such weights, so nothing can be edited.
    """

    pipe: Any
    axes: ClassVar[Mapping[str, int]] = {}

    def shape(self, options: Any, /) -> tuple[int, ...]:
        config = self.pipe.prior.config
        return (config.num_embeddings, config.embedding_dim)

    def place(self, axis: str, edge: float, options: Any, /) -> float:
        return edge

    def condition(self, prompt: str, /) -> Cond:
        """CLIP's vector of a prompt; that of the empty prompt is 0."""
        text = self.pipe._encode_prompt(prompt, self.pipe._execution_device, 1, False)
        return {"proj_embedding": text if prompt else torch.zeros_like(text)}

    def inputs(self, options: Any, /) -> Mapping[str, Any]:
        return {}

    def predict(self, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /) -> Tensor:
        out = network(x, timestep=noise, **cond).predicted_image_embedding
        mean, _ = out.split(x.shape[-1], dim=-1)
        made: Tensor = mean
        return made

    def timetable(self, steps: int, options: Any, /) -> Mapping[str, Any]:
        return {"num_inference_steps": steps}

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        raise UsageError("this model cannot read a shape: leave out --init, or choose --model voxels-small")

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        """The mesh of its own decoder, turned so that y is up, with its colours."""
        device = self.pipe._execution_device
        mesh = self.pipe.shap_e_renderer.decode_to_mesh(x[None].to(device, self.pipe.prior.dtype), device)
        return mesh_sample(mesh)


def mesh_sample(mesh: Any, /) -> Sample:
    """A `MeshDecoderOutput` as a sample: its z axis is up, ours is y. Raises GenerationError for an empty one."""
    if not len(mesh.faces):
        raise GenerationError("the model made an empty shape: try another --seed")
    x, y, z = mesh.verts.float().cpu().unbind(-1)
    colors = torch.stack([mesh.vertex_channels[channel].float().cpu() for channel in CHANNELS], dim=-1)
    return {
        "vertices": torch.stack([x, z, -y], dim=-1),
        "faces": mesh.faces.long().cpu(),
        "colors": colors.clamp(0, 1),
    }
