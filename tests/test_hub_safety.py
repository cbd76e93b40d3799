"""What may come from a folder or a hub: whole safetensors of known libraries, or one clear sentence."""

import fnmatch
import json
import struct

import pytest

from multigen.cli import main
from multigen.errors import UsageError
from multigen.loaders import load_any
from multigen.loading import Loading
from multigen_models.hub import files

CPU = Loading(device="cpu")


def weights(path, *, cut=0, count=4):
    """A safetensors file with one tensor; `cut` bytes are missing from its end."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(4 * count)
    path.write_bytes(content[: len(content) - cut])


@pytest.fixture
def folder(tmp_path):
    """A pipeline's folder as far as it is looked at before anything is loaded."""
    index = {
        "_class_name": "AudioLDM2Pipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "unet": ["audioldm2", "AudioLDM2UNet2DConditionModel"],
        "image_encoder": [None, None],
        "some_flag": True,
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    for name, config in (("scheduler", "scheduler_config.json"), ("unet", "config.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / config).write_text("{}")
    weights(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    return tmp_path


def change(folder, **values):
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def refusal(folder, *, modality="audio", loading=CPU):
    with pytest.raises(UsageError) as refused:
        load_any(str(folder), modality=modality, loading=loading)
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_a_whole_folder_passes_and_is_counted(folder):
    index = files.checked(folder, trusted=False)
    assert [component.name for component in index.components] == ["scheduler", "unet"]
    assert files.sizes(folder, index) == {"unet": 4}
    before = files.fingerprint(folder, index)
    weights(folder / "unet" / "diffusion_pytorch_model.safetensors", count=5)
    assert files.fingerprint(folder, index) != before


def test_a_folder_without_an_index_says_what_is_missing(folder):
    (folder / "model_index.json").unlink()
    assert "multigen.json" in refusal(folder)
    assert "model_index.json" in refusal(folder)


def test_an_index_that_is_no_json(folder):
    (folder / "model_index.json").write_text("{")
    assert "model_index.json cannot be read" in refusal(folder)


def test_a_missing_component(folder):
    (folder / "scheduler" / "scheduler_config.json").unlink()
    assert "lacks its part 'scheduler'" in refusal(folder)


def test_another_modality(folder):
    assert "makes audio, not video: type multigen audio" in refusal(folder, modality="video")


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.ckpt", "model.pt"])
def test_a_pickle_is_not_opened(folder, name):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "unet" / name)
    said = refusal(folder)
    assert "a pickle, which can run any code" in said
    assert "--trust-remote-code" in said
    index = files.checked(folder, trusted=True)
    assert files.sizes(folder, index)["unet"] > 0


@pytest.mark.parametrize("name", ["x.fp16.safetensors", "x.bf16-00001-of-00002.safetensors"])
def test_halved_weights_are_used_where_there_are_no_others(folder, name):
    index = files.checked(folder, trusted=False)
    weights(folder / "unet" / name, count=9)
    assert (files.sizes(folder, index), files.variant(folder, index)) == ({"unet": 4}, None)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert (files.sizes(folder, index), files.variant(folder, index)) == ({"unet": 9}, name.split(".")[1][:4])


def test_a_truncated_file(folder):
    weights(folder / "unet" / "diffusion_pytorch_model.safetensors", cut=1)
    assert "is cut off" in refusal(folder)


def test_a_truncated_header_and_a_header_of_absurd_length(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    for content in (b"", b"\x09", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 2) + b"[]"):
        path.write_bytes(content)
        assert "no intact safetensors file" in refusal(folder)


def test_a_missing_shard(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"w": "diffusion_pytorch_model-00002-of-00002.safetensors"}})
    )
    assert "lacks diffusion_pytorch_model-00002-of-00002.safetensors" in refusal(folder)


@pytest.mark.parametrize(
    "library", ["os", "torch", "subprocess", "audioldm2.modeling_audioldm2", "../unet", "modeling_own"]
)
def test_classes_of_other_libraries_are_not_loaded(folder, library):
    change(folder, unet=[library, "Popen"])
    said = refusal(folder)
    assert "neither of diffusers nor of transformers" in said
    assert "--trust-remote-code" in said


def test_code_beside_the_weights_is_not_run(folder):
    (folder / "unet" / "diffusers.py").write_text("raise SystemExit('run')")
    change(folder, unet=["diffusers", "UNet2DConditionModel"])
    assert "--trust-remote-code" in refusal(folder)


def test_a_name_that_is_on_no_hub_within_reach(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = refusal("nobody/nothing")
    assert "nobody/nothing is not on this machine and cannot be fetched" in said


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("GatedRepoError", "is gated: accept its licence at https://huggingface.co/nobody/nothing"),
        ("RevisionNotFoundError", "has no revision 'v2'"),
        ("RepositoryNotFoundError", "no model is called nobody/nothing"),
    ],
)
def test_what_a_hub_refuses(monkeypatch, error, says):
    import huggingface_hub

    kind = getattr(huggingface_hub.errors, error)

    def refuse(*_, **__):
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UsageError, match=says):
        files.fetched("nobody/nothing", revision="v2")


class Hub:
    """Stands for the hub: what is fetched of a repository appears in a folder."""

    def __init__(self, folder, there, monkeypatch):
        import huggingface_hub

        self.folder, self.there, self.asked = folder, there, []
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.download)

    def download(self, name, *, revision, allow_patterns, ignore_patterns):
        def matches(path, patterns):
            return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)

        self.asked.append(revision)
        for path in self.there:
            if matches(path, allow_patterns) and not matches(path, ignore_patterns):
                (self.folder / path).write_bytes(b"")
        return str(self.folder)

    def fetch(self, *, code=False):
        before = {path for path in self.there if (self.folder / path).exists()}
        assert files.fetched("org/name", revision="abc", code=code) == self.folder
        return {path for path in self.there if (self.folder / path).exists()} - before


@pytest.fixture
def bare(folder):
    """A folder with a model's description alone."""
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    return folder


def test_what_is_fetched_of_a_hub(monkeypatch, bare):
    """The weights of the parts that the index names; no pickle, no second copy, no code."""
    there = ["unet/m-1.safetensors", "unet/m-2.safetensors", "unet/m.bin", "unet/m.fp16.safetensors", "own.py"]
    there += ["unet/m.bf16-1.safetensors", "m.safetensors"]
    hub = Hub(bare, there, monkeypatch)
    assert hub.fetch() == {"unet/m-1.safetensors", "unet/m-2.safetensors"}
    assert set(hub.asked) == {"abc"}
    (bare / "unet" / "m-2.safetensors").unlink()
    assert hub.fetch(code=True) == {"unet/m-2.safetensors", "own.py"}


def test_halved_weights_are_fetched_where_there_are_no_others(monkeypatch, bare):
    hub = Hub(bare, ["unet/m.fp16.safetensors", "unet/m.bin"], monkeypatch)
    assert hub.fetch(code=True) == {"unet/m.fp16.safetensors"}


def test_pickles_are_fetched_where_there_is_nothing_else_and_code_is_trusted(monkeypatch, bare):
    hub = Hub(bare, ["unet/m.bin", "unet/m.fp16.bin", "scheduler/m.bin"], monkeypatch)
    assert hub.fetch() == set()
    assert hub.fetch(code=True) == {"unet/m.bin"}


def test_a_revision_is_for_a_hub_id(folder):
    with pytest.raises(UsageError, match="is a folder"):
        load_any(str(folder), modality="audio", revision="main", loading=CPU)
    with pytest.raises(UsageError, match="is for models with a hub id"):
        load_any("audio-small", modality="audio", revision="main", loading=CPU)


def test_the_command_says_it_in_one_line_and_code_2(folder, capsys):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    code = main(["audio", "rain", "--model", str(folder), "--device", "cpu"])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.startswith("multigen: error: ")
    assert len(said.err.splitlines()) == 1
