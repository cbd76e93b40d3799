"""A study's findings as tables: tidy CSV and Parquet for programs, Markdown for people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multigen.comparison.column import paired_repeats
from multigen.comparison.findings import Agreement, Contrast, Findings, undecidable
from multigen.comparison.oracle import LikelihoodError, OracleError
from multigen.comparison.run import Runner
from multigen.comparison.study import VARIED, Arm, ranges
from multigen.evaluation import Collection, PerSample, Result
from multigen.metrics import Interval, digits, shown

Row = Mapping[str, Any]
LIKELIHOODS = (
    "What bits/dim err by, as multigen eval finds them, on draws from the mixtures: root mean squared, against the "
    "exact density. With the denoiser's exact divergence in place of its estimate, what is left is the integrator's "
    "error."
)
LIKELIHOOD_HEADS = ["modality", "divergence", "exact bits/dim", "error [95 %]"]
COSTS = (
    "Network evaluations are rows that the network is given for a sample, so a guided step takes two, and so does one "
    "of autoguidance, whose guide counts like the model; seconds are means over the samples after a warm-up."
)


def results(findings: Findings, /) -> list[Row]:
    """A row for every arm and metric."""
    return [
        {
            "modality": arm.modality,
            **_written(arm),
            "metric": r.metric,
            "unit": r.unit,
            **_columns("", r.interval),
            **_columns("real_", r.floor),
            "chance": r.chance,
            "higher_is_better": r.higher_is_better,
            "best": r.best,
            "n": r.n,
            "reference": r.reference,
            "real_n": r.floor_n,
            "real_reference": r.floor_reference,
            "extractor": r.extractor,
            "version": r.version,
            "evaluations": findings.costs[arm].evaluations,
            "seconds": findings.costs[arm].seconds,
            "faulty": findings.costs[arm].faulty,
            "note": r.note,
        }
        for arm in findings.arms
        for r in findings.results[arm]
    ]


def samples(runner: Runner, /) -> list[Row]:
    """A row for every sample of every arm: what it took, and what was measured of it alone."""
    rows: list[Row] = []
    for arm in runner.arms:
        names = [metric.name for metric in runner.metrics(arm.modality) if isinstance(metric, PerSample)]
        found = runner.collection(arm)
        for record in sorted((*found.records, *found.faulty), key=lambda record: record.name):
            _, seed = runner.study.item(arm.modality, int(record.name))
            values = {name: _finite(record.values.get(name, math.nan)) for name in names}
            rows += [
                {
                    "modality": arm.modality,
                    **_written(arm),
                    "sample": record.name,
                    "prompt": record.prompt,
                    "seed": seed,
                    "seconds": record.made.get("seconds"),
                    "evaluations": record.made.get("evaluations"),
                    "faults": "; ".join(record.faults),
                    "sha256": record.sha256,
                    "metric": name,
                    "value": value,
                }
                for name, value in (values or {"": None}).items()
            ]
    return rows


def contrasts(findings: Findings, /) -> list[Row]:
    """A row for every contrast: where a value is best, the difference is of the distances from it."""
    return [
        {
            "modality": c.modality,
            "metric": c.metric,
            "factor": c.factor,
            "first": str(c.first),
            "second": str(c.second),
            **{f"at_{name}": str(c.at.get(name, "")) for name in VARIED},
            **_columns("", c.difference),
            "p": c.p,
            "p_holm": c.adjusted,
            "p_least": c.least,
            "best": c.best,
            "better": c.better,
        }
        for c in findings.contrasts
    ]


def oracle_rows(errors: Sequence[OracleError], /) -> list[Row]:
    """A row for every combination whose error on the oracle was found."""
    return [
        {
            "modality": e.modality,
            "sampler": e.sampler,
            "schedule": e.schedule,
            "steps": e.steps,
            **_columns("", e.error),
        }
        for e in errors
    ]


def likelihood_rows(errors: Sequence[LikelihoodError], /) -> list[Row]:
    """A row for every modality and way to find the divergence."""
    return [
        {
            "modality": e.modality,
            "divergence": "exact" if e.known else "estimated",
            "bits_per_dim": e.value,
            **_columns("error_", e.error),
        }
        for e in errors
    ]


def likelihood_cells(errors: Sequence[LikelihoodError], /) -> list[list[str]]:
    """Of a table, under `LIKELIHOOD_HEADS`."""
    return [[e.modality, "exact" if e.known else "estimated", digits(e.value), shown(e.error)] for e in errors]


def oracle_markdown(errors: Sequence[OracleError], likelihoods: Sequence[LikelihoodError], /) -> str:
    """The section of the summary on exact denoisers."""
    rows = [[e.modality, e.sampler, e.schedule, str(e.steps), shown(e.error)] for e in errors]
    said = (
        "Gaussian mixtures of each modality's rank with exact scores: root mean squared distance from the exact "
        "result, in deviations of the data."
    )
    return (
        "## Sampler error without model error\n\n"
        + said
        + "\n\n"
        + table(["modality", "sampler", "schedule", "steps", "error"], rows)
        + f"\n\n{LIKELIHOODS}\n\n"
        + table(LIKELIHOOD_HEADS, likelihood_cells(likelihoods))
    )


def to_csv(rows: Sequence[Row], /) -> bytes:
    """One header line; empty where there is no value."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def to_parquet(rows: Sequence[Row], /) -> bytes:
    import pyarrow
    from pyarrow import parquet

    content = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), content)
    return content.getvalue()


def markdown(runner: Runner, findings: Findings, /) -> str:
    """The summary: a table for each modality, significant differences, agreement, and what was asked."""
    study = runner.study
    parts = [f"# Study of {', '.join(study.modalities)}", _asked(runner, findings)]
    for modality in study.modalities:
        mine = [arm for arm in findings.arms if arm.modality == modality]
        parts.append(f"## {modality}\n\n{_main_table(mine, findings)}")
        told = [c for c in findings.contrasts if c.modality == modality]
        parts.append(_differences(told))
    if findings.agreements:
        parts.append("## Do the modalities agree?\n\n" + _agreement(findings.agreements))
    return "\n\n".join(part for part in parts if part) + "\n"


def _asked(runner: Runner, findings: Findings) -> str:
    study = runner.study
    per_arm = f"{study.items} samples an arm, seeds {ranges(study.seeds)}, shared by all arms"
    folders = {**study.against, **study.data}
    told = [f"{name} against {folder}{_left_out(runner.real(name))}" for name, folder in folders.items()]
    real = "; ".join(told) or "no real samples"
    return (
        f"{len(runner.arms)} arms, {per_arm}; {real}. Intervals are of 95 %, by {resamplings(findings.repeats)}; "
        "p-values of differences are paired by sample and adjusted by Holm's method within each modality and metric. "
        f"{COSTS} Study {study.fingerprint()}."
    )


def _left_out(real: Collection | None) -> str:
    return f" ({len(real.faulty)} that cannot be measured left out)" if real is not None and real.faulty else ""


def resamplings(repeats: int, /) -> str:
    """How often was resampled, in words."""
    return (
        f"{repeats} resamplings each (bootstrap of prompts, recordings or samples, jackknife for nearest "
        f"neighbours), {paired_repeats(repeats)} for differences of sets"
    )


def _main_table(mine: Sequence[Arm], findings: Findings) -> str:
    varied = [name for name in VARIED if len({getattr(arm, name) for arm in mine}) > 1]
    named = [r.metric for r in findings.results[mine[0]] if any(_has(findings, arm, r.metric) for arm in mine)]
    rows = []
    for arm in mine:
        cost, by_name = findings.costs[arm], {r.metric: r for r in findings.results[arm]}
        rows.append(
            [
                *(str(getattr(arm, name)) for name in varied),
                f"{cost.evaluations:.0f}",
                f"{cost.seconds:.2f}",
                *(shown(by_name[name].interval) for name in named),
                str(cost.faulty) if cost.faulty else "",
            ]
        )
    told = {r.metric: r for r in findings.results[mine[0]]}
    blank = [""] * (len(varied) + 1)
    if any(told[name].floor is not None for name in named):
        rows.append(["real samples", *blank, *(shown(told[name].floor) for name in named), ""])
    chances = {name: told[name].chance for name in named}
    if any(chance is not None for chance in chances.values()):
        rows.append(["chance", *blank, *("" if c is None else digits(c) for c in chances.values()), ""])
    heads = [
        *varied,
        "network evaluations",
        "seconds",
        *(_head(name, findings.results[mine[0]]) for name in named),
        "faulty",
    ]
    return table(heads, rows)


def _has(findings: Findings, arm: Arm, name: str) -> bool:
    return any(r.metric == name and r.interval is not None for r in findings.results[arm])


def _head(name: str, told: Sequence[Result]) -> str:
    r = next(r for r in told if r.metric == name)
    arrow = {True: " (higher)", False: " (lower)", None: f" (near {r.best:g})" if r.best is not None else ""}
    return name + (f" in {r.unit}" if r.unit else "") + arrow[r.higher_is_better]


def _differences(told: Sequence[Contrast]) -> str:
    found = [c for c in told if c.adjusted < 0.05]
    if not told:
        return ""
    head = " ".join(
        filter(None, [f"{len(found)} of {len(told)} differences are significant at 5 %, adjusted.", undecidable(told)])
    )
    if not found:
        return head
    rows = [
        [
            c.factor,
            f"{c.second} against {c.first}",
            ", ".join(f"{k} {v}" for k, v in c.at.items() if v),
            c.metric if c.best is None else f"{c.metric}, distance from {c.best:g}",
            shown(c.difference),
            f"{c.adjusted:.2g}",
            {True: "better", False: "worse", None: ""}[c.better],
        ]
        for c in sorted(found, key=lambda c: c.adjusted)
    ]
    return head + "\n\n" + table(["what", "which", "at", "metric", "difference", "p", ""], rows)


def _agreement(agreements: Sequence[Agreement]) -> str:
    rows = [
        [
            a.factor,
            a.metric,
            share(a.w),
            probability(a.p),
            "; ".join(f"{name}: {a.written(name)}" for name in a.order),
        ]
        for a in agreements
    ]
    return "Kendall's W is 1 where all modalities rank alike.\n\n" + table(
        ["what", "metric", "W", "p", "from best to worst"], rows
    )


def share(w: float, /) -> str:
    """A coefficient between 0 and 1."""
    return "undefined" if math.isnan(w) else f"{w:.2f}"


def probability(p: float, /) -> str:
    return "" if math.isnan(p) else f"{p:.2g}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], /) -> str:
    """In Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))


def _written(arm: Arm) -> Row:
    return {name: str(value) if name != "steps" else value for name, value in arm.levels().items()}


def _columns(prefix: str, interval: Interval | None) -> Row:
    names = ("value", "low", "high")
    if interval is None:
        return {f"{prefix}{name}": None for name in names}
    return {f"{prefix}{name}": _finite(getattr(interval, name)) for name in names}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
