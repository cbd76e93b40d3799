"""The video modality: frames at a constant rate, written as MP4, WebM, GIF, PNG or a folder of PNGs."""

from multigen_video.video import Video, VideoOptions

__all__ = ["Video", "VideoOptions"]
