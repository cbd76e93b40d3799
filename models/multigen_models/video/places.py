"""The places that captions name, as painters: sky above, ground below, and what stands at the horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import ImageDraw

from multigen_models.video import scenery
from multigen_models.video.backgrounds import SIZE, Canvas, Color, Light, Painter, ink, lit, mixed, noise, vary

_F = Canvas.FINE


def sky(canvas: Canvas, light: Light, rng: np.random.Generator, /, *, clouds: float = 0.6) -> None:
    """Sky down to the horizon: its colours, stars or clouds, and the sun or the moon."""
    down = canvas.horizon
    canvas.gradient(light.sky, bottom=down + 1)
    if light.stars:
        scenery.stars(canvas, rng, count=int(light.stars * down * canvas.width / 1000), bottom=down)
    elif rng.random() < clouds:
        scenery.clouds(canvas, mixed(light.sky[-1], (255, 255, 255), 0.6), rng)
    if light.sun and rng.random() < 0.7:
        across, up = rng.uniform(0.15, 0.85) * canvas.width, rng.uniform(0.25, 0.8 if light.stars else 0.35) * down
        scenery.disc(canvas, (across, down - up), rng.uniform(6, 10), light.sun)


def grass(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """A meadow, with hills, bushes or flowers at times."""
    canvas.horizon = rng.uniform(48, 78)
    sky(canvas, light, rng)
    green = vary((96, 152, 62), rng, 16)
    if rng.random() < 0.6:
        scenery.hills(canvas, lit(mixed(green, (120, 165, 150), 0.5), light), rng, height=rng.uniform(8, 26))
    if rng.random() < 0.4:
        scenery.bushes(canvas, light, rng, color=vary((52, 112, 48), rng, 12))
    canvas.ground(lit(mixed(green, (170, 190, 120), 0.3), light), lit(green, light), rng, grain=0.13, size=9)


def flowers(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """A meadow full of flowers."""
    grass(canvas, light, rng)
    colors: Sequence[Color] = ((238, 80, 90), (250, 215, 70), (245, 245, 250), (170, 90, 210), (245, 130, 180))
    kinds = [colors[i] for i in rng.choice(len(colors), int(rng.integers(1, 4)), replace=False)]
    share = rng.uniform(0.02, 1, int(0.9 * canvas.width)) ** 0.8
    spots = [
        (rng.uniform(0, canvas.width), canvas.horizon + 4 + f * (SIZE - canvas.horizon), 0.7 + 1.7 * f, int(k))
        for f, k in zip(share, rng.integers(0, len(kinds), len(share)), strict=True)
    ]

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, y, r, kind in spots:
            draw.ellipse(scenery.box(x, y, r, 0.8 * r), fill=ink(lit(kinds[kind], light)))

    canvas.draw(paint)


def snow(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Snow under a pale sky, with pines or hills at times."""
    canvas.horizon = rng.uniform(45, 76)
    pale = Light(tuple(mixed(c, (226, 234, 244), 0.45) for c in light.sky)) if light.tint == (1, 1, 1) else light
    sky(canvas, pale, rng, clouds=0.3)
    white = vary((238, 242, 250), rng, 5)
    if rng.random() < 0.6:
        scenery.hills(canvas, lit(mixed(white, (170, 190, 220), 0.5), light), rng, height=rng.uniform(8, 28))
    if rng.random() < 0.5:
        scenery.pines(canvas, light, rng, color=(62, 92, 86))
    canvas.ground(lit(mixed(white, (205, 216, 236), 0.6), light), lit(white, light), rng, grain=0.025, size=26)


def desert(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Sand with dunes, and cacti at times."""
    canvas.horizon = rng.uniform(48, 74)
    sky(canvas, light, rng, clouds=0.15)
    sand = vary((226, 184, 116), rng, 12)
    for depth in (0.35, 0.15):
        if rng.random() < 0.7:
            scenery.hills(canvas, lit(mixed(sand, (250, 225, 180), depth), light), rng, height=rng.uniform(6, 24))
    if rng.random() < 0.35:
        scenery.cacti(canvas, light, rng)
    canvas.ground(lit(mixed(sand, (250, 222, 170), 0.4), light), lit(sand, light), rng, grain=0.06, size=16, flat=2.5)


def beach(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Sand in front of the sea."""
    canvas.horizon = rng.uniform(44, 60)
    sky(canvas, light, rng)
    sea = lit(vary((40, 128, 178), rng, 12), light)
    canvas.ground(mixed(sea, (130, 190, 215), 0.3), sea, rng, grain=0.05, size=5, flat=5)
    canvas.horizon += rng.uniform(10, 20)
    foam = 1.5 + 0.9 * noise(np.zeros((1, 1)), np.arange(canvas.width)[None] / 2, rng)[0]
    canvas.ridge(np.clip(foam, 0.5, 4), lit((244, 248, 250), light))
    sand = vary((232, 204, 148), rng, 10)
    canvas.ground(lit(mixed(sand, (190, 160, 110), 0.5), light), lit(sand, light), rng, grain=0.05, size=9)
    if rng.random() < 0.35:
        scenery.palms(canvas, light, rng)


def sea(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """The surface of the sea to the horizon."""
    canvas.horizon = rng.uniform(46, 74)
    sky(canvas, light, rng)
    blue = lit(vary((34, 104, 164), rng, 14), light)
    canvas.ground(mixed(blue, light.sky[-1], 0.45), blue, rng, grain=0.11, size=9, flat=4)


def forest(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Trees behind trees."""
    canvas.horizon = rng.uniform(66, 84)
    sky(canvas, light, rng, clouds=0.2)
    green = vary((50, 98, 46), rng, 12)
    haze = lit((168, 196, 160), light)
    canvas.ridge(20 + 4 * scenery.profile(canvas, rng, 3), mixed(lit(green, light), haze, 0.55))
    pines = rng.random() < 0.5
    bark = lit((82, 60, 42), light)
    for near in (0.25, 0.6, 1.0):
        shade = mixed(haze, lit(green, light), near)
        scenery.trees(canvas, rng, color=shade, trunk=mixed(haze, bark, near), near=near, pines=pines)
    floor = vary((92, 112, 54) if rng.random() < 0.7 else (122, 96, 60), rng, 10)
    canvas.ground(lit(mixed(floor, green, 0.5), light), lit(floor, light), rng, grain=0.15, size=8)


def mountains(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Peaks, often with snow on them, behind grass or stones."""
    canvas.horizon = rng.uniform(62, 84)
    sky(canvas, light, rng)
    rock = vary((112, 116, 132), rng, 12)
    for far in (0.5, 0.0):
        heights = scenery.peaks(canvas, rng, low=12 + 10 * far, high=rng.uniform(40, 56) + 10 * far)
        color = mixed(lit(rock, light), light.sky[-1], 0.25 + far * 0.6)
        canvas.ridge(heights, color)
        if far == 0.0 and rng.random() < 0.6:
            scenery.snowcaps(canvas, heights, mixed(lit((244, 248, 252), light), light.sky[-1], 0.1), rng)
    floor = vary((112, 146, 74) if rng.random() < 0.6 else (138, 130, 118), rng, 12)
    canvas.ground(lit(mixed(floor, (170, 180, 170), 0.3), light), lit(floor, light), rng, grain=0.12, size=11)


def city(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Buildings behind a street."""
    canvas.horizon = rng.uniform(66, 82)
    sky(canvas, light, rng, clouds=0.4)
    lamps = (255, 226, 140) if light.stars or light.sun else None
    hues: Sequence[Color] = ((170, 110, 90), (150, 155, 165), (196, 178, 148), (112, 124, 146), (186, 140, 100))
    scenery.houses(canvas, [mixed(lit(c, light), light.sky[-1], 0.55) for c in hues], rng, height=(38, 64), lamps=None)
    scenery.houses(canvas, [lit(vary(c, rng, 12), light) for c in hues], rng, height=(18, 52), lamps=lamps)
    walk = vary((150, 148, 146), rng, 10)
    canvas.ground(lit(walk, light), lit(walk, light), rng, grain=0.04, size=6)
    canvas.horizon += rng.uniform(7, 12)
    scenery.asphalt(canvas, light, rng)


def road(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """A road across the picture, through grass or sand."""
    (grass if rng.random() < 0.7 else desert)(canvas, light, rng)
    canvas.horizon = max(canvas.horizon + 14, 84.0)
    scenery.asphalt(canvas, light, rng)


def farm(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """A meadow with a red barn and a fence."""
    grass(canvas, light, rng)
    base, left = canvas.horizon + 5, rng.uniform(0.05, 0.6) * canvas.width
    wide, high = rng.uniform(34, 46), rng.uniform(20, 26)
    red, white, dark = (ink(lit(c, light)) for c in ((168, 48, 40), (236, 228, 220), (92, 62, 56)))
    x0, x1 = left, left + wide
    roof = [(x0 - 3, base - high), (x0 + 0.2 * wide, base - 1.5 * high), ((x0 + x1) / 2, base - 1.8 * high)]
    roof += [(x1 - 0.2 * wide, base - 1.5 * high), (x1 + 3, base - high)]
    posts = np.arange(rng.uniform(0, 12), canvas.width, 12)

    def paint(draw: ImageDraw.ImageDraw) -> None:
        draw.rectangle(scenery.corners(x0, base - high, x1, base), fill=red)
        draw.polygon([(_F * x, _F * y) for x, y in roof], fill=dark)
        door = ((x0 + x1) / 2 - 5, base - 0.6 * high, (x0 + x1) / 2 + 5, base)
        draw.rectangle(scenery.corners(*door), fill=red, outline=white, width=2)
        draw.line([_F * door[0], _F * door[1], _F * door[2], _F * door[3]], fill=white, width=2)
        for x in posts:
            draw.rectangle(scenery.corners(x, base + 1, x + 1.6, base + 11), fill=white)
        for y in (base + 3, base + 7):
            draw.rectangle(scenery.corners(0, y, canvas.width, y + 1.4), fill=white)

    canvas.draw(paint)


def room(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """A wall over a wooden or carpeted floor, with a window or a picture at times."""
    canvas.horizon = rng.uniform(66, 84)
    walls: Sequence[Color] = ((226, 214, 192), (190, 208, 216), (214, 190, 184), (196, 208, 178), (236, 230, 222))
    wall = vary(walls[int(rng.integers(len(walls)))], rng, 10)
    canvas.gradient((mixed(wall, (255, 255, 255), 0.15), mixed(wall, (90, 80, 70), 0.12)), bottom=canvas.horizon + 1)
    floor = vary((158, 112, 70), rng, 18)
    canvas.ground(mixed(floor, (60, 40, 30), 0.2), floor, rng, grain=0.05, size=6, flat=6)
    middle, spread = rng.uniform(0.2, 0.8) * canvas.width, np.arange(-30, 31)
    things = [(rng.uniform(0.02, 0.8) * canvas.width, rng.random() < 0.6) for _ in range(int(rng.integers(0, 3)))]
    things = things[:1] + [thing for thing in things[1:] if abs(thing[0] - things[0][0]) > 48]
    glass = [(ink(light.sky[0]), ink(light.sky[-1])) for _ in things]
    art = [(ink(vary((120, 120, 120), rng, 70)), ink(vary((150, 150, 150), rng, 80))) for _ in things]
    h, w = canvas.horizon, canvas.width

    def paint(draw: ImageDraw.ImageDraw) -> None:
        seam = ink(mixed(floor, (40, 25, 15), 0.35))
        for k in spread:
            draw.line([_F * (middle + 9 * k), _F * h, _F * (middle + 26 * k), _F * SIZE], fill=seam, width=1)
        draw.rectangle(scenery.corners(0, h - 3, w, h), fill=ink(mixed(wall, (255, 255, 255), 0.6)))
        for (x, window), (top, low), (one, two) in zip(things, glass, art, strict=True):
            if window:
                draw.rectangle(scenery.corners(x, 12, x + 34, 46), fill=top, outline=(245, 245, 240, 255), width=5)
                draw.rectangle(scenery.corners(x + 2.5, 32, x + 31.5, 43.5), fill=low)
                draw.rectangle(scenery.corners(x + 16, 12, x + 18, 46), fill=(245, 245, 240, 255))
            else:
                draw.rectangle(scenery.corners(x, 16, x + 24, 38), fill=one, outline=(98, 70, 40, 255), width=4)
                draw.ellipse(scenery.corners(x + 6, 20, x + 17, 33), fill=two)

    canvas.draw(paint)


def dungeon(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Walls of stone blocks over a stone floor."""
    canvas.horizon = rng.uniform(70, 84)
    stone = vary((118, 116, 120), rng, 12)
    canvas.gradient((mixed(stone, (20, 20, 26), 0.45), stone), bottom=canvas.horizon + 1)
    rows = np.arange(int(canvas.horizon) + 1)[:, None]
    columns = np.arange(canvas.width)[None]
    course = rows // 12
    shift = 12 * (course % 2)
    block = noise(course * 37, (columns + shift) // 24 * 53, rng)
    joint = (rows % 12 < 1) | ((columns + shift) % 24 < 1)
    canvas.pixels[: len(rows)] *= np.where(joint, 0.62, 1 + 0.07 * np.clip(block, -2, 2))[..., None]
    canvas.ground(mixed(stone, (30, 30, 34), 0.45), mixed(stone, (150, 140, 128), 0.3), rng, grain=0.09, size=12)
    torches = [(rng.uniform(0.05, 0.9) * canvas.width, rng.uniform(26, 36)) for _ in range(int(rng.integers(0, 3)))]
    for x, y in torches:
        scenery.glow(canvas, (x, y - 4), 30, (255, 170, 70), 0.55)

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for x, y in torches:
            draw.rectangle(scenery.corners(x - 1, y, x + 1, y + 11), fill=(70, 48, 32, 255))
            draw.ellipse(scenery.box(x, y - 4, 3, 5.5), fill=(255, 190, 80, 255))
            draw.ellipse(scenery.box(x, y - 3, 1.6, 3), fill=(255, 240, 190, 255))

    canvas.draw(paint)


def heaven(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Nothing but sky."""
    sky(canvas, light, rng, clouds=0.85)


def space(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Stars, and a planet at times."""
    canvas.gradient(((6, 6, 18), vary((16, 14, 38), rng, 8)))
    rows, columns = np.arange(SIZE)[:, None] / 2, np.arange(canvas.width)[None] / 2
    cloud = np.clip(noise(rows, columns, rng, grainy=False) - 0.3, 0, 2) * 0.16
    canvas.blend(vary((110, 70, 150), rng, 50), cloud)
    scenery.stars(canvas, rng, count=int(0.35 * canvas.width), bottom=SIZE)
    if rng.random() < 0.5:
        hues: Sequence[Color] = ((200, 120, 70), (90, 140, 210), (190, 170, 130), (150, 100, 190), (100, 180, 150))
        color = vary(hues[int(rng.integers(len(hues)))], rng, 15)
        scenery.planet(canvas, (rng.uniform(0.1, 0.9) * canvas.width, rng.uniform(15, 45)), rng.uniform(9, 24), color)


def moon(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Grey ground with craters under stars."""
    canvas.horizon = rng.uniform(56, 78)
    canvas.gradient(((4, 4, 12), (14, 14, 26)), bottom=canvas.horizon + 1)
    scenery.stars(canvas, rng, count=int(0.25 * canvas.width), bottom=canvas.horizon)
    if rng.random() < 0.6:
        scenery.planet(
            canvas, (rng.uniform(0.1, 0.9) * canvas.width, rng.uniform(16, 32)), rng.uniform(7, 13), (70, 130, 200)
        )
    grey = vary((158, 158, 162), rng, 10)
    scenery.hills(canvas, mixed(grey, (60, 60, 66), 0.4), rng, height=rng.uniform(4, 14))
    canvas.ground(mixed(grey, (90, 90, 96), 0.4), grey, rng, grain=0.06, size=14)
    scenery.craters(canvas, grey, rng)


def mars(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Red ground with stones under a reddish sky."""
    canvas.horizon = rng.uniform(54, 78)
    canvas.gradient(((188, 126, 96), (232, 182, 142)), bottom=canvas.horizon + 1)
    red = vary((178, 82, 50), rng, 10)
    for _ in range(2):
        scenery.hills(canvas, mixed(red, (226, 160, 120), rng.uniform(0.3, 0.7)), rng, height=rng.uniform(6, 26))
    canvas.ground(mixed(red, (214, 136, 96), 0.4), red, rng, grain=0.08, size=13)
    scenery.craters(canvas, red, rng)


def underwater(canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
    """Water with rays of light, often over a ground with weeds and corals."""
    top, low = vary((78, 178, 206), rng, 18), vary((10, 62, 116), rng, 14)
    canvas.gradient((top, low))
    rows, columns = np.arange(SIZE)[:, None], np.arange(canvas.width)[None]
    rays = np.clip(noise(np.zeros((1, 1)), (columns + 0.5 * rows) / 3, rng, grainy=False), 0, 2)
    canvas.blend((225, 250, 250), (0.13 * rays * (1 - rows / SIZE)).astype(np.float32))
    if rng.random() < 0.75:
        canvas.horizon = rng.uniform(86, 106)
        canvas.ridge(3 + 2.5 * scenery.profile(canvas, rng, 2), mixed(low, (120, 150, 140), 0.4))
        sand = mixed(vary((196, 184, 138), rng, 10), low, 0.2)
        canvas.ground(mixed(sand, low, 0.45), sand, rng, grain=0.08, size=9)
        scenery.reef(canvas, low, rng)


OUTDOORS: Mapping[str, Painter] = {
    "grass": grass, "flowers": flowers, "snow": snow, "desert": desert, "beach": beach, "forest": forest,
    "mountains": mountains, "city": city, "road": road, "farm": farm, "sea": sea, "sky": heaven,
}  # fmt: skip
"""Places where the light changes and it may rain."""

PLACES: Mapping[str, Painter] = {
    **OUTDOORS, "room": room, "dungeon": dungeon, "space": space, "moon": moon, "mars": mars, "underwater": underwater,
}  # fmt: skip
