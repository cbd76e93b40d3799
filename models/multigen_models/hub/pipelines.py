"""Loading a pipeline of diffusers from a folder that was checked, onto the machine that is there."""

from importlib import import_module
from pathlib import Path
from typing import Any

from multigen.errors import UsageError
from multigen.loading import Loading, choose, compile_inside, quantize
from multigen_models.hub.families import Family
from multigen_models.hub.files import LIBRARIES, Index, sizes, variant
from multigen_models.hub.quiet import quiet


def load_pipeline(folder: Path, index: Index, family: Family | None, asked: Loading, /) -> Any:
    """The pipeline in a folder, ready to run. family: what is known of it, such as the component that denoises.

    Raises UsageError for parts that do not fit together, and for what this machine cannot do.
    """
    import torch
    from diffusers import DiffusionPipeline
    from safetensors import SafetensorError

    if family is None and (asked.quantize or asked.compile):
        raise UsageError(
            f"{index.pipeline} is not known here, nor which of its parts is the network: leave out --quantize and "
            "--compile"
        )
    if not asked.trust_remote_code:
        _check_classes(folder, index)
    loading = choose(asked, sizes=tuple(sizes(folder, index).values()))
    try:
        with quiet():
            pipe = DiffusionPipeline.from_pretrained(
                folder,
                dtype=getattr(torch, loading.dtype),
                variant=variant(folder, index),
                use_safetensors=None if loading.trust_remote_code else True,
                local_files_only=True,
                trust_remote_code=loading.trust_remote_code,
            )
    except ImportError as error:
        raise UsageError(f"{folder} needs a package that is not installed ({_first_line(error)})") from None
    except (OSError, ValueError, RuntimeError, TypeError, AttributeError, KeyError, SafetensorError) as error:
        raise UsageError(
            f"{folder} cannot be loaded as {index.pipeline} ({_first_line(error)}): copy the model again"
        ) from None
    pipe.set_progress_bar_config(disable=True)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    experts = (family.network, f"{family.network}_2") if family else ()  # Wan 2.2 has two
    networks = [getattr(pipe, name) for name in experts if getattr(pipe, name, None) is not None]
    for part in networks if loading.quantize else ():
        quantize(part)
    with quiet():
        _placed(pipe, loading)
    if loading.offload != "none" and family and family.modality == "video" and hasattr(pipe.vae, "enable_tiling"):
        pipe.vae.enable_tiling()  # a film that is decoded all at once takes more memory than the network does
    for part in networks if loading.compile else ():
        compile_inside(part)
    return pipe


def _check_classes(folder: Path, index: Index) -> None:
    """Raise UsageError for a class that the installed libraries do not have."""
    for component in index.components:
        if component.library in LIBRARIES and not hasattr(import_module(component.library), component.kind):
            raise UsageError(
                f"{folder}: its {component.name} is {component.kind}, which this version of {component.library} does "
                f"not have: pip install -U {component.library}"
            )


def _placed(pipe: Any, loading: Loading) -> Any:
    """On its device, or only as much of it as is at work there; a part whose layers cannot come one by one is there."""
    import torch

    if loading.offload == "model":
        pipe.enable_model_cpu_offload(device=loading.device)
    elif loading.offload == "group":
        pipe.enable_group_offload(
            onload_device=torch.device(loading.device),
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=loading.device == "cuda",
            exclude_modules=[
                n for n, p in pipe.components.items() if not getattr(p, "_supports_group_offloading", True)
            ],
        )
    else:
        pipe.to(loading.device)
    return pipe


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
