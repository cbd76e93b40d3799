"""The audio modality: waves with a sample rate, written as WAV, FLAC, Ogg Vorbis, MP3, AAC or Opus."""

from multigen_audio.audio import Audio, AudioOptions

__all__ = ["Audio", "AudioOptions"]
