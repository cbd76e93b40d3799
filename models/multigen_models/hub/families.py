"""The families of diffusers' pipelines that are known, and how what we call things is said to each of them.

A family with `opened` is taken apart, and the core drives its network. One without runs as it is; so does one that is
not in the table, by the names that its call has in common with others (`ALIASES`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final


@final
@dataclass(frozen=True)
class Checkpoint:
    """A published model of a family. size: weights to fetch. needs: memory of a GPU in half precision.

    own: what is different from the family's, as fields of `Family`.
    """

    name: str
    licence: str
    size: str
    needs: str
    own: Mapping[str, Any] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Family:
    """One class of pipelines.

    network: the component that denoises. opened: who takes it apart, as "module:function" in this package.
    arguments: the fields of a request and the modality's options that its call takes, by its own names; "frames",
    "width" and "height" follow from the options of video. fixed: arguments that are always the same.
    suggested: the options that its models were trained for. steps, guidance: what its call does by itself.
    kind: see `multigen.model.Kind`.
    """

    pipeline: str
    modality: str
    makes: str
    network: str
    opened: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    suggested: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 50
    sampler: str = "dpmpp_2m"
    guidance: float = 3.0
    kind: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()

    def of(self, name: str, /) -> "Family":
        """The family as the checkpoint of that name has it."""
        own = [checkpoint.own for checkpoint in self.checkpoints if checkpoint.name == name]
        return replace(self, **own[0]) if own else self


_SAID = {"steps": "num_inference_steps", "guidance": "guidance_scale", "negative_prompt": "negative_prompt"}
_SOUND = {"output_type": "np"}
_FILM = {**_SAID, "frames": "num_frames", "width": "width", "height": "height"}
_PICTURES = {"output_type": "np"}

FAMILIES = (
    Family(
        "AudioLDM2Pipeline",
        "audio",
        "sounds, music and speech, 16 kHz",
        "unet",
        "audio:audioldm2",
        {**_SAID, "duration": "audio_length_in_s"},
        _SOUND,
        {"duration": 10.24},
        guidance=3.5,
        checkpoints=(
            Checkpoint("cvssp/audioldm2", "CC-BY-NC-SA-4.0", "about 4.3 GB", "about 6 GB"),
            Checkpoint("cvssp/audioldm2-large", "CC-BY-NC-SA-4.0", "about 6 GB", "about 8 GB"),
            Checkpoint("cvssp/audioldm2-music", "CC-BY-NC-SA-4.0", "about 4.3 GB", "about 6 GB"),
        ),
    ),
    Family(
        "MusicLDMPipeline",
        "audio",
        "music, 16 kHz",
        "unet",
        "audio:musicldm",
        {**_SAID, "duration": "audio_length_in_s"},
        _SOUND,
        {"duration": 10.24},
        guidance=2.0,
        checkpoints=(Checkpoint("ucsd-reach/musicldm", "CC-BY-NC-SA-4.0", "about 1.8 GB", "about 4 GB"),),
    ),
    Family(
        "AudioLDMPipeline",
        "audio",
        "sounds and music, 16 kHz",
        "unet",
        "audio:musicldm",
        {**_SAID, "duration": "audio_length_in_s"},
        _SOUND,
        {"duration": 5.12},
        guidance=2.5,
        checkpoints=(Checkpoint("cvssp/audioldm-s-full-v2", "CC-BY-NC-SA-4.0", "about 1.5 GB", "about 3 GB"),),
    ),
    Family(
        "StableAudioPipeline",
        "audio",
        "sounds and music, 44.1 kHz stereo, up to 47 s",
        "transformer",
        "audio:StableAudio",
        {**_SAID, "duration": "audio_end_in_s"},
        _SOUND,
        {"duration": 10.0},
        steps=100,
        sampler="dpmpp_2m_sde",
        guidance=7.0,
        checkpoints=(
            Checkpoint("stabilityai/stable-audio-open-1.0", "Stability AI Community (gated)", "5.3 GB", "about 8 GB"),
        ),
    ),
    Family(
        "AceStepPipeline",
        "audio",
        "music with vocals, 48 kHz stereo",
        "transformer",
        arguments={"steps": "num_inference_steps", "guidance": "guidance_scale", "duration": "audio_duration"},
        fixed=_SOUND,
        suggested={"duration": 60.0},
        steps=8,
        guidance=7.0,
        checkpoints=(
            Checkpoint("ACE-Step/acestep-v15-xl-turbo-diffusers", "MIT", "11 GB", "12 GB, with --offload model"),
            Checkpoint(
                "ACE-Step/acestep-v15-xl-base-diffusers", "MIT", "11 GB", "12 GB, with --offload model", {"steps": 50}
            ),
        ),
    ),
    Family(
        "StableAudio3Pipeline",
        "audio",
        "sounds and music, 44.1 kHz stereo",
        "transformer",
        arguments={**_SAID, "duration": "duration"},
        fixed=_SOUND,
        suggested={"duration": 10.0},
        steps=8,
        guidance=1.0,
    ),
    Family(
        "LongCatAudioDiTPipeline",
        "audio",
        "sounds and speech, 24 kHz, up to 30 s",
        "transformer",
        "audio:LongCat",
        {**_SAID, "duration": "audio_duration_s"},
        _SOUND,
        {"duration": 10.0},
        steps=16,
        sampler="euler",
        guidance=4.0,
        checkpoints=(Checkpoint("ruixiangma/LongCat-AudioDiT-1B-Diffusers", "MIT", "about 5.4 GB", "about 8 GB"),),
    ),
    Family(
        "WanPipeline",
        "video",
        "films at 16 frames a second",
        "transformer",
        "video:wan",
        _FILM,
        _PICTURES,
        {"size": "832x480", "fps": 16.0, "duration": 5.0},
        sampler="unipc",
        guidance=5.0,
        checkpoints=(
            Checkpoint("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "Apache-2.0", "29 GB", "11 GB, with --offload model"),
            Checkpoint("Wan-AI/Wan2.1-T2V-14B-Diffusers", "Apache-2.0", "80 GB", "35 GB, with --offload model"),
            Checkpoint(
                "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
                "Apache-2.0",
                "about 126 GB",
                "about 35 GB, with --offload model",
                {"steps": 40, "guidance": 4.0},
            ),
            Checkpoint(
                "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
                "Apache-2.0",
                "about 34 GB",
                "24 GB, with --offload model",
                {
                    "makes": "films at 24 frames a second",
                    "suggested": {"size": "1280x704", "fps": 24.0, "duration": 5.0},
                },
            ),
        ),
    ),
    Family(
        "LTXPipeline",
        "video",
        "films at any number of frames a second",
        "transformer",
        "video:ltx",
        {**_FILM, "fps": "frame_rate"},
        _PICTURES,
        {"size": "704x512", "fps": 25.0, "duration": 5.0},
        sampler="euler",
        guidance=3.0,
        checkpoints=(Checkpoint("Lightricks/LTX-Video", "LTX-Video Open Weights", "28 GB", "18 GB"),),
    ),
    Family(
        "HunyuanVideoPipeline",
        "video",
        "films at 24 frames a second",
        "transformer",
        "video:hunyuan",
        {**_FILM, "guidance": "true_cfg_scale"},
        _PICTURES,
        {"size": "1280x720", "fps": 24.0, "duration": 5.0},
        sampler="euler",
        guidance=1.0,
        checkpoints=(
            Checkpoint(
                "hunyuanvideo-community/HunyuanVideo",
                "Tencent Hunyuan Community",
                "42 GB",
                "29 GB at 768x512, with --offload model",
            ),
        ),
    ),
    Family(
        "CogVideoXPipeline",
        "video",
        "films at 8 frames a second",
        "transformer",
        "video:cogvideox",
        _FILM,
        _PICTURES,
        {"size": "720x480", "fps": 8.0, "duration": 6.125},
        sampler="ddim",
        guidance=6.0,
        checkpoints=(
            Checkpoint("zai-org/CogVideoX-2b", "Apache-2.0", "14 GB", "19 GB, with --offload model"),
            Checkpoint("zai-org/CogVideoX-5b", "CogVideoX", "about 21 GB", "about 21 GB, with --offload model"),
            Checkpoint(
                "zai-org/CogVideoX1.5-5B",
                "CogVideoX",
                "31 GB",
                "about 33 GB, with --offload model",
                {
                    "makes": "films at 16 frames a second",
                    "suggested": {"size": "1360x768", "fps": 16.0, "duration": 5.0},
                },
            ),
        ),
    ),
    Family(
        "MochiPipeline",
        "video",
        "films at 30 frames a second",
        "transformer",
        "video:mochi",
        _FILM,
        _PICTURES,
        {"size": "848x480", "fps": 30.0, "duration": 2.8},
        steps=64,
        sampler="euler",
        guidance=4.5,
        checkpoints=(
            Checkpoint("genmo/mochi-1-preview", "Apache-2.0", "about 61 GB", "about 22 GB, with --offload model"),
        ),
    ),
    Family(
        "AnimateDiffPipeline",
        "video",
        "films of 16 frames, at 8 a second",
        "unet",
        "video:animatediff",
        _FILM,
        _PICTURES,
        {"size": "512x512", "fps": 8.0, "duration": 2.0},
        guidance=7.5,
    ),
    Family(
        "TextToVideoSDPipeline",
        "video",
        "films of 16 frames, at 8 a second",
        "unet",
        "video:text_to_video",
        _FILM,
        _PICTURES,
        {"size": "256x256", "fps": 8.0, "duration": 2.0},
        guidance=9.0,
        checkpoints=(
            Checkpoint("ali-vilab/text-to-video-ms-1.7b", "CC-BY-NC-4.0", "7 GB", "about 6 GB"),
            Checkpoint(
                "cerspense/zeroscope_v2_576w",
                "CC-BY-NC-4.0",
                "about 7 GB",
                "8 GB; --revision refs/pr/46, where it has no pickles",
            ),
        ),
    ),
    Family(
        "StableVideoDiffusionPipeline",
        "video",
        "films of 25 frames from an image (--init)",
        "unet",
        arguments={
            "steps": "num_inference_steps",
            "guidance": "max_guidance_scale",
            "frames": "num_frames",
            "width": "width",
            "height": "height",
            "fps": "fps",
            "init": "image",
        },
        fixed=_PICTURES,
        suggested={"size": "1024x576", "fps": 7.0, "duration": 3.6},
        steps=25,
        checkpoints=(
            Checkpoint(
                "stabilityai/stable-video-diffusion-img2vid-xt",
                "Stability AI Community (gated)",
                "9 GB",
                "about 16 GB",
            ),
        ),
    ),
    Family(
        "ShapEPipeline",
        "3d",
        "coloured meshes",
        "prior",
        "shapes:ShapE",
        {"steps": "num_inference_steps", "guidance": "guidance_scale"},
        {"output_type": "mesh"},
        steps=64,
        sampler="heun",
        guidance=15.0,
        kind="mesh",
        checkpoints=(
            Checkpoint("openai/shap-e", "MIT", "2.7 GB", "about 4 GB; --trust-remote-code, one part is a pickle"),
        ),
    ),
)

ALIASES: Mapping[str, tuple[str, ...]] = {
    "steps": ("num_inference_steps",),
    "guidance": ("guidance_scale",),
    "negative_prompt": ("negative_prompt",),
    "duration": ("audio_length_in_s", "audio_end_in_s", "audio_duration", "audio_duration_s", "duration"),
    "frames": ("num_frames", "video_length"),
    "fps": ("frame_rate", "fps"),
    "width": ("width",),
    "height": ("height",),
    "init": ("image",),
}
"""What calls name these, where the family is not known."""


def family_of(pipeline: str, /) -> Family | None:
    """The family of a class of pipelines, None where it is not known."""
    return next((family for family in FAMILIES if family.pipeline == pipeline), None)
