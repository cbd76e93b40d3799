"""A GLB opens in a browser: three.js in headless Chromium shows it the right way up and in its colours.

Skipped where there is no Chromium, no npm, or three.js cannot be had.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import trimesh
from browser import opened, served

from multigen_3d.files import write

THREE = "three@0.180.0"
SIZE = 120
RED, YELLOW, BLUE = (0.8, 0.1, 0.15), (0.9, 0.7, 0.2), (0.1, 0.25, 0.75)
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", f"--window-size={SIZE},{SIZE}")
# White light from everywhere shows a surface in its own colour: a matt surface reflects irradiance / pi.
PAGE = """<!doctype html>
<canvas id="canvas" width="120" height="120"></canvas>
<script type="importmap">{"imports": {"three": "/three/build/three.module.js"}}</script>
<script type="module">
const report = (answer) => fetch("/answer", {method: "POST", body: JSON.stringify(answer)});
window.addEventListener("unhandledrejection", (event) => report({error: String(event.reason)}));
const THREE = await import("three");
const {GLTFLoader} = await import("/three/examples/jsm/loaders/GLTFLoader.js");
const gltf = await new GLTFLoader().loadAsync("/shape.glb");
const scene = new THREE.Scene();
scene.background = new THREE.Color(0x00ff00);
scene.add(gltf.scene, new THREE.AmbientLight(0xffffff, Math.PI));
const camera = new THREE.OrthographicCamera(-1, 1, 1.5, -0.5, 0.1, 10);
camera.position.set(0, 0, 5);
const renderer = new THREE.WebGLRenderer({canvas: document.getElementById("canvas")});
renderer.render(scene, camera);
const gl = renderer.getContext();
const pixel = (x, y) => {
  const rgba = new Uint8Array(4);
  gl.readPixels(Math.round((x + 1) / 2 * 120), Math.round((y + 0.5) / 2 * 120), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  return Array.from(rgba.slice(0, 3));
};
const box = new THREE.Box3().setFromObject(gltf.scene);
report({
  right: pixel(0.25, 0.75), left: pixel(-0.25, 0.75), bottom: pixel(0, 0.25),
  low: box.min.toArray(), high: box.max.toArray(),
});
</script>
"""


@pytest.fixture(scope="module")
def three(request: pytest.FixtureRequest) -> Path:
    """The folder of the three.js package, kept in pytest's cache."""
    folder = request.config.cache.mkdir(THREE)
    package = folder / "node_modules" / "three"
    if not (package / "package.json").exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("there is no npm here, which installs three.js")
        command = [npm, "install", THREE, "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=90)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"npm could not install three.js: {error}")
    return package


def answer(chromium: str, three: Path, shape: dict[str, torch.Tensor], folder: Path) -> dict[str, list[float]]:
    site = folder / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    (site / "three").symlink_to(three)
    write(site / "shape.glb", shape, tags={"prompt": "two boxes"})
    with served(site) as (url, answers), opened(chromium, url, profile=folder / "profile", flags=FLAGS):
        found: dict[str, list[float]] = answers.get(timeout=60)
    assert "error" not in found, found["error"]
    return found


def test_a_glb_shows_its_colours_the_right_way_up(chromium: str, three: Path, tmp_path: Path) -> None:
    """Red at +x and yellow at -x stand on blue."""
    parts = [
        ((0.5, 0.5, 1), (0.25, 0.75, 0), RED),
        ((0.5, 0.5, 1), (-0.25, 0.75, 0), YELLOW),
        ((1, 0.5, 1), (0, 0.25, 0), BLUE),
    ]
    boxes = [trimesh.creation.box(extents).apply_translation(at) for extents, at, _ in parts]
    whole = trimesh.util.concatenate(boxes)
    shape = {
        "vertices": torch.tensor(whole.vertices, dtype=torch.float32),
        "faces": torch.tensor(whole.faces, dtype=torch.int64),
        "colors": torch.tensor([color for *_, color in parts]).repeat_interleave(8, 0),
    }
    found = answer(chromium, three, shape, tmp_path)
    for name, color in (("right", RED), ("left", YELLOW), ("bottom", BLUE)):
        assert found[name] == pytest.approx([255 * value for value in color], abs=3)
    assert found["low"] == pytest.approx([-0.5, 0, -0.5])
    assert found["high"] == pytest.approx([0.5, 1, 0.5])
