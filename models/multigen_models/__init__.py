"""The embedded models: networks, codecs and text encoder. Importing this package imports none of them."""

import multigen  # noqa: F401  diffusers imports torchaudio when it saves: multigen makes that work beside a CPU's torch
