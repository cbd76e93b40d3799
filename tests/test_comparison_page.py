"""A study's page: what it says is what was found, it needs nothing beside it, and a browser shows and plays it."""

import base64
import io
import math
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import torch
import toy_study
import trimesh
from devtools import chromium_page
from PIL import Image

from multigen.comparison import charts, gallery
from multigen.comparison.differences import agreement
from multigen.comparison.figures import figures
from multigen.comparison.findings import Agreement
from multigen.comparison.oracle import OracleError
from multigen.comparison.page import page
from multigen.comparison.quality import Design, front
from multigen.comparison.run import Runner
from multigen.comparison.study import Arm
from multigen.evaluation import PerSample, Record
from multigen.metrics import Interval, digits, shown
from multigen_3d.embed import embed as embed_shape
from multigen_3d.embed import pack
from multigen_audio.embed import embed as embed_sound

RATE = 24_000
EVERY = ("audio", "video", "3d", "swatch", "scent")
WITHOUT_END = {"circle", "img", "line", "meta", "path", "rect"}


# --- a study ----------------------------------------------------------------------------------------------------------


def sound(arm, i):
    t = torch.arange(RATE // 2) / RATE
    return {"wave": 0.5 * torch.sin(2 * math.pi * 440 * (i + 1) * t)[None], "sample_rate": RATE}


def film(arm, i):
    shade = torch.arange(8)[:, None, None, None].expand(8, 3, 32, 32) * 30
    return {"frames": shade.to(torch.uint8), "fps": 8.0}


def shape(arm, i):
    """From blue at -x to red at +x; points in place of the mesh for every second sample."""
    box = trimesh.creation.box((0.8, 1, 0.5)).subdivide()
    vertices = torch.tensor(box.vertices, dtype=torch.float32)
    colors = torch.lerp(torch.tensor([0.1, 0.1, 0.9]), torch.tensor([0.9, 0.1, 0.1]), vertices[:, :1] / 0.8 + 0.5)
    if i % 2:
        return {"points": vertices, "colors": colors}
    return {"vertices": vertices, "faces": torch.tensor(box.faces.copy()), "colors": colors}


def bytes_of_arm(arm, i):
    return {"color": torch.tensor([arm.steps, 10 * i, len(arm.sampler)])}


ERRORS = [
    OracleError(modality, sampler, "karras", steps, Interval(value, 0.9 * value, 1.1 * value))
    for modality in ("audio", "3d")
    for rank, sampler in enumerate(toy_study.SAMPLERS[:2])
    for steps, value in ((4, 0.2 / (rank + 1)), (16, 0.05 / (rank + 1)))
]
SAMPLES = {"audio": sound, "video": film, "3d": shape, "swatch": bytes_of_arm, "scent": bytes_of_arm}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A runner, findings and the page; one sample of an arm is faulty, and has no file."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        toy_study.install(monkeypatch)
        folder = tmp_path_factory.mktemp("study")
        runner = Runner(toy_study.study(*EVERY), folder)
        toy_study.make(runner, SAMPLES)
        runner.sample_path(runner.arms[0], 1).unlink()
        Record("00001", "two notes", "two notes", "", faults=("it is <silent>",)).write(runner.path(runner.arms[0], 1))
        findings = toy_study.findings(runner)
        text = page(runner, findings)
        (folder / "page.html").write_text(text, encoding="utf-8")
        yield runner, findings, text, folder / "page.html"


class Elements(HTMLParser):
    """Elements with their attributes and text; fails where one is not closed in its turn."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.found, self._open = [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.found.append(element)
        if tag not in WITHOUT_END:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        assert tag in WITHOUT_END
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def of(self, tag, class_=""):
        return [e for e in self.found if e["tag"] == tag and class_ in (e.get("class") or "")]


@pytest.fixture(scope="module")
def elements(made):
    return Elements(made[2])


def decoded(uri):
    head, content = uri.split(",", 1)
    assert head.endswith(";base64")
    return base64.b64decode(content)


# --- what the page says -----------------------------------------------------------------------------------------------


def test_the_page_is_well_formed_and_loads_nothing(elements):
    for element in elements.found:
        for key in ("src", "href", "poster", "action", "srcset"):
            if element.get(key):
                assert element[key].startswith(("data:", "#")), element
    anchors = {e["href"] for e in elements.of("a") if e["href"].startswith("#")}
    assert anchors == {f"#{e['id']}" for e in elements.of("section")}
    policy = next(e["content"] for e in elements.of("meta") if e.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert not re.search(r"https?://", policy)


def test_what_was_typed_is_text_and_not_markup(made, elements):
    assert "<b>box" not in made[2]
    assert any(e["text"] == "a red <b>box</b> & a bell seed 0" for e in elements.of("h4"))
    assert [e["text"] for e in elements.of("p", "fault")] == ["it is <silent>"]


def test_every_value_is_drawn_and_written(made, elements):
    _, findings, _, _ = made
    figures = elements.of("figure", "metric")
    assert len(figures) == 4 * len(EVERY)
    assert len(elements.of("svg", "chart")) == 2 * len(figures)
    marks = [e["text"] for e in elements.of("title")][1:]  # the first is the page's
    for arm in findings.arms:
        design = Design.of(findings, arm.modality)
        for r in findings.results[arm]:
            if r.interval is not None:
                assert marks.count(f"{design.name(arm)}: {shown(r.interval)}") >= 2
    rows = [e["text"] for e in elements.of("tr")]
    for arm in findings.arms:
        cost, kad = findings.costs[arm], findings.results[arm][0].interval
        told = Design.of(findings, arm.modality).name(arm), digits(cost.evaluations), digits(cost.seconds), shown(kad)
        assert "".join(told) + "3" in rows


def test_a_metric_without_a_value_says_why(made, elements):
    runner, _, _, _ = made
    said = [e["text"] for e in elements.of("p", "quiet") if e["text"].startswith("Without a value")]
    assert len(said) == len(EVERY)
    for metric in runner.metrics("audio")[4:]:
        assert f"{metric.name} (needs training samples, --training)" in said[0]


def test_the_best_arm_and_the_cheapest_that_is_not_worse_are_told(made, elements):
    _, findings, _, _ = made
    rows = [e["text"] for e in elements.of("tr")]
    assert len(findings.leaders) == len(EVERY)
    for leader in findings.leaders:
        told = leader.metric
        for arm in (leader.best, leader.cheapest):
            interval = next(r.interval for r in findings.results[arm] if r.metric == leader.metric)
            told += Design.of(findings, leader.modality).name(arm) + shown(interval)
            told += digits(findings.costs[arm].evaluations)
        assert told in rows


def test_the_pareto_front_is_of_arms_that_none_beats(made, elements):
    runner, findings, _, _ = made
    rings = 0
    for modality in EVERY:
        arms = [arm for arm in findings.arms if arm.modality == modality]
        for place, metric in enumerate(runner.metrics(modality)[:4]):
            for cost in ("evaluations", "seconds"):
                at = {a: (getattr(findings.costs[a], cost), findings.results[a][place].interval.value) for a in arms}
                bad = {a: -v if metric.higher_is_better else v for a, (_, v) in at.items()}
                if metric.best is not None:
                    bad = {a: abs(v - metric.best) for a, (_, v) in at.items()}
                beaten = {
                    a
                    for a in arms
                    for b in arms
                    if at[b][0] <= at[a][0] and bad[b] <= bad[a] and (at[b][0], bad[b]) != (at[a][0], bad[a])
                }
                found = front(at, metric)
                assert set(found) == set(arms) - beaten
                assert [at[a][0] for a in found] == sorted(at[a][0] for a in found)
                rings += len(found)
    keys = [e for e in elements.of("li") if e["text"] == "Pareto front"]
    assert len(elements.of("circle", "ring")) == rings + len(keys)


def test_the_front_has_what_is_tied_and_nothing_that_costs_more_for_the_same(made):
    a, b, c, d, e = made[0].arms[:5]
    fact = PerSample(name="x", about="", source="", higher_is_better=True, value=lambda sample, prompt: 0.0)
    assert front({a: (2, 5.0), b: (4, 5.0), c: (2, 5.0), d: (8, 6.0), e: (2, 1.0)}, fact) == [a, c, d]


def test_no_arm_is_on_the_front_of_a_metric_without_a_better(made):
    arm = made[0].arms[0]
    fact = PerSample(name="x", about="", source="", higher_is_better=None, value=lambda sample, prompt: 0.0)
    assert front({arm: (1.0, 1.0)}, fact) == []


def test_differences_are_counted(made, elements):
    _, findings, _, _ = made
    counts = dict.fromkeys(("better", "worse", "open", "other"), 0)
    for tally in elements.of("span", "tally"):
        for count, kind in re.findall(r"(\d+) (\w+)", tally["title"]):
            counts[kind] += int(count)
    significant = [c for c in findings.contrasts if c.adjusted < 0.05]
    assert counts["better"] == sum(c.better is True for c in significant) > 0
    assert counts["worse"] == sum(c.better is False for c in significant) > 0
    assert counts["open"] == len(findings.contrasts) - len(significant) > 0
    assert len(elements.of("svg", "forest")) == len(findings.contrasts)
    lead = elements.of("p", "lead")[0]["text"]
    assert f"{len(significant)} of {len(findings.contrasts)} differences are significant" in lead


def test_agreement_shows_each_order(made, elements):
    _, findings, _, _ = made
    (found,) = findings.agreements
    (svg,) = elements.of("svg", "orders")
    for modality, (first, second, *others) in found.order.items():
        assert f"{modality}: {' > '.join([f'{first} = {second}', *others])}" in svg["aria-label"]
    assert len(elements.of("line", "tie")) == len(found.order)  # the first two of each are as good
    assert any(e["text"] == "W = 0.62, p = 0.04" for e in elements.of("p", "quiet"))


def test_the_protocol_names_models_metrics_and_versions(made, elements):
    runner, findings, _, _ = made
    facts = dict(zip([e["text"] for e in elements.of("dt")], [e["text"] for e in elements.of("dd")], strict=True))
    assert facts["arms"] == str(len(findings.arms))
    assert facts["study"] == runner.study.fingerprint()
    assert facts["torch"] == torch.__version__
    assert facts["3d: extractor"].startswith(runner.extractor("3d").name)
    assert facts["resamplings"].startswith("1000 resamplings each")
    assert "250 for differences of sets" in facts["resamplings"]
    rows = [e["text"] for e in elements.of("tr")]
    assert "audiotoy-audioheunkarras8cfg:scale=30123456789abcdef160.22630" in rows
    saved = {e["download"]: e["href"] for e in elements.of("a") if e.get("download")}
    assert decoded(saved["results.csv"]).count(b"\n") == 1 + sum(len(r) for r in findings.results.values())


def test_errors_on_exact_denoisers_have_a_section(tmp_path, monkeypatch):
    toy_study.install(monkeypatch)
    runner = Runner(toy_study.study("swatch", sampler=()), tmp_path)
    toy_study.make(runner, SAMPLES)
    findings = toy_study.findings(runner)
    arm = runner.arms[0]
    findings.results[arm][0] = replace(findings.results[arm][0], chance=0.25)
    elements = Elements(page(runner, findings, ERRORS))
    assert sum("; chance is 0.25" in e["text"] for e in elements.of("p", "quiet")) == 1
    (section,) = [e for e in elements.of("section") if e.get("id") == "to-exact-denoisers"]
    for error in ERRORS:
        assert f"{error.modality}{error.sampler}{error.schedule}{error.steps}{shown(error.error)}" in section["text"]
    drawn = [e["aria-label"] for e in elements.of("svg", "chart") if e["aria-label"].startswith("error on")]
    assert drawn == [f"error on {name} mixtures against steps, karras" for name in ("audio", "3d")]
    facts = dict(zip([e["text"] for e in elements.of("dt")], [e["text"] for e in elements.of("dd")], strict=True))
    assert facts["exact denoisers"].startswith("mixtures of 8 Gaussians")
    assert "exact denoisers" not in page(runner, findings)


# --- figures ----------------------------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"
STYLED = {"band", "line", "mark", "ring", "front", "floor", "best", "tie", *(f"c{i}" for i in range(charts.COLORS))}


@pytest.fixture(scope="module")
def drawn(made):
    return figures(made[0], made[1], ERRORS)


def test_every_chart_has_a_file_of_its_own(made, drawn):
    findings = made[1]
    valued = {f"{a.modality}-{r.metric}" for a in findings.arms for r in findings.results[a] if r.interval is not None}
    assert drawn.keys() == {f"{name}.svg" for name in (*valued, "agreement-sampler-kad", "exact-audio", "exact-3d")}
    for arm in findings.arms:
        for r in findings.results[arm]:
            if r.interval is not None:
                root = ElementTree.fromstring(drawn[f"{arm.modality}-{r.metric}.svg"])
                marks = [e.text for e in root.iter(f"{SVG}title")]
                assert marks.count(f"{Design.of(findings, arm.modality).name(arm)}: {shown(r.interval)}") == 2


def test_a_figure_needs_nothing_beside_it_and_all_of_it_is_on_the_paper(drawn):
    for name, svg in drawn.items():
        root = ElementTree.fromstring(svg)
        assert not re.search(r"var\(|url\(|href|nan", svg), name
        classes = {word for e in root.iter() for word in e.get("class", "").split()}
        style = root.find(f"{SVG}style").text
        for word in classes & STYLED:
            assert f".{word} " in style, (name, word)
        width, height = float(root.get("width")), float(root.get("height"))
        for part in root.findall(f"{SVG}svg"):
            x, y, wide, high = (float(part.get(key)) for key in ("x", "y", "width", "height"))
            assert min(x, y) > 0, name
            assert x + wide < width, name
            assert y + high < height, name


def test_the_rows_of_a_figure_lie_below_one_another_and_below_the_legend(drawn):
    root = ElementTree.fromstring(drawn["exact-audio.svg"])
    placed = [(float(e.get("y")), float(e.get("y")) + float(e.get("height"))) for e in root.findall(f"{SVG}svg")]
    swatches, charted = placed[:2], placed[2:]
    assert len(charted) == 1
    assert max(end for _, end in swatches) < charted[0][0]
    words = [e.text for e in root.findall(f"{SVG}text")]
    assert words == ["error on audio mixtures with exact scores", *toy_study.SAMPLERS[:2], "karras"]


# --- axes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axis",
    [
        charts.linear([0.0, 1.0]),
        charts.linear([5.0, 5.0]),
        charts.linear([-3e-7, 2e-7]),
        charts.logarithmic([4, 7, 64], doubling=True),
        charts.logarithmic([0.11, 0.13]),
        charts.logarithmic([1e-5, 1e5]),
        charts.bent([-20.0, 4000.0], unit=0.5),
    ],
)
def test_axes_rise_and_their_ticks_are_few_and_inside(axis):
    assert axis.at(axis.low) == pytest.approx(0, abs=1e-12)
    assert axis.at(axis.high) == pytest.approx(1)
    assert 2 <= len(axis.ticks) <= 11
    places = [axis.at(tick) for tick in axis.ticks]
    assert places == sorted(places)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)


def test_the_ticks_of_steps_are_powers_of_two():
    assert charts.logarithmic([4, 8, 16, 64], doubling=True).ticks == [4, 8, 16, 32, 64]
    assert charts.logarithmic([12.0, 12.0]).ticks == [12.0]


def test_small_values_are_seen_beside_large_ones():
    """Each is as far from its neighbour on the axis as it is in terms of its own interval."""
    values = [Interval(v, 0.9 * v - 0.01, 1.1 * v + 0.01) for v in (0.1, 1.0, 10.0, 100.0)]
    places = [charts.spread(values).at(i.value) for i in values]
    assert min(b - a for a, b in pairwise(places)) > 0.15
    negative = charts.spread([Interval(-0.01, -0.05, 0.03), *values])
    assert negative.at(0.1) - negative.at(-0.01) > 0.02
    alike = [Interval(v, v - 0.1, v + 0.1) for v in (0.5, 0.7, 0.9)]
    assert charts.spread(alike).bend(3.0) == 3.0


def test_an_arm_without_an_interval_is_drawn_and_its_orders_may_be_undefined():
    lines = [charts.Line(0, [charts.Point(x, Interval.none(x), "", False) for x in (1.0, 2.0)])]
    x = charts.linear([1, 2])
    chart = charts.curves(lines, [], x, x, name="", below="", floor=Interval.none(1.5), best=None)
    assert "nan" not in chart.svg
    assert shown(Interval.none(0.25)) == "0.25"
    order = {name: ["a", "b", "c"] for name in ("audio", "video")}
    undecided = Agreement("kad", "sampler", math.nan, math.nan, order, {"audio": [1, 2, 3], "video": [2, 2, 2]})
    arms = [Arm("audio", sampler=name) for name in "abc"]
    assert "W is undefined: a modality holds all equal" in agreement([undecided], arms)


def test_an_interval_without_an_end_is_drawn_as_its_value():
    open_ended = Interval(2.0, math.nan, math.inf)
    axis = charts.spread([open_ended, Interval(1.0, 0.5, 3.0)])
    assert axis.low < 0.5 < 3.0 < axis.high < 4.0
    (bar,) = [e for e in Elements(charts.forest(open_ended, axis, "better")).of("line") if e["class"] == "bar"]
    assert bar["x1"] == bar["x2"]
    assert "mark" not in charts.forest(Interval(math.nan, 0.0, 1.0), axis, "open")


# --- samples ----------------------------------------------------------------------------------------------------------


def test_samples_stand_in_rows_of_samplers_and_columns_of_steps(made, elements):
    items = elements.of("div", "item")
    assert len(items) == 3 * len(EVERY)
    assert len(elements.of("audio")) == 3 * 9 - 1
    assert len(elements.of("video")) == len(elements.of("canvas")) == 3 * 9
    assert len([e for e in elements.of("img") if "rain on tin" in e["alt"] and "dpmpp_2m, 16 steps" in e["alt"]]) == 2


def test_a_modality_without_a_picture_has_links_to_its_files(made, elements):
    runner, *_ = made
    links = [decoded(e["href"]) for e in elements.of("a") if e.get("download", "").startswith("scent")]
    paths = [runner.sample_path(arm, i) for i in range(3) for arm in runner.arms if arm.modality == "scent"]
    assert links == [path.read_bytes() for path in paths]


def test_a_modality_that_can_be_drawn_is_drawn(elements):
    first = next(e for e in elements.of("img") if e.get("title", "").startswith("a red <b>box"))
    with Image.open(io.BytesIO(decoded(first["src"]))) as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (4, 0, 5)


def test_a_page_has_no_more_bytes_of_samples_than_it_may(made):
    runner, findings, *_ = made
    with pytest.MonkeyPatch.context() as monkeypatch:
        toy_study.install(monkeypatch)
        design = Design.of(findings, "audio")
        whole = gallery.gallery(runner, design, "audio", budget=10**7)
        half = gallery.gallery(runner, design, "audio", budget=len(whole) // 2)
        none = gallery.gallery(runner, design, "audio", budget=30_000)
    assert [text.count('class="item"') for text in (whole, half, none)] == [3, 1, 1]
    assert len(none) < 40_000
    assert none.count("<audio") + none.count("no room on this page") == 9
    assert "<audio" in none


def test_a_sound_on_a_page_is_the_sound(made):
    sample = sound(None, 0)
    (player,) = Elements(embed_sound(sample, "a & b")).of("audio")
    assert player["title"] == "a & b"
    wave, rate = soundfile.read(io.BytesIO(decoded(player["src"])), dtype="float32")
    assert rate == RATE
    assert torch.from_numpy(wave) == pytest.approx(sample["wave"][0], abs=1 / 32768)


def test_a_spectrogram_on_a_page_is_brightest_at_the_tone():
    (picture,) = Elements(embed_sound(sound(None, 0), "")).of("img")
    with Image.open(io.BytesIO(decoded(picture["src"]))) as opened:
        rgb = np.asarray(opened.convert("RGB")).astype(float).sum(-1)
    mels = 64 * 2595 * np.log10(1 + 440 / 700) / (2595 * np.log10(1 + 12000 / 700))
    assert rgb.mean(1).argmax() == pytest.approx(63 - mels, abs=4)


@pytest.mark.parametrize("i", [0, 1])
def test_packed_shapes_are_the_shapes(i):
    sample = shape(None, i)
    vertices = sample["points" if i else "vertices"]
    (canvas,) = Elements(embed_shape(sample, "a < b")).of("canvas")
    n, corners = int(canvas["data-points"]), int(canvas["data-corners"])
    data = zlib.decompress(base64.b64decode(canvas["data-packed"]))
    assert len(data) == 4 * corners + 9 * n
    faces = np.cumsum(np.frombuffer(data, "<u4", corners), dtype="<u4")
    places = np.cumsum(np.frombuffer(data, "<u2", 3 * n, 4 * corners), dtype="<u2").reshape(3, n).T
    colors = np.cumsum(np.frombuffer(data, "u1", 3 * n, 4 * corners + 6 * n), dtype="u1").reshape(3, n).T
    assert faces.tolist() == ([] if i else sample["faces"].flatten().tolist())
    assert torch.tensor(colors / 255) == pytest.approx(sample["colors"], abs=0.5 / 255 + 1e-6)
    extent = np.array([float(side) for side in canvas["data-extent"].split(",")])
    back = (places / 65535 - 0.5) * extent
    assert np.linalg.norm(back, axis=1).max() == pytest.approx(1, abs=1e-4)
    radius = (vertices - (vertices.amin(0) + vertices.amax(0)) / 2).norm(dim=1).max()
    assert torch.tensor(back) * radius == pytest.approx(vertices.double(), abs=1e-4)  # the box is around 0


def test_a_flat_shape_can_be_packed():
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    packed = pack(corners, torch.tensor([[0, 1, 2]]), torch.zeros(3, 3))
    places = np.cumsum(np.frombuffer(packed, "<u2", 9, 12), dtype="<u2").reshape(3, 3).T
    assert places.tolist() == [[0, 0, 0], [65535, 0, 0], [0, 65535, 0]]


# --- in a browser -----------------------------------------------------------------------------------------------------

PICTURE = """(() => {
  const canvas = document.querySelectorAll("canvas.multigen-shape")[%d];
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const drawn = [...Array(pixels.length / 4).keys()].filter((i) => pixels[4 * i + 3] > 128);
  const row = (i) => Math.floor(i / canvas.width) / canvas.height;
  return {
    drawn: drawn.length / (canvas.width * canvas.height), top: row(drawn[0]), bottom: row(drawn.at(-1)),
    red: drawn.filter((i) => pixels[4 * i] > 1.5 * pixels[4 * i + 2]).length,
    blue: drawn.filter((i) => pixels[4 * i + 2] > 1.5 * pixels[4 * i]).length,
  };
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium_page(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def test_the_page_opens_from_a_file_without_a_complaint_or_a_request(browser, made):
    browser.open(made[3])
    assert browser.value("document.title") == "Study of audio, video, 3d, swatch and scent"
    assert browser.complaints == []
    assert {url for url in browser.requests if not url.startswith("data:")} == {made[3].as_uri()}


def test_every_sound_and_film_has_its_length(browser, made):
    browser.open(made[3])
    browser.wait("[...document.querySelectorAll('audio, video')].every((one) => one.readyState > 0)")
    lengths = browser.value("[...document.querySelectorAll('audio')].map((one) => one.duration)")
    assert lengths == pytest.approx([0.5] * 26, abs=1e-3)
    lengths = browser.value("[...document.querySelectorAll('video')].map((one) => one.duration)")
    assert lengths == pytest.approx([1.0] * 27, abs=0.05)


def test_a_touch_on_a_spectrogram_plays_one_sound(browser, made):
    browser.open(made[3])
    browser.wait("[...document.querySelectorAll('audio')].every((one) => one.readyState > 0)")
    browser.value("[0, 3].forEach((i) => document.querySelectorAll('.multigen-sound > div')[i].click())")
    browser.wait("document.querySelectorAll('audio')[3].ended")
    assert browser.value("(({paused, ended}) => paused && !ended)(document.querySelector('audio'))")
    assert browser.complaints == []


def test_films_of_a_prompt_play_together(browser, made):
    browser.open(made[3])
    browser.value("document.querySelector('video').click()")
    browser.wait("[...document.querySelectorAll('video')].filter((one) => !one.paused).length === 9")
    browser.value("document.querySelectorAll('video')[4].click()")
    browser.wait("[...document.querySelectorAll('video')].every((one) => one.paused)")
    assert browser.complaints == []


@pytest.mark.parametrize("i", [0, 9])
def test_a_shape_is_drawn_and_turns_with_its_neighbours(browser, made, i):
    """A mesh, and points. Seen from azimuth 35 red, at +x, is nearer; half a turn later blue is."""
    browser.open(made[3])
    browser.value(f"document.querySelectorAll('canvas.multigen-shape')[{i}].scrollIntoView({{block: 'center'}})")
    browser.wait(f"{PICTURE % i}.drawn > 0 && {PICTURE % (i + 1)}.drawn > 0")
    before, beside = browser.value(PICTURE % i), browser.value(PICTURE % (i + 1))
    assert before == beside
    assert before["drawn"] > (0.02 if i else 0.15)
    assert before["top"] < 0.2
    assert before["bottom"] > 0.8
    assert before["red"] > before["blue"] > 0
    left, top, width, height = browser.value(
        f"(({{left, top, width, height}}) => [left, top, width, height])"
        f"(document.querySelectorAll('canvas.multigen-shape')[{i}].getBoundingClientRect())"
    )
    y = top + height / 2
    browser.drag(left + 0.1 * width, y, left + (0.1 + math.pi / 4) * width, y)  # 4 radians for the whole width
    after = browser.value(PICTURE % i)
    assert after["blue"] > after["red"]
    assert browser.value(PICTURE % (i + 1)) == after
    assert browser.complaints == []


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_a_phone_and_a_desk_in_light_and_dark(browser, made, width):
    shades = {}
    for scheme in ("light", "dark"):
        browser.open(made[3], width=width, scheme=scheme)
        assert browser.value("document.documentElement.scrollWidth") <= width
        shade = "getComputedStyle(document.body).%s.match(/\\d+/g).map(Number)"
        shades[scheme] = [sum(browser.value(shade % name)) for name in ("backgroundColor", "color")]
    assert shades["light"][0] - shades["light"][1] > 450
    assert shades["dark"][1] - shades["dark"][0] > 450
