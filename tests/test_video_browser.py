"""Videos play in a browser: headless Chromium shows every frame at its time, in its colour.

Skipped where there is no Chromium.
"""

from typing import Any

import pytest
import torch
from browser import opened, served

from multigen_video.files import write

FPS, SIZE = 8, (160, 96)
COLORS = ((220, 20, 30), (20, 200, 40), (30, 40, 210), (240, 240, 240), (10, 10, 10), (128, 128, 128), (200, 50, 100))
FLAGS = ("--autoplay-policy=no-user-gesture-required",)
PAGE = """<!doctype html>
<script type="module">
const report = (answer) => fetch("/answer", {method: "POST", body: JSON.stringify(answer)});
window.addEventListener("unhandledrejection", (event) => report({error: String(event.reason)}));
const happens = (element, event) => new Promise((resolve, reject) => {
  element.addEventListener(event, resolve, {once: true});
  element.addEventListener("error", () => reject(element.error?.message ?? "error"), {once: true});
});
const canvas = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", {willReadFrequently: true});
const middle = (picture) => {
  canvas.drawImage(picture, 0, 0);
  return Array.from(canvas.getImageData(WIDTH / 2, HEIGHT / 2, 1, 1).data.slice(0, 3));
};
const answer = {};
for (const name of ["clip.mp4", "clip.webm"]) {
  const video = document.createElement("video");
  video.muted = true;
  // As it comes over the wire, without seeking: the index must be there before the pictures.
  video.src = name;
  const ended = happens(video, "ended");
  await video.play();
  await ended;
  // From memory, where any time can be reached.
  video.src = URL.createObjectURL(await (await fetch(name)).blob());
  await happens(video, "loadeddata");
  const colors = [];
  for (let k = 0; k < Math.round(video.duration * FPS); k++) {
    const seeked = happens(video, "seeked");
    const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    video.currentTime = (k + 0.5) / FPS;
    await Promise.all([seeked, shown]);
    colors.push(middle(video));
  }
  answer[name] = {seconds: video.duration, size: [video.videoWidth, video.videoHeight], colors};
}
const data = await (await fetch("clip.gif")).arrayBuffer();
const decoder = new ImageDecoder({data, type: "image/gif"});
await decoder.completed;
await decoder.tracks.ready;
const track = decoder.tracks.selectedTrack;
const gif = {size: null, colors: [], seconds: 0, repeats: track.repetitionCount === Infinity};
for (let k = 0; k < track.frameCount; k++) {
  const {image} = await decoder.decode({frameIndex: k});
  gif.colors.push(middle(image));
  gif.seconds += image.duration / 1e6;
  gif.size = [image.displayWidth, image.displayHeight];
}
answer["clip.gif"] = gif;
report(answer);
</script>
"""


@pytest.fixture(scope="module")
def seen(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page reports of a clip whose frames have one colour each, the k-th of `COLORS`."""
    site = tmp_path_factory.mktemp("site")
    page = PAGE.replace("WIDTH", str(SIZE[0])).replace("HEIGHT", str(SIZE[1])).replace("FPS", str(FPS))
    (site / "index.html").write_text(page)
    colors = torch.tensor(COLORS, dtype=torch.uint8)
    frames = colors[:, :, None, None].expand(-1, -1, SIZE[1], SIZE[0]).contiguous()
    for name in ("clip.mp4", "clip.webm", "clip.gif"):
        write(site / name, {"frames": frames, "fps": float(FPS)}, tags={"multigen": "x" * 9999, "title": "a clip"})
    with served(site) as (url, answers), opened(chromium, url, profile=site / "profile", flags=FLAGS):
        found: dict[str, Any] = answers.get(timeout=120)
    assert "error" not in found, found["error"]
    return found


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif"])
def test_every_frame_is_shown_at_its_time_in_its_colour(seen: dict[str, Any], name: str) -> None:
    clip = seen[name]
    assert clip["size"] == list(SIZE)
    assert clip["seconds"] == pytest.approx(len(COLORS) / FPS, abs=0.006)
    assert len(clip["colors"]) == len(COLORS)
    # Chromium's own conversion without a GPU has 2 in place of BT.709's 2.11 for blue.
    within = 1 if name == "clip.gif" else 12
    for found, expected in zip(clip["colors"], COLORS, strict=True):
        assert found == pytest.approx(expected, abs=within)


def test_a_gif_plays_for_ever(seen: dict[str, Any]) -> None:
    assert seen["clip.gif"]["repeats"]
