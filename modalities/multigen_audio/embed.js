"use strict";
// One sound at a time; a line on its spectrogram shows where it is, and a touch there plays from that place.
{
  const style = document.createElement("style");
  style.textContent = `
    .multigen-sound > div { position: relative; cursor: pointer; }
    .multigen-sound img { height: 7rem; }
    .multigen-sound i { position: absolute; inset: 0 auto 0 0; width: 1.5px; background: #fff; opacity: 0; }
    .multigen-sound audio { height: 2.2rem; margin-top: .3rem; }`;
  document.head.append(style);
  const sounds = [...document.querySelectorAll(".multigen-sound")];
  for (const sound of sounds) {
    const [picture, player, line] = ["div", "audio", "i"].map((name) => sound.querySelector(name));
    const follow = () => {
      line.style.left = `${(100 * player.currentTime) / player.duration}%`;
      line.style.opacity = player.currentTime > 0 ? 0.85 : 0;
      if (!player.paused) requestAnimationFrame(follow);
    };
    const silence = () => {
      for (const other of sounds) if (other !== sound) other.querySelector("audio").pause();
    };
    player.addEventListener("play", () => {
      if (player.paused) return; // another one was touched since
      silence();
      follow();
    });
    player.addEventListener("seeked", follow);
    picture.addEventListener("click", (event) => {
      const { left, width } = picture.getBoundingClientRect();
      player.currentTime = (player.duration * (event.clientX - left)) / width || 0;
      silence();
      player.play().catch(() => {}); // another touch came first
    });
  }
}
