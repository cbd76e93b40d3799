"""How the embedded encoder of films is trained: ``multigen train video-encoder --data FOLDER``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

from torch import Tensor, nn

from multigen.denoise import Cond
from multigen.training import ENDLESS, Items
from multigen_models.contrast_encoder import ContrastRecipe, captioned
from multigen_models.video.encoder import VideoEncoder, seen
from multigen_models.video.names import still_figures
from multigen_models.video.scenes import VideoScenes
from multigen_models.video.takes import Takes, load_takes
from multigen_models.weights import start

VALIDATION_SCENES = 256


@final
class VideoEncoderRecipe(ContrastRecipe):
    """For a folder that `load_takes` takes; held out are takes of every kind, and what was never seen together."""

    modality: ClassVar[str] = "video"
    # In bfloat16 the gradient of convolutions over the smallest maps overflows on CPUs (torch 2.13).
    settings: ClassVar[Mapping[str, Any]] = {**ContrastRecipe.settings, "precision": "no"}
    loader: ClassVar[str] = VideoEncoder.name

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self._seed, self._warm_start = seed, warm_start
        self._takes: Takes = load_takes(data, cache=cache)
        self._still = still_figures(data)

    def network(self) -> nn.Module:
        from multigen_models.video.encoder_network import FilmEncoder

        network: nn.Module = start(FilmEncoder, self._warm_start)
        return network

    def items(self, split: str, /) -> Items:
        length, seed = (ENDLESS, self._seed) if split == "train" else (VALIDATION_SCENES, 0)
        return _Seen(VideoScenes(self._takes, split=split, length=length, seed=seed, still=self._still))


@final
class _Seen:
    """What the network sees of scenes."""

    def __init__(self, scenes: VideoScenes) -> None:
        self._scenes = scenes

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        frames, fps, caption = self._scenes[index]
        return seen(frames, fps), captioned(caption)
