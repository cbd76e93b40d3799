"""The embedded models: networks, codecs and text encoder. Importing this package imports none of them."""
