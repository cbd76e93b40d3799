"""Sounds, films and shapes that are drawn at random, quickly: what stands for real samples where there are none."""

import math

import torch
import trimesh

RATE = 24_000


def tone(seed, *, noise=0.0):
    """A tone of a random pitch that fades, with white noise."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(2 * RATE) / RATE
    pitch = 200 * 2 ** (4 * torch.rand((), generator=generator))
    wave = 0.3 * torch.sin(2 * math.pi * pitch * t) * torch.exp(-t * torch.rand((), generator=generator))
    return {"wave": (wave + noise * torch.randn(len(t), generator=generator))[None], "sample_rate": RATE}


def box(seed, *, noise=0.0):
    generator = torch.Generator().manual_seed(seed)
    mesh = trimesh.creation.box((0.5 + torch.rand(3, generator=generator)).tolist()).subdivide().subdivide()
    vertices = torch.tensor(mesh.vertices, dtype=torch.float32)
    vertices = vertices + noise * torch.randn(vertices.shape, generator=generator)
    return {"vertices": vertices, "faces": torch.tensor(mesh.faces), "colors": torch.zeros_like(vertices)}


def square(seed, *, noise=0.0, step=(3, 0), pan=0, count=12):
    """A bright square that moves over a place with a pattern, which a camera may pan over."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 40, generator=generator), (96, 320), mode="bilinear")
    left, top = (int(v) for v in 30 + 10 * torch.rand(2, generator=generator))
    frames = []
    for t in range(count):
        frame = place[0, :, :, 100 + pan * t : 196 + pan * t].clone() * 120
        x, y = left + step[0] * t - 20 * (step[0] > 0) + 20 * (step[0] < 0), top + step[1] * t
        frame[:, y : y + 24, x : x + 24] = 120 + 130 * place[0, :, :24, :24]
        frames.append(frame + 255 * noise * torch.randn(frame.shape, generator=generator))
    return {"frames": torch.stack(frames).clamp(0, 255).to(torch.uint8), "fps": 8.0}
