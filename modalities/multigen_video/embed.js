"use strict";
// A touch, or the space bar, plays or pauses all films within one [data-together] at the same time of theirs.
{
  const style = document.createElement("style");
  style.textContent = `
    .multigen-film { position: relative; cursor: pointer; }
    .multigen-film:not(.playing)::after {
      content: "\\25B6\\FE0E"; position: absolute; left: .6rem; bottom: .4rem; color: #fff; text-shadow: 0 0 4px #000;
      pointer-events: none;
    }`;
  document.head.append(style);
  for (const film of document.querySelectorAll(".multigen-film video")) {
    const group = film.closest("[data-together]") ?? film.parentElement;
    const toggle = () => {
      const [films, playing, time] = [group.querySelectorAll(".multigen-film video"), !film.paused, film.currentTime];
      for (const one of films) {
        one.currentTime = time;
        if (playing) one.pause();
        else one.play().catch(() => {}); // another touch came first
      }
    };
    for (const event of ["play", "pause"]) {
      film.addEventListener(event, () => film.parentElement.classList.toggle("playing", !film.paused));
    }
    film.addEventListener("click", toggle);
    film.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
  }
}
