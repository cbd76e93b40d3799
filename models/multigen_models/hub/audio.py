"""Pipelines of diffusers that make sound, taken apart."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from multigen.denoise import Cond
from multigen.errors import UsageError
from multigen.modality import Sample
from multigen_models.hub.opened import padded

BUCKET = 64
"""Token states of varying number are filled up to a multiple of this, so that most prompts can share a batch."""
LOWEST = 1e-5
"""Mel magnitudes are taken for no less than this before their logarithm (HiFi-GAN, arXiv 2010.05646)."""
WINDOW = 1024
"""Samples of the Fourier transforms behind the mel spectrograms of AudioLDM."""


def samples(options: Any, rate: int, /) -> int:
    """How many samples are made. Raises UsageError for a loop, which takes a model that knows no ends."""
    if options.loop:
        raise UsageError("--loop is not possible with this model: leave it out, or choose --model audio-small")
    return round(options.duration * rate)


def wave_at(sample: Sample, /, *, rate: int, channels: int, length: int) -> Tensor:
    """The wave of a sample at a rate and with a number of channels, cut or filled up with silence.

    Returns (channels, length).
    """
    from torchaudio.functional import resample

    wave = resample(sample["wave"], sample["sample_rate"], rate)
    if len(wave) != channels:
        wave = wave.mean(0, keepdim=True).expand(channels, -1)
    return padded(wave[:, :length], length)


def finished(wave: Tensor, options: Any, rate: int, /) -> Sample:
    """A decoded wave (channels, t), exactly as long as was asked."""
    length = samples(options, rate)
    wave = padded(wave[:, :length].float().cpu(), length)
    return {"wave": wave.clamp(-1, 1), "sample_rate": rate}


# --- mel spectrograms: AudioLDM 1 and 2, MusicLDM ---------------------------------------------------------------------


@final
@dataclass(frozen=True)
class MelLatents:
    """A U-Net on the latents of mel spectrograms, and a vocoder; the state is (channels, time / 4, bins / 4)."""

    pipe: Any
    words: Callable[[Any, str], Cond]
    axes: ClassVar[Mapping[str, int]] = {"time": -2, "frequency": -1}

    @property
    def rate(self) -> int:
        return int(self.pipe.vocoder.config.sampling_rate)

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return math.prod(self.pipe.vocoder.config.upsample_rates)

    def shape(self, options: Any, /) -> tuple[int, ...]:
        factor = self.pipe.vae_scale_factor
        bins = self.pipe.vocoder.config.model_in_dim
        cells = math.ceil(samples(options, self.rate) / (self.hop * factor))
        return (self.pipe.unet.config.in_channels, cells, bins // factor)

    def place(self, axis: str, edge: float, options: Any, /) -> float:
        if axis != "time":
            return edge
        cells = samples(options, self.rate) / (self.hop * self.pipe.vae_scale_factor)
        return edge * cells / self.shape(options)[1]

    def condition(self, prompt: str, /) -> Cond:
        return self.words(self.pipe, prompt)

    def inputs(self, options: Any, /) -> Mapping[str, Any]:
        return {}

    def predict(self, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /) -> Tensor:
        told = {"encoder_hidden_states": None, **cond}
        out: Tensor = network(x, noise, **told, return_dict=False)[0]
        return out

    def timetable(self, steps: int, options: Any, /) -> Mapping[str, Any]:
        return {"num_inference_steps": steps}

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        vae, frames = self.pipe.vae, self.shape(options)[1] * self.pipe.vae_scale_factor
        wave = wave_at(sample, rate=self.rate, channels=1, length=frames * self.hop)
        mel = log_mel(wave, rate=self.rate, hop=self.hop, bins=self.pipe.vocoder.config.model_in_dim)
        latents = vae.encode(mel[None, :, :frames].to(vae.device, vae.dtype)).latent_dist.mode()
        return (latents * vae.config.scaling_factor)[0].float().cpu()

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        vae = self.pipe.vae
        mel = vae.decode(x[None].to(self.pipe._execution_device, vae.dtype) / vae.config.scaling_factor).sample
        return finished(self.pipe.mel_spectrogram_to_waveform(mel), options, self.rate)


def log_mel(wave: Tensor, /, *, rate: int, hop: int, bins: int) -> Tensor:
    """Log magnitudes on Slaney's mel scale up to half the rate, as AudioLDM's autoencoder takes them.

    wave: (1, t). Returns (1, about t / hop, bins).
    """
    from torchaudio.transforms import MelSpectrogram

    mel = MelSpectrogram(
        rate, n_fft=WINDOW, hop_length=hop, n_mels=bins, power=1.0, norm="slaney", mel_scale="slaney", f_max=rate / 2
    )
    return mel(wave).clamp(min=LOWEST).log().transpose(1, 2)


def audioldm2_words(pipe: Any, prompt: str, /) -> Cond:
    """T5's token states, and those that a language model makes of T5's and CLAP's.

    The pipeline fills the empty prompt up to the length of the other one, which changes what the language model makes
    of it; here it stays what it is.
    """
    text, mask, made = pipe.encode_prompt(prompt, pipe._execution_device, 1, False)
    length = -(-text.shape[1] // BUCKET) * BUCKET
    return {
        "encoder_hidden_states": made,
        "encoder_hidden_states_1": padded(text, length),
        "encoder_attention_mask_1": padded(mask, length),
    }


def clap_words(pipe: Any, prompt: str, /) -> Cond:
    """CLAP's one vector of a prompt."""
    encoder, device = pipe.text_encoder, pipe._execution_device
    tokens = pipe.tokenizer(
        prompt,
        padding="max_length",
        max_length=pipe.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).to(device)
    if hasattr(encoder, "get_text_features"):  # MusicLDM holds the whole of CLAP, AudioLDM its half for text
        found = encoder.get_text_features(tokens.input_ids, attention_mask=tokens.attention_mask)
        return {"class_labels": getattr(found, "pooler_output", found)}
    vector = encoder(tokens.input_ids, attention_mask=tokens.attention_mask).text_embeds
    return {"class_labels": torch.nn.functional.normalize(vector, dim=-1)}


def audioldm2(pipe: Any, /) -> MelLatents:
    return MelLatents(pipe, audioldm2_words)


def musicldm(pipe: Any, /) -> MelLatents:
    return MelLatents(pipe, clap_words)


# --- waves ------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class StableAudio:
    """A transformer on the latents of waves, always of the same length, of which it fills as much as it is told.

    The state is (channels, time).
    """

    pipe: Any
    axes: ClassVar[Mapping[str, int]] = {"time": -1}

    @property
    def rate(self) -> int:
        return int(self.pipe.vae.config.sampling_rate)

    def shape(self, options: Any, /) -> tuple[int, ...]:
        config = self.pipe.transformer.config
        longest = config.sample_size * self.pipe.vae.hop_length
        if samples(options, self.rate) > longest:
            raise UsageError(
                f"--duration {options.duration:g} is not possible with this model: at most {longest / self.rate:.1f} s"
            )
        return (config.in_channels, config.sample_size)

    def place(self, axis: str, edge: float, options: Any, /) -> float:
        return edge * samples(options, self.rate) / self.pipe.vae.hop_length / self.shape(options)[1]

    def condition(self, prompt: str, /) -> Cond:
        """The empty prompt is no condition at all, not even a duration: zeros."""
        text = self.pipe.encode_prompt(prompt, self.pipe._execution_device, False)
        return {"text": text, "present": text.new_full((1, 1, 1), float(prompt != ""))}

    def inputs(self, options: Any, /) -> Mapping[str, Any]:
        from diffusers.models.embeddings import get_1d_rotary_pos_embed

        device = self.pipe._execution_device
        with torch.no_grad():
            start, end = self.pipe.encode_duration(0.0, options.duration, device, False, 1)
        places = get_1d_rotary_pos_embed(
            self.pipe.rotary_embed_dim, self.shape(options)[-1] + 1, use_real=True, repeat_interleave_real=False
        )
        return {"start": start, "end": end, "places": places}

    def predict(self, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /) -> Tensor:
        start, end = (inputs[key].to(x.dtype).expand(len(x), -1, -1) for key in ("start", "end"))
        out: Tensor = network(
            x,
            noise.to(x.dtype),
            encoder_hidden_states=cond["present"] * torch.cat([cond["text"], start, end], dim=1),
            global_hidden_states=torch.cat([start, end], dim=2),
            rotary_embedding=inputs["places"],
            return_dict=False,
        )[0]
        return out

    def timetable(self, steps: int, options: Any, /) -> Mapping[str, Any]:
        return {"num_inference_steps": steps}

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        vae = self.pipe.vae
        length = self.shape(options)[-1] * vae.hop_length
        wave = wave_at(sample, rate=self.rate, channels=vae.config.audio_channels, length=length)
        return vae.encode(wave[None].to(vae.device, vae.dtype)).latent_dist.mode()[0].float().cpu()

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        device, vae = self.pipe._execution_device, self.pipe.vae
        return finished(vae.decode(x[None].to(device, vae.dtype)).sample[0], options, self.rate)


@final
@dataclass(frozen=True)
class LongCat:
    """LongCat-AudioDiT: a transformer on the latents of waves, at most 30 s; the state is (time, channels)."""

    pipe: Any
    axes: ClassVar[Mapping[str, int]] = {"time": -2}

    @property
    def rate(self) -> int:
        return int(self.pipe.sample_rate)

    def shape(self, options: Any, /) -> tuple[int, ...]:
        if options.duration > self.pipe.max_wav_duration:
            raise UsageError(
                f"--duration {options.duration:g} is not possible with this model: at most "
                f"{self.pipe.max_wav_duration:g} s"
            )
        return (math.ceil(samples(options, self.rate) / self.pipe.vae_scale_factor), self.pipe.latent_dim)

    def place(self, axis: str, edge: float, options: Any, /) -> float:
        return edge * samples(options, self.rate) / self.pipe.vae_scale_factor / self.shape(options)[0]

    def condition(self, prompt: str, /) -> Cond:
        """The empty prompt is zeros for every token; the pipeline takes as many of them as the other prompt has."""
        from diffusers.pipelines.longcat_audio_dit.pipeline_longcat_audio_dit import _normalize_text

        text, _ = self.pipe.encode_prompt(_normalize_text(prompt), self.pipe._execution_device)
        if not prompt:
            text = text.new_zeros(1, BUCKET, text.shape[2])
        return {
            "encoder_hidden_states": text,
            "encoder_attention_mask": text.new_ones(text.shape[:2], dtype=torch.long),
        }

    def inputs(self, options: Any, /) -> Mapping[str, Any]:
        return {}

    def predict(self, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /) -> Tensor:
        # Convolutions over the text, and a norm of its whole length, see what it is filled up with beside longer texts.
        time = noise / self.pipe.scheduler.config.num_train_timesteps
        lengths = cond["encoder_attention_mask"].sum(1)
        out = torch.empty_like(x)
        for length in lengths.unique().tolist():
            rows = lengths == length
            state = x[rows]
            out[rows] = network(
                hidden_states=state,
                timestep=time[rows],
                attention_mask=state.new_ones(state.shape[:2], dtype=torch.bool),
                latent_cond=torch.zeros_like(state),
                **{key: value[rows, :length] for key, value in cond.items()},
            ).sample
        return out

    def timetable(self, steps: int, options: Any, /) -> Mapping[str, Any]:
        return {"sigmas": torch.linspace(1.0, 1.0 / steps, steps).tolist()}

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        vae = self.pipe.vae
        length = self.shape(options)[0] * self.pipe.vae_scale_factor
        wave = wave_at(sample, rate=self.rate, channels=vae.config.in_channels, length=length)
        latents = vae.encode(wave[None].to(vae.device, vae.dtype), sample_posterior=False).latents
        return latents[0].T.float().cpu()

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        device, vae = self.pipe._execution_device, self.pipe.vae
        return finished(vae.decode(x.T[None].to(device, vae.dtype)).sample[0], options, self.rate)
