"""A study as one HTML file that needs nothing beside it: charts, differences, agreement, samples, protocol."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multigen.comparison import tables
from multigen.comparison.differences import agreement, differences
from multigen.comparison.exact import exact
from multigen.comparison.findings import ALPHA, Findings
from multigen.comparison.gallery import gallery, scripts
from multigen.comparison.markup import data_uri, details, element, table, text
from multigen.comparison.oracle import CELLS, COMPONENTS, FINE, LikelihoodError, OracleError
from multigen.comparison.quality import Design, leaders, quality
from multigen.comparison.run import Runner
from multigen.comparison.study import VARIED, ranges
from multigen.evaluation import Collection, Extractor
from multigen.evaluation.protocol import told_of, told_of_prompts, versions
from multigen.metrics import digits

MOST_BYTES = 20_000_000
"""Of all samples on a page."""
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself keeps the page from loading anything."""
_ORACLE = f"mixtures of {COMPONENTS} Gaussians, axes of at most {CELLS}; references of {FINE} steps; 8 seeds"
READING = (
    "Bands, bars and brackets are 95 % intervals, found by resampling. Ringed arms are on the Pareto front: none is "
    "as cheap and as good. The dotted line joins them."
)


def page(
    runner: Runner,
    findings: Findings,
    errors: Sequence[OracleError] = (),
    likelihoods: Sequence[LikelihoodError] = (),
    /,
) -> str:
    """A complete study as HTML; it reads the samples that it shows from the study's folder.

    errors, likelihoods: of the samplers and of bits/dim on exact denoisers, if they were found.
    """
    modalities = runner.study.modalities
    designs = {name: Design.of(findings, name) for name in modalities}
    sections = [_modality(runner, findings, designs[name], name) for name in modalities]
    if findings.agreements:
        sections.append(_agreement(findings))
    if errors:
        sections.append(_section("exact denoisers", exact(errors, likelihoods)))
    sections += [_samples(runner, designs), _protocol(runner, findings, bool(errors))]
    title = f"Study of {_joined(modalities)}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", text(title)),
        element("style", *(Path(__file__).with_name(f"{name}.css").read_text("utf-8") for name in ("charts", "page"))),
    )
    names = [
        *modalities,
        *(["agreement"] if findings.agreements else []),
        *(["exact denoisers"] if errors else []),
        "samples",
        "protocol",
    ]
    body = element(
        "body",
        element("header", element("h1", text(title)), _asked(runner, findings)),
        element(
            "nav",
            *(element("a", text(name.title()), href=f"#{_anchor(name)}") for name in names),
            aria_label="sections",
        ),
        element("main", *sections),
        scripts(modalities),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _asked(runner: Runner, findings: Findings) -> str:
    study = runner.study
    arms, found = len(findings.arms), sum(c.adjusted < ALPHA for c in findings.contrasts)
    said = (
        f"{arms} arms with {study.items} samples each; the prompts and the noise are shared by all arms of a modality. "
        f"{found} of {len(findings.contrasts)} differences are significant at {100 * ALPHA:g} % after adjustment."
    )
    return element("p", text(said), class_="lead")


def _modality(runner: Runner, findings: Findings, design: Design, name: str) -> str:
    metrics = runner.metrics(name)
    contrasts = [c for c in findings.contrasts if c.modality == name]
    return _section(
        name,
        element("h3", "The best arms"),
        leaders(findings, design, metrics),
        element("h3", "Quality and cost"),
        element("p", READING, class_="quiet"),
        quality(findings, design, metrics),
        element("h3", "Differences"),
        element("p", _key(), class_="quiet"),
        differences(contrasts, design.varied),
    )


def _key() -> str:
    kinds = {"better": "better", "other": "different", "worse": "worse", "open": "not significant"}
    keys = ", ".join(element("span", class_=f"key {kind}") + f" {said}" for kind, said in kinds.items())
    return (
        "Each level against the first one, with all else equal, sample by sample. A bar counts in how many such pairs "
        f"it is {keys}, at {100 * ALPHA:g} % after Holm's adjustment for all differences by one metric."
    )


def _agreement(findings: Findings) -> str:
    said = (
        "How alike the modalities rank what is varied, by the mean over everything else; the best is at the top. "
        "Kendall's W is 1 where all orders are one; p is the chance of a W as high between unrelated orders."
    )
    return _section("agreement", element("p", said, class_="quiet"), agreement(findings.agreements, findings.arms))


def _samples(runner: Runner, designs: Mapping[str, Design]) -> str:
    budget = MOST_BYTES // len(designs)
    shown = [
        element("h3", text(name.title())) + gallery(runner, design, name, budget=budget)
        for name, design in designs.items()
    ]
    said = "Some of the samples. All those of one prompt began as the same noise."
    return _section("samples", element("p", said, class_="quiet"), *shown)


# --- protocol ---------------------------------------------------------------------------------------------------------


def _protocol(runner: Runner, findings: Findings, with_oracle: bool) -> str:
    study = runner.study
    facts = {
        "arms": str(len(findings.arms)),
        "samples of an arm": str(study.items),
        "seeds": ranges(study.seeds),
        "costs": tables.COSTS,
        **{f"{name}: prompts": _prompts(study.prompts[name]) for name in study.modalities},
        **{f"{name}: options": _options(study.options[name]) for name in study.modalities if study.options.get(name)},
        **{f"{name}: extractor": _extractor(runner, name) for name in study.modalities},
        **{f"{name}: compared with prompts by": _reader(runner, name) for name in study.modalities},
        **_real("real samples", {name: runner.real(name) for name in study.modalities}),
        **_real("training samples", {name: runner.training(name) for name in study.modalities}),
        "resamplings": tables.resamplings(findings.repeats),
        **({"exact denoisers": _ORACLE} if with_oracle else {}),
        "study": study.fingerprint(),
        **versions(),
    }
    rows = [element("dt", text(name)) + element("dd", text(value)) for name, value in facts.items()]
    files = {"results.csv": tables.results(findings), "contrasts.csv": tables.contrasts(findings)}
    links = [
        element("a", name, href=data_uri(tables.to_csv(told), "text/csv"), download=name)
        for name, told in files.items()
        if told
    ]
    asked = json.dumps(dataclasses.asdict(study), indent=1, ensure_ascii=False)
    return _section(
        "protocol",
        element("dl", *rows),
        details("Arms", _arms(runner, findings)),
        details("Metrics", _metrics(runner, findings)),
        details("What was asked", element("pre", text(asked))),
        element("p", "Save the figures: ", ", ".join(links)),
    )


def _prompts(prompts: Sequence[str]) -> str:
    told = told_of_prompts(prompts)
    return f"{told['different']}, {told['sha256']}"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items())


def _extractor(runner: Runner, modality: str) -> str:
    return _named(runner.extractor(modality))


def _reader(runner: Runner, modality: str) -> str:
    return _named(runner.reader(modality))


def _named(extractor: Extractor | None) -> str:
    return f"{extractor.name} {extractor.fingerprint}" if extractor else "none"


def _real(noun: str, collections: Mapping[str, Collection | None]) -> dict[str, str]:
    """How many there are of each modality, and their hash."""
    told = {modality: told_of(found) for modality, found in collections.items() if found is not None}
    return {f"{modality}: {noun}": _counted(about) for modality, about in told.items()}


def _counted(about: Mapping[str, Any]) -> str:
    faulty = len(about["faulty"])
    return f"{about['samples']}, {about['sha256']}" + (f"; {faulty} that cannot be measured left out" if faulty else "")


def _arms(runner: Runner, findings: Findings) -> str:
    rows = []
    for arm in findings.arms:
        request, cost = runner.request(arm), findings.costs[arm]
        asked = [text(str(getattr(request, name))) for name in VARIED]
        counts = [digits(cost.evaluations), digits(cost.seconds), str(cost.samples), str(cost.faulty)]
        rows.append([text(arm.modality), *asked, text(request.fingerprint[:16]), *counts])
    return table(["modality", *VARIED, "weights", "network evaluations", "seconds", "samples", "faulty"], rows)


def _metrics(runner: Runner, findings: Findings) -> str:
    rows = []
    for modality in runner.study.modalities:
        first = next(arm for arm in findings.arms if arm.modality == modality)
        for metric, r in zip(runner.metrics(modality), findings.results[first], strict=True):
            told = (modality, metric.about, metric.source, str(metric.version), r.extractor, str(r.n), str(r.reference))
            rows.append([text(metric.name), *map(text, told)])
    return table(["metric", "modality", "what", "source", "version", "extractor", "samples", "real"], rows)


# --- parts ------------------------------------------------------------------------------------------------------------


def _section(name: str, /, *inside: str) -> str:
    return element("section", element("h2", text(name.title())), *inside, id=_anchor(name))


def _anchor(name: str) -> str:
    """A modality may be called like a section."""
    return f"to-{name.replace(' ', '-')}"


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
