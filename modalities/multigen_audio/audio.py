"""What the core needs to know about audio. Light to import: torch and the rest come with the first call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from multigen.errors import UsageError
from multigen.modality import Region, Sample
from multigen.options import option
from multigen.request import span

if TYPE_CHECKING:
    from multigen.evaluation.contract import Extractor, Metric

FADE_SECONDS = 0.005
SEAM_SECONDS = 0.03
USUAL_RATE = 24_000


@dataclass(frozen=True)
class AudioOptions:
    """The flags of ``multigen audio`` beside the shared ones."""

    duration: float = option(5.0, "length", unit="s", low=0.5, high=600)
    sample_rate: int = option(
        0, "samples per second of the file; 0 is the model's own", unit="Hz", low=8000, high=192_000
    )
    loudness: float = option(
        -23.0, "integrated loudness to aim at (EBU R 128); peaks are never clipped", unit="LUFS", low=-60, high=-5
    )
    loop: bool = option(False, "make the end join the start without a seam")


@final
class Audio:
    """Samples are {"wave": (channels, t) float32 in [-1, 1], "sample_rate": int in Hz}."""

    name: ClassVar[str] = "audio"
    Options: ClassVar[type] = AudioOptions
    extensions: ClassVar[Sequence[str]] = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus")
    default_model: ClassVar[str] = "audio-small"
    show_flag: ClassVar[str] = "spectrogram"
    show_extensions: ClassVar[Sequence[str]] = (".png",)
    resampler: ClassVar[str] = "soxr, very high quality"
    mask_help: ClassVar[str] = "START:END, the seconds of --init to make anew; the rest is kept"

    def read(self, path: Path, /) -> Sample:
        from multigen_audio.files import read

        wave, sample_rate = read(path)
        return {"wave": wave, "sample_rate": sample_rate}

    def write(self, sample: Sample, path: Path, /, *, tags: Mapping[str, str]) -> None:
        from multigen_audio.files import write

        write(path, sample["wave"], sample["sample_rate"], tags=tags)

    def check(self, path: Path, options: AudioOptions, kind: str, /) -> None:
        from multigen_audio.files import check_writable

        check_writable(path, channels=1, sample_rate=options.sample_rate or USUAL_RATE)

    def read_tags(self, path: Path, /) -> Mapping[str, str]:
        from multigen_audio.tags import read_tags

        return read_tags(path)

    def seconds(self, sample: Sample, /) -> float:
        """Length in seconds."""
        return float(sample["wave"].shape[-1] / sample["sample_rate"])

    def region(self, mask: str, sample: Sample, /) -> Region:
        """Seconds, as ``1.0:2.5``. Raises UsageError beyond the end of the sample."""
        start, stop = span(mask, "--mask", "1.0:2.5")
        seconds = self.seconds(sample)
        if stop > seconds:
            raise UsageError(f"--mask {mask} lies outside the input, which lasts {seconds:.2f} s")
        return {"time": (start / seconds, stop / seconds)}

    def finish(self, sample: Sample, options: AudioOptions, /) -> Sample:
        """Resample, take out the offset, loop or fade the ends, and bring to the loudness.

        For a loop the model's wave goes on beyond the duration: that much of its end is cross-faded into its start.
        """
        from multigen_audio.signal import crossfade_loop, fade, normalise, resample

        rate = options.sample_rate or sample["sample_rate"]
        wave = resample(sample["wave"], sample["sample_rate"], rate)
        wave = wave - wave.mean(-1, keepdim=True)
        beyond = wave.shape[-1] - round(options.duration * rate)
        wave = crossfade_loop(wave, beyond) if options.loop else fade(wave, rate, seconds=FADE_SECONDS)
        return {"wave": normalise(wave, rate, target=options.loudness), "sample_rate": rate}

    def keep(self, made: Sample, given: Sample, region: Region, /) -> Sample:
        """`given` outside the region, mixed down to one channel at the made rate; `made` inside, at given's level.

        The two are cross-faded at equal power over 30 ms within the region.
        """
        import torch

        from multigen_audio.signal import resample

        rate, wave = made["sample_rate"], made["wave"]
        old = resample(given["wave"].mean(0, keepdim=True), given["sample_rate"], rate)
        t = wave.shape[-1]
        start, stop = (round(edge * t) for edge in region.get("time", (0.0, 1.0)))
        old = torch.nn.functional.pad(old, (0, max(0, t - old.shape[-1])))[:, :t]
        share = torch.zeros(t)
        share[start:stop] = 1
        seam = min(round(SEAM_SECONDS * rate), max(1, (stop - start) // 2))
        ramp = torch.arange(1, seam + 1) / (seam + 1)
        if start > 0:
            share[start : start + seam] = ramp
        if stop < t:
            share[stop - seam : stop] = ramp.flip(0)
        kept = share == 0
        gain = (
            (old[:, kept].square().mean() / wave[:, kept].square().mean().clamp(min=1e-10)).sqrt()
            if kept.any()
            else 1.0
        )
        quarter = share * torch.pi / 2
        mixed = quarter.sin() * gain * wave + quarter.cos() * old
        return {"wave": mixed / max(1.0, float(mixed.abs().max())), "sample_rate": rate}

    def show(self, samples: Sequence[tuple[str, Sample]], path: Path, /) -> None:
        """One spectrogram, or a sheet of several."""
        from multigen_audio.picture import sheet_png, spectrogram_png

        rows = [(title, sample["wave"], sample["sample_rate"]) for title, sample in samples]
        if len(rows) == 1:
            title, wave, rate = rows[0]
            spectrogram_png(wave, rate, path, title=title)
        else:
            sheet_png(rows, path, columns=min(4, len(rows)))

    def extractors(self) -> Sequence[Extractor]:
        from multigen_audio.measures import extractors

        return extractors()

    def metrics(self) -> Sequence[Metric]:
        from multigen_audio.measures import metrics

        return metrics()

    def faults(self, sample: Sample, /) -> Sequence[str]:
        """Why a sample cannot be measured; empty where it can be."""
        from multigen_audio.measures import faults

        return faults(sample)

    def rates(self, sample: Sample, /) -> Mapping[str, float]:
        """Hz, but no more than measures see: a sound at a higher rate is resampled to that, and loses nothing else."""
        from multigen_audio.features import SAMPLE_RATE

        return {"Hz": float(min(sample["sample_rate"], SAMPLE_RATE))}

    def sizes(self, sample: Sample, /) -> Mapping[str, float]:
        channels = float(len(sample["wave"]))
        return {"sample_rate": float(sample["sample_rate"]), "channels": channels, "seconds": self.seconds(sample)}

    def embed(self, sample: Sample, title: str, /) -> str:
        """The sample on a page."""
        from multigen_audio.embed import embed

        return embed(sample, title)

    def embed_script(self) -> str:
        """What the samples of a page share, JavaScript."""
        from multigen_audio.embed import script

        return script()
