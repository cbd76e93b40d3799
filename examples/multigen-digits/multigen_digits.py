"""Handwritten digits: ``multigen digits "a 7" -o seven.png``. One Gaussian per class of scikit-learn's digits."""

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from sklearn.datasets import load_digits

from multigen.model import Defaults
from multigen.options import NoOptions


class Digits:  # what is not trained: a sample is {"image": (8, 8) in [-1, 1]}, kept as a PNG of 128 x 128
    name, extensions, default_model, Options = "digits", (".png",), "digits", NoOptions

    def read(self, path, /):
        return {"image": torch.tensor(np.float32(Image.open(path).convert("L").reduce(16))) / 127.5 - 1}

    def write(self, sample, path, /, *, tags):
        info = PngImagePlugin.PngInfo()
        for key, text in tags.items():
            info.add_itxt(key, text)
        pixels = ((sample["image"] + 1) * 127.5).byte().numpy()
        Image.fromarray(pixels).resize((128, 128), Image.Resampling.NEAREST).save(path, pnginfo=info)

    def read_tags(self, path, /):
        return Image.open(path).text


class Gaussians:  # what is trained: the mean (64,) and the principal axes of every class; the state is (8, 8)
    name = modality = fingerprint = "digits"
    axes, defaults, shape = {"y": -2, "x": -1}, Defaults(16, guidance="cfg:scale=1", sigma_max=20), lambda _, o: (8, 8)
    encode, decode = (lambda _, s, o: s["image"]), (lambda _, x, o: {"image": x.clamp(-1, 1)})

    def __init__(self, folder=None, /, **_):
        data = load_digits()
        classes = [torch.tensor(data.data[data.target == c]).float() / 8 - 1 for c in range(10)]
        self.means = torch.stack([c.mean(0) for c in classes])
        self.values, self.vectors = torch.linalg.eigh(torch.stack([c.T.cov() + 0.01 * torch.eye(64) for c in classes]))

    def condition(self, prompts, /):
        named = torch.tensor([[float(str(digit) in prompt) for digit in range(10)] for prompt in prompts])
        return {"classes": torch.where(named.any(1, keepdim=True), named, 1.0)}

    def denoiser(self, cond, options, /):
        def denoise(x, sigma, /):
            total = self.values + torch.as_tensor(sigma).float().view(-1, 1, 1) ** 2
            y = torch.einsum("cdk,bcd->bck", self.vectors, x.flatten(1)[:, None] - self.means)
            share = (cond["classes"].log() - (y**2 / total + total.log()).sum(-1) / 2).softmax(1)
            x0 = self.means + torch.einsum("cdk,bck->bcd", self.vectors, y * self.values / total)
            return torch.einsum("bc,bcd->bd", share, x0).view_as(x)

        return denoise
