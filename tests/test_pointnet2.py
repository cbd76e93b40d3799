"""PointNet++ against one of modules and loops, with the names and the order of channels of either publisher."""

from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from multigen.errors import UsageError
from multigen.evaluation import extractors
from multigen.noise import white
from multigen_3d import Shape
from multigen_models import pointnet2
from multigen_models.hub_features import pretrained
from multigen_models.pointnet2 import farthest, within

CLASSES = 5


def block(linear, norm, widths):
    layers = [(linear(a, b), norm(b)) for a, b in pairwise(widths)]
    return nn.ModuleList([first for first, _ in layers]), nn.ModuleList([second for _, second in layers])


class Abstraction(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        self.mlp_convs, self.mlp_bns = block(lambda a, b: nn.Conv2d(a, b, 1), nn.BatchNorm2d, widths)

    def forward(self, seen):
        """(channels,) of (n, channels)."""
        x = seen.T[None, :, :, None]
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = norm(conv(x)).relu()
        return x[0, :, :, 0].max(1).values


class Reference(nn.Module):
    """Named as github.com/yanx27/Pointnet_Pointnet2_pytorch names them; positions come before features."""

    def __init__(self, positions=3):
        super().__init__()
        self.sa1, self.sa2 = Abstraction(positions, 4, 6), Abstraction(6 + 3, 5, 7)
        self.sa3 = Abstraction(7 + 3, 8, 9)
        self.fc1, self.bn1 = nn.Linear(9, 8), nn.BatchNorm1d(8)
        self.fc2, self.bn2 = nn.Linear(8, 6), nn.BatchNorm1d(6)
        self.fc3 = nn.Linear(6, CLASSES)
        generator = torch.Generator().manual_seed(0)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight.data *= 2  # what it makes of different shapes differs clearly
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for tensor in (module.running_mean, module.weight.data, module.bias.data):
                    tensor.copy_(torch.randn(tensor.shape, generator=generator))
                module.running_var.uniform_(0.5, 2, generator=generator)

    @torch.no_grad()
    def forward(self, points):
        positions, features = points, points[:, :0]
        for (number, radius, most), level in zip(pointnet2.LEVELS, (self.sa1, self.sa2), strict=True):
            chosen = farthest_by_loops(positions, number)
            found = []
            for centre in positions[chosen]:
                ball = [i for i, p in enumerate(positions) if float((p - centre).square().sum()) <= radius**2][:most]
                found.append(level(torch.cat([positions[ball] - centre, features[ball]], 1)))
            positions, features = positions[chosen], torch.stack(found)
        x = self.sa3(torch.cat([positions, features], 1))[None]
        return self.bn2(self.fc2(self.bn1(self.fc1(x)).relu()))[0]


def farthest_by_loops(points, number):
    chosen = [0]
    while len(chosen) < number:
        away = [min(float((p - points[c]).square().sum()) for c in chosen) for p in points]
        chosen.append(max(range(len(points)), key=away.__getitem__))
    return chosen


HUB = {
    "sa1": "encoder.sa_blocks.0.convs.0.local_nn",
    "sa2": "encoder.sa_blocks.1.convs.0.local_nn",
    "sa3": "aggr",
}


def as_on_the_hub(tensors):
    """The names of torch-pointcloud, whose positions come after the features."""
    renamed = {}
    for name, tensor in tensors.items():
        part, *_, leaf = name.split(".")
        if part in HUB:
            _, kind, place, _ = name.split(".")
            part, linear = HUB[part], kind == "mlp_convs"
            if tensor.ndim == 4:
                tensor = tensor[:, :, 0, 0]
                tensor = torch.cat([tensor[:, 3:], tensor[:, :3]], 1) if place == "0" else tensor
        else:
            part, place, linear = "head", int(part[2]) - 1, part.startswith("fc")
        renamed[f"{part}.lins.{place}.{leaf}" if linear else f"{part}.norms.{place}.module.{leaf}"] = tensor
    return {name: tensor.contiguous() for name, tensor in renamed.items()}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Levels of few points, for the loops."""
    monkeypatch.setattr(pointnet2, "LEVELS", ((24, 0.5, 5), (8, 0.8, 6)))


@pytest.fixture
def reference():
    torch.manual_seed(0)
    return Reference().eval()


def saved(folder, tensors):
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    return str(folder)


def ball(seed, n):
    points = white([seed], (n, 3))[0]
    return points / points.norm(dim=1).amax()


def tetrahedron(size=1.0):
    vertices = size * torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    return {"vertices": vertices, "faces": faces, "colors": torch.full((4, 3), 0.5)}


@pytest.mark.parametrize("named", [dict, as_on_the_hub])
def test_features_are_those_before_the_classes(reference, named):
    network = pointnet2.PointNet2.of(named(reference.state_dict()))
    for seed in range(3):
        points = ball(seed, 60)
        assert torch.allclose(network(points), reference(points), atol=1e-5)
    assert not torch.allclose(network(ball(0, 60)), network(ball(1, 60)), atol=1e-2)


def test_points_are_chosen_and_gathered_as_by_loops():
    points = white([3], (40, 3))[0]
    chosen = farthest(points, 12)
    assert chosen.tolist() == farthest_by_loops(points, 12)
    found = within(points[chosen], points, 1.2, 4)
    for centre, gathered in zip(points[chosen], found.tolist(), strict=True):
        inside = [i for i, p in enumerate(points) if float((p - centre).square().sum()) <= 1.2**2][:4]
        assert gathered == inside + inside[:1] * (4 - len(inside))


def test_a_folder_is_an_extractor_of_shapes(tmp_path, reference):
    place = saved(tmp_path / "model", as_on_the_hub(reference.state_dict()))
    found = extractors.find(place, Shape(), ())
    assert (found.modality, found.name, len(found.fingerprint)) == ("3d", place, 16)
    one = found(tetrahedron())
    assert one.shape == (6,)
    assert torch.equal(one, found(tetrahedron()))
    moved = tetrahedron(3.0)
    moved["vertices"] = moved["vertices"] + 5
    assert torch.allclose(one, found(moved), atol=1e-3)
    long = tetrahedron()
    long["vertices"][3, 2] = 6.0
    assert not torch.allclose(one, found(long), atol=1e-2)
    tensors = as_on_the_hub(reference.state_dict())
    tensors["head.lins.0.bias"] += 1
    assert pretrained(saved(tmp_path / "other", tensors)).fingerprint != found.fingerprint


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"weight": torch.zeros(3)}, r"no config\.json .* not the tensors of a PointNet"),
        (Reference(positions=6).state_dict(), r"sees more than the positions of points"),
    ],
)
def test_other_networks_are_refused_in_a_sentence(tmp_path, tensors, said):
    with pytest.raises(UsageError, match=said):
        pretrained(saved(tmp_path, tensors))


def test_a_file_that_is_cut_off_is_refused(tmp_path, reference):
    path = tmp_path / "model.safetensors"
    saved(tmp_path, reference.state_dict())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UsageError, match="is cut off"):
        pretrained(str(tmp_path))
