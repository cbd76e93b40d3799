"""The embedded audio model and encoder: spectrogram codec, networks, and the data they are trained on."""
