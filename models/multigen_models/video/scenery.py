"""What stands in places: clouds, hills, trees, houses, craters, weeds, each drawn on a `Canvas`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import ImageDraw

from multigen_models.video.backgrounds import SIZE, Canvas, Color, Light, Picture, ink, lit, mixed, noise, vary

_F = Canvas.FINE
Box = tuple[float, float, float, float]


def corners(left: float, top: float, right: float, bottom: float, /) -> Box:
    """A box in the coordinates that `Canvas.draw` draws in."""
    return _F * left, _F * top, _F * right, _F * bottom


def box(x: float, y: float, across: float, down: float, /) -> Box:
    """The box around an ellipse with these half axes, likewise."""
    return corners(x - across, y - down, x + across, y + down)


def clouds(canvas: Canvas, color: Color, rng: np.random.Generator, /) -> None:
    """Clouds down to the horizon, flatter and fewer towards it."""
    down = int(canvas.horizon)
    rows, columns = np.arange(down)[:, None] * 2.2, np.arange(canvas.width)[None] * 1.0
    cover = np.clip(0.9 * (noise(rows, columns, rng, grainy=False) - rng.uniform(0.1, 0.9)), 0, 1)
    canvas.blend(color, cover * np.linspace(0.9, 0.2, down, dtype=np.float32)[:, None])


def stars(canvas: Canvas, rng: np.random.Generator, /, *, count: int, bottom: float) -> None:
    """Single bright pixels above a row."""
    rows, columns = rng.integers(0, int(bottom), count), rng.integers(0, canvas.width, count)
    canvas.pixels[rows, columns] = rng.uniform(110, 250, (count, 1))


def disc(canvas: Canvas, at: tuple[float, float], radius: float, color: Color, /) -> None:
    """The sun or the moon at (x, y), with a soft light around it."""
    glow(canvas, at, 3.2 * radius, color, 0.35)
    canvas.draw(lambda draw: draw.ellipse(box(*at, radius, radius), fill=ink(color)))


def glow(canvas: Canvas, at: tuple[float, float], radius: float, color: Color, strength: float, /) -> None:
    """Light that falls off from (x, y) on."""
    top, bottom = max(int(at[1] - radius), 0), min(int(at[1] + radius) + 1, SIZE)
    rows, columns = np.arange(top, bottom)[:, None] - at[1], np.arange(canvas.width)[None] - at[0]
    near = np.clip(1 - np.hypot(rows, columns) / radius, 0, 1) ** 2
    canvas.blend(color, (strength * near).astype(np.float32), top=top)


def planet(canvas: Canvas, at: tuple[float, float], radius: float, color: Color, /) -> None:
    """A ball with bands, lit from the upper left."""
    top, bottom = max(int(at[1] - radius) - 1, 0), min(int(at[1] + radius) + 2, SIZE)
    rows, columns = (np.arange(top, bottom)[:, None] - at[1]) / radius, (np.arange(canvas.width)[None] - at[0]) / radius
    inside = np.clip((1 - np.hypot(rows, columns)) * radius + 0.5, 0, 1)
    light = np.clip(0.75 - 0.5 * columns - 0.4 * rows, 0.12, 1.15) * (1 + 0.12 * np.sin(7 * rows + 2 * columns))
    shaded = np.clip(light[..., None] * np.array(color), 0, 255).astype(np.float32)
    canvas.blend(shaded, inside.astype(np.float32), top=top)


def profile(canvas: Canvas, rng: np.random.Generator, wide: float, /) -> Picture:
    """(width,) a smooth curve about 0 of deviation 1 or so, its features `wide` times as wide as in the noise."""
    return noise(np.zeros(1), np.arange(canvas.width) / wide, rng, grainy=False)


def peaks(canvas: Canvas, rng: np.random.Generator, /, *, low: float, high: float) -> Picture:
    """(width,) heights of a chain of mountains."""
    steps = rng.uniform(11, 24, canvas.width // 11 + 3)
    heights = rng.uniform(low, low + 0.4 * (high - low), len(steps))
    heights[::2] = rng.uniform(low + 0.55 * (high - low), high, len(heights[::2]))
    x = np.arange(canvas.width)
    smooth = np.interp(x, np.cumsum(steps) - rng.uniform(11, 40), heights)
    return (smooth + 1.2 * noise(np.zeros(1), x, rng)).astype(np.float32)


def hills(canvas: Canvas, color: Color, rng: np.random.Generator, /, *, height: float) -> None:
    """A soft silhouette of some waves."""
    x = np.arange(canvas.width)
    waves = [np.sin(x * rng.uniform(0.01, 0.06) + rng.uniform(0, 6.3)) for _ in range(3)]
    canvas.ridge((height * (0.5 + 0.25 * sum(waves))).astype(np.float32), color)


def bushes(canvas: Canvas, light: Light, rng: np.random.Generator, /, *, color: Color) -> None:
    """Some round bushes at the horizon."""
    count = int(rng.integers(2, 4 + canvas.width // 40))
    clumps = [
        (rng.uniform(0, canvas.width), rng.uniform(4, 10), ink(lit(vary(color, rng, 10), light))) for _ in range(count)
    ]

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, r, fill in clumps:
            for dx, scale in ((-0.8, 0.7), (0.8, 0.75), (0, 1.0)):
                draw.ellipse(box(x + dx * r, canvas.horizon + 2 - 0.6 * scale * r, scale * r, scale * r), fill=fill)

    canvas.draw(paint)


def trees(canvas: Canvas, rng: np.random.Generator, /, *, color: Color, trunk: Color, near: float, pines: bool) -> None:
    """A row of trees, taller and wider apart the nearer (0 to 1) it is."""
    step = 9 + 15 * near
    places = [x + rng.uniform(-4, 4) for x in np.arange(rng.uniform(-step, 0), canvas.width + step, step)]
    grown = [(x, (26 + 36 * near) * rng.uniform(0.75, 1.25), ink(vary(color, rng, 9))) for x in places]
    base = canvas.horizon + 1 + 5 * near

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, high, fill in grown:
            wide = high * (0.2 if pines else 0.27)
            draw.rectangle(corners(x - 0.04 * high, base - 0.5 * high, x + 0.04 * high, base), fill=ink(trunk))
            if pines:
                _pine(draw, x, base, high, wide, fill)
            else:
                for dx, dy, r in ((-0.6, 0.55, 0.75), (0.6, 0.58, 0.75), (0, 0.75, 1.0)):
                    draw.ellipse(box(x + dx * wide, base - dy * high, r * wide, r * wide), fill=fill)

    canvas.draw(paint)


def pines(canvas: Canvas, light: Light, rng: np.random.Generator, /, *, color: Color) -> None:
    """Some pines with snow on their tops."""
    places = [(rng.uniform(0, canvas.width), rng.uniform(18, 40)) for _ in range(int(rng.integers(2, 6)))]
    green, white, brown = (
        ink(lit(vary(color, rng, 10), light)),
        ink(lit((240, 244, 250), light)),
        ink(lit((80, 60, 44), light)),
    )

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, high in places:
            base = canvas.horizon + 2
            draw.rectangle(corners(x - 1, base - 6, x + 1, base), fill=brown)
            _pine(draw, x, base - 3, high, 0.26 * high, green)
            _pine(draw, x, base - 3 - 0.12 * high, 0.9 * high, 0.15 * high, white)

    canvas.draw(paint)


def cacti(canvas: Canvas, light: Light, rng: np.random.Generator, /) -> None:
    """Some cacti with two arms."""
    places = [(rng.uniform(0, canvas.width), rng.uniform(14, 26)) for _ in range(int(rng.integers(1, 4)))]
    green = ink(lit(vary((78, 122, 66), rng, 12), light))

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, high in places:
            base, r = canvas.horizon + 4, 0.09 * high
            for left, foot, top in ((0, 0, 1.0), (-3.4 * r, 0.4, 0.75), (3.4 * r, 0.3, 0.65)):
                tall = corners(x + left - r, base - top * high, x + left + r, base - foot * high)
                draw.rounded_rectangle(tall, radius=_F * r, fill=green)
            draw.rectangle(corners(x - 3.4 * r, base - 0.48 * high, x, base - 0.4 * high), fill=green)
            draw.rectangle(corners(x, base - 0.38 * high, x + 3.4 * r, base - 0.3 * high), fill=green)

    canvas.draw(paint)


def palms(canvas: Canvas, light: Light, rng: np.random.Generator, /) -> None:
    """One or two palms."""
    places = [(rng.uniform(0, canvas.width), rng.uniform(28, 46)) for _ in range(int(rng.integers(1, 3)))]
    green, brown = ink(lit(vary((64, 132, 62), rng, 12), light)), ink(lit((122, 92, 60), light))
    leaves = np.linspace(np.pi * 1.05, np.pi * 1.95, 6)

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, high in places:
            top, base = canvas.horizon - high + 6, canvas.horizon + 6
            draw.line([_F * x, _F * base, _F * (x + 3), _F * (top + 0.4 * high), _F * x, _F * top], fill=brown, width=5)
            for angle in leaves:
                tip = (x + 0.4 * high * np.cos(angle), top + 0.22 * high * (np.sin(angle) + 0.9))
                middle = (x + 0.22 * high * np.cos(angle), top + 0.2 * high * np.sin(angle) - 2)
                draw.polygon([(_F * px, _F * py) for px, py in ((x, top - 1), middle, tip, (x, top + 2))], fill=green)

    canvas.draw(paint)


def houses(
    canvas: Canvas,
    colors: Sequence[Color],
    rng: np.random.Generator,
    /,
    *,
    height: tuple[float, float],
    lamps: Color | None,
) -> None:
    """A row of flat roofs with windows, some of which shine by night in the colour of `lamps`."""
    rows, left = [], -rng.uniform(0, 12)
    while left < canvas.width:
        wide = rng.uniform(14, 30)
        color = vary(colors[int(rng.integers(len(colors)))], rng, 6)
        rows.append((left, wide, rng.uniform(*height), color, rng.random((12, 8)) < 0.5))
        left += wide + (rng.uniform(1, 6) if rng.random() < 0.3 else 0)

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, wide, high, color, shining in rows:
            top = canvas.horizon - high
            draw.rectangle(corners(x, top, x + wide, canvas.horizon + 1), fill=ink(color))
            dark, bright = ink(mixed(color, (30, 40, 60), 0.45)), ink(lamps or mixed(color, (235, 245, 255), 0.4))
            for row, y in enumerate(np.arange(top + 3, canvas.horizon - 4, 6)):
                for column, at in enumerate(np.arange(x + 2.5, x + wide - 3.5, 5)):
                    fill = bright if shining[row % 12, column % 8] else dark
                    draw.rectangle(corners(at, y, at + 2.5, y + 3.2), fill=fill)

    canvas.draw(paint)


def asphalt(canvas: Canvas, light: Light, rng: np.random.Generator, /) -> None:
    """A street across the picture from the horizon of the canvas on, with a dashed line in its middle."""
    grey = vary((88, 90, 96), rng, 8)
    canvas.ground(lit(grey, light), lit(grey, light), rng, grain=0.04, size=4)
    top, white = canvas.horizon, ink(lit((236, 232, 214), light))
    middle, start = top + 0.32 * (SIZE - top), rng.uniform(-24, 0)

    def paint(draw: ImageDraw.ImageDraw) -> None:
        draw.rectangle(corners(0, top, canvas.width, top + 1.6), fill=white)
        for x in np.arange(start, canvas.width, 28):
            draw.rectangle(corners(x, middle, x + 15, middle + 2), fill=white)

    canvas.draw(paint)


def snowcaps(canvas: Canvas, heights: Picture, color: Color, rng: np.random.Generator, /) -> None:
    """Snow on the upper parts of a ridge that stands on the horizon."""
    top = max(int(canvas.horizon - heights.max()) - 1, 0)
    line = heights.max() * 0.66 + 2.5 * noise(np.zeros(1), np.arange(canvas.width), rng)
    rows = np.arange(top, int(canvas.horizon), dtype=np.float32)[:, None]
    above = np.clip(rows - (canvas.horizon - heights) + 0.5, 0, 1) * np.clip(canvas.horizon - line - rows + 0.5, 0, 1)
    canvas.blend(color, above, top=top)


def craters(canvas: Canvas, color: Color, rng: np.random.Generator, /) -> None:
    """Flat holes in the ground, lit at one rim."""
    below = SIZE - canvas.horizon
    holes = []
    for share in rng.uniform(0.05, 0.95, int(rng.integers(4, 6 + canvas.width // 30))):
        holes.append(
            (rng.uniform(0, canvas.width), canvas.horizon + share * below, (2 + 9 * share) * rng.uniform(0.5, 1))
        )
    dark, bright = ink(mixed(color, (40, 36, 40), 0.4)), ink(mixed(color, (255, 250, 240), 0.3))

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, y, r in holes:
            draw.ellipse(box(x, y + 0.12 * r, 1.1 * r, 0.42 * r), fill=bright)
            draw.ellipse(box(x, y, r, 0.36 * r), fill=dark)

    canvas.draw(paint)


def reef(canvas: Canvas, water: Color, rng: np.random.Generator, /) -> None:
    """Weeds and corals on the ground of the sea."""
    hues: Sequence[Color] = ((232, 110, 120), (240, 160, 80), (190, 110, 200), (245, 205, 110))
    weeds, corals = [], []
    for _ in range(int(rng.integers(2, 5 + canvas.width // 40))):
        x, base = rng.uniform(0, canvas.width), rng.uniform(canvas.horizon + 2, SIZE + 2)
        if rng.random() < 0.6:
            fill = ink(mixed(vary((58, 140, 72), rng, 20), water, 0.25))
            weeds.append((x, base, rng.uniform(14, 38), rng.uniform(0, 6.3), fill))
        else:
            fill = ink(mixed(vary(hues[int(rng.integers(4))], rng, 15), water, 0.25))
            corals.append((x, base, rng.uniform(4, 8), fill))

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, base, high, phase, fill in weeds:
            up = np.linspace(0, 1, 7)
            line = np.stack([x + 3.2 * up * np.sin(5 * up + phase), base - high * up], 1) * _F
            draw.line([*map(tuple, line.tolist())], fill=fill, width=5, joint="curve")
        for x, base, r, fill in corals:
            for dx, dy, s in ((-1, 0.5, 0.7), (1, 0.6, 0.7), (0, 1.0, 0.9), (-0.5, 1.5, 0.6), (0.6, 1.6, 0.55)):
                draw.line([_F * x, _F * base, _F * (x + dx * r), _F * (base - dy * r)], fill=fill, width=5)
                draw.ellipse(box(x + dx * r, base - dy * r, s * r * 0.6, s * r * 0.6), fill=fill)

    canvas.draw(paint)


def _pine(draw: ImageDraw.ImageDraw, x: float, base: float, high: float, wide: float, fill: tuple[int, ...]) -> None:
    for foot, top, spread in ((0.15, 0.6, 1.0), (0.4, 0.82, 0.75), (0.62, 1.0, 0.5)):
        side = spread * wide
        points = ((x - side, base - foot * high), (x + side, base - foot * high), (x, base - top * high))
        draw.polygon([(_F * px, _F * py) for px, py in points], fill=fill)
