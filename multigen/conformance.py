"""What every modality and every model must do, as checks that a plugin's own tests can call.

``from multigen.testing import check_modality, check_model``: each raises AssertionError with the promise that was
broken.
"""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multigen import provenance
from multigen.modality import Finishes, Keeps, Modality, Sample, Shows, Timed
from multigen.model import Model
from multigen.noise import white
from multigen.options import make
from multigen.request import Request


def check_modality(modality: Modality, sample: Sample, /, *, extensions: tuple[str, ...] | None = None) -> None:
    """Write, read and tag a sample in every container, and refuse what is none.

    sample: a plausible one. extensions: the containers to try, all by default.
    """
    assert modality.name.isidentifier() or modality.name[0].isdigit(), f"{modality.name!r} is no name for a verb"
    assert dataclasses.is_dataclass(modality.Options), "Options must be a dataclass"
    assert getattr(modality.Options, "__dataclass_params__").frozen, "Options must be frozen"  # noqa: B009
    options: Any = make(modality.Options, {})
    assert modality.extensions, "there must be an extension to write"
    assert all(e.startswith(".") and e == e.lower() for e in modality.extensions), (
        "extensions are lower case with a dot"
    )
    with tempfile.TemporaryDirectory() as folder:
        for extension in extensions or tuple(modality.extensions):
            _check_container(modality, sample, Path(folder) / f"sample{extension}")
        _check_refusal(modality, Path(folder) / f"text{modality.extensions[0]}")
    if isinstance(modality, Finishes):
        finished = modality.finish(sample, options)
        assert set(finished) == set(sample), "finish must keep a sample's keys"
        assert all(bool(torch.isfinite(t).all()) for t in _tensors(finished).values()), "finish must stay finite"
    if isinstance(modality, Shows):
        assert ".png" in modality.show_extensions, "every modality that can be drawn can be drawn as PNG"
    if isinstance(modality, Timed):
        assert modality.seconds(sample) > 0, "a sample must last longer than 0 s"
    if isinstance(modality, Keeps):
        kept = modality.keep(sample, sample, {"time": (0.25, 0.5)})
        assert set(kept) == set(sample), "keep must keep a sample's keys"


def check_model(model: Model, options: Any, sample: Sample, /, *, prompts: tuple[str, str]) -> None:
    """Shapes, determinism, independence of the batch, and the denoiser's limits at both ends of the noise.

    options: the modality's. sample: one that the model can encode. prompts: two different ones.
    """
    shape = model.shape(options)
    assert len(shape) >= 1, "the state must have at least one axis"
    assert all(size > 0 for size in shape), f"the state's shape {shape} must be positive"
    assert all(-len(shape) <= axis < 0 for axis in model.axes.values()), "axes count from the end: -1 is the last"
    assert model.fingerprint, "the fingerprint must name the weights"
    cond = model.condition(prompts)
    assert all(len(value) == len(prompts) for value in cond.values()), "a condition has a row for every prompt"
    for i, prompt in enumerate(prompts):
        alone = model.condition([prompt])
        assert all(torch.equal(alone[key][0], cond[key][i]) for key in cond), "a row must depend on its prompt alone"
    d = model.defaults
    noise = white([0, 1], shape)
    with torch.no_grad():
        denoise = model.denoiser(cond, options)
        high = denoise(d.sigma_max * noise, d.sigma_max)
        assert high.shape == noise.shape, (
            f"the denoiser must keep the shape {tuple(noise.shape)}, not {tuple(high.shape)}"
        )
        assert torch.equal(high, denoise(d.sigma_max * noise, d.sigma_max)), "the denoiser must be deterministic"
        assert bool(torch.isfinite(high).all()), "the denoiser must be finite at sigma_max"
        for i in range(2):
            row = {key: value[i : i + 1] for key, value in cond.items()}
            single = model.denoiser(row, options)(d.sigma_max * noise[i : i + 1], d.sigma_max)
            assert torch.allclose(single, high[i : i + 1], rtol=1e-4, atol=1e-4), (
                "a sample must not depend on its batch"
            )
        encoded = model.encode(sample, options)
        assert tuple(encoded.shape) == tuple(shape), (
            f"encode must give the shape {tuple(shape)}, not {tuple(encoded.shape)}"
        )
        x = torch.stack([encoded, encoded])
        error = denoise(x + d.sigma_min * noise, d.sigma_min) - x
        assert float(error.square().mean().sqrt()) < 5 * d.sigma_min, (
            "at sigma_min the denoiser must nearly be the identity"
        )
        decoded = model.decode(encoded, options)
    assert set(decoded) == set(sample), "decode must give what encode takes"


def _check_container(modality: Modality, sample: Sample, path: Path) -> None:
    request = Request(modality=modality.name, prompt='quotes " and an umlaut \u00fc', model="m")
    tags = provenance.tags(request, 7, sample)
    modality.write(sample, path, tags=tags)
    assert path.is_file(), f"write must write {path.name}"
    assert [p.name for p in path.parent.iterdir()] == [path.name], "write must leave nothing else behind"
    assert set(modality.read(path)) == set(sample), f"{path.suffix}: read must give a sample with the same keys"
    record = provenance.read_record(modality, path)
    assert (record.request, record.seed) == (request, 7), f"{path.suffix}: the metadata must come back as written"
    modality.write(sample, path, tags={})
    assert provenance.TAG not in modality.read_tags(path), f"{path.suffix}: without tags there must be none"
    path.unlink()


def _check_refusal(modality: Modality, path: Path) -> None:
    path.write_text(json.dumps("this is no sample"))
    try:
        modality.read(path)
    except (ValueError, OSError):
        return
    raise AssertionError("read must raise UsageError, ValueError or OSError for a file that is no sample")


def _tensors(sample: Sample) -> Mapping[str, Tensor]:
    return {key: value for key, value in sample.items() if isinstance(value, Tensor)}
