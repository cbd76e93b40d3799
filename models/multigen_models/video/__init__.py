"""The embedded video model: frame codec, network, and the films that it is trained on, which are rendered here."""
