"""Every figure of a 3D model's card: ``python benchmarks/shape_quality.py --data DIR -o report.json``.

Shapes made from the captions of held-out shapes at several numbers of steps, beside those shapes, which the model never
saw, and shapes of single kinds and colours. As a check of the measures themselves the held-out shapes are compared with
training shapes, with themselves, and with themselves made worse. The tables go to the output, everything else besides
into the report. Shapes and distances are kept: a run that was stopped goes on.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median_high
from typing import Any

import torch
from reports import command, costs, run, table
from shape_judges import METRICS, Classifier, Nearest, SetJudge, Tables, asymmetries, color_hits, median, share
from shape_sets import (
    Clouds,
    Made,
    captions,
    cut,
    generate,
    kinds,
    noisy,
    of_colors,
    of_kinds,
    real,
    spread,
)

from multigen.errors import UsageError
from multigen.loaders import load
from multigen.metrics import wilson
from multigen.request import Request
from multigen_models.shapes.colors import COLOR_NAMES
from multigen_models.shapes.data import Shapes, load_shapes

KINDS = 20
SMALL = 0.5
"""A shape whose longest side is below this share of the cube is next to nothing."""
Row = Mapping[str, Any]
SETS = (
    "Sets [95 %], against held-out shapes: CD of 1,024 points and exact EMD of 256 points, squared lengths in the unit "
    "box; SW: sliced Wasserstein distance, a length. 1-NNA: 0.5 is ideal, 0 are copies, 1 is nothing alike"
)
NEAREST = (
    "Nearest: distance to the nearest training shape over that of held-out shapes, 1 is as far, 0 is a copy; "
    "asymmetry: CD to the mirror image, median [95 %]"
)
PROMPTED = (
    "Prompts [95 %]; kind, colour: taken for what the prompt says, {kind} and {colour} shapes; kind / real: over the "
    "accuracy on real shapes"
)
MESHES = "Meshes: shares; small: longest side below half of the cube; again: took more evaluations than the others"


@dataclass(frozen=True)
class Real:
    """held_out: those that shapes are made for; others: as many training shapes; training: all of them."""

    shapes: Shapes
    chosen: Sequence[int]
    classes: Sequence[str]
    held_out: Clouds
    others: Clouds
    training: Clouds


@dataclass(frozen=True)
class Judges:
    """All that judges a set of shapes. usual: median asymmetry of the held-out shapes' clouds."""

    sets: SetJudge
    classifier: Classifier
    nearest: Nearest

    def compared(self, clouds: Clouds, /) -> Row:
        """Of shapes that should be like the held-out ones."""
        return {
            **self.sets.row(clouds),
            "nearest, median": self.nearest.ratio(clouds, 0.5),
            "nearest, 5 %": self.nearest.ratio(clouds, 0.05),
            "asymmetry": median(asymmetries(clouds), clouds),
        }


def read(data: Path, prepared: Path, count: int, /) -> Real:
    shapes = load_shapes(data, cache=prepared)
    classes = kinds([shapes.shapes[i] for i in shapes.training], count=KINDS)
    chosen = spread(shapes, shapes.validation, count=count)
    return Real(
        shapes,
        chosen,
        classes,
        real(shapes, chosen, classes),
        real(shapes, spread(shapes, shapes.training, count=count), classes),
        real(shapes, shapes.training, classes),
    )


def judge(found: Real, tables: Tables, /) -> Judges:
    """Fit everything."""
    everything_held_out = real(found.shapes, found.shapes.validation, found.classes)
    return Judges(
        SetJudge(found.held_out, tables),
        Classifier(found.training, everything_held_out),
        Nearest(found.training, found.held_out, tables),
    )


def checks(found: Real, judges: Judges, /) -> Mapping[str, Row]:
    """What is known beforehand: real shapes, copies, and held-out shapes that were made worse."""
    again = real(found.shapes, found.chosen, found.classes, seed=1)
    one_kind = [i for i in found.shapes.training if found.shapes.shapes[i].kind == found.classes[0]]
    return {
        "two real sets": judges.sets.floor(found.others),
        "training shapes": judges.compared(found.others),
        "the same shapes, other points": judges.compared(again),
        "the same, noise of 3 %": judges.compared(noisy(again, 0.03)),
        "the same, a third cut off": judges.compared(cut(again, 2 / 3)),
        f"training shapes, each a {found.classes[0]}": judges.compared(
            real(found.shapes, spread(found.shapes, one_kind, count=len(again)), found.classes)
        ),
    }


def prompted(kind_made: Made, color_made: Made, judges: Judges, /) -> Row:
    """How many shapes are what their prompts say."""
    right = judges.classifier.right(kind_made.clouds)
    _, hits = color_hits(color_made.clouds)
    return {
        "kind": share(right, kind_made.clouds),
        "kind / real": judges.classifier.relative(kind_made.clouds),
        "colour": wilson(int(hits.sum()), len(hits)),
    }


def meshes(made: Sequence[Made], /) -> Row:
    """Of all shapes that are meshes; nothing where they are clouds."""
    found = [check for one in made for check in one.checks]
    if not found:
        return {}
    shares = ("watertight", "winding consistent", "positive volume")
    evaluations = [n for one in made for n in one.evaluations]
    again = sum(n > min(evaluations) for n in evaluations)
    return {
        "meshes": len(found),
        **{name: sum(check[name] for check in found) / len(found) for name in shares},
        "small": sum(check["side"] < SMALL for check in found),
        "again": again,
        **{name: median_high(check[name] for check in found) for name in ("side", "pieces", "faces")},
    }


def by_label(made: Made, predicted: torch.Tensor, names: Sequence[str], /) -> Mapping[str, Any]:
    """Of each kind or colour, how often it was met, and what was seen instead."""
    found = {}
    for label, name in enumerate(names):
        mine = made.clouds.label == label
        taken = torch.bincount(predicted[mine], minlength=len(names))
        found[name] = {
            "right": wilson(int(taken[label]), int(mine.sum())),
            "taken for": {other: int(n) for other, n in zip(names, taken, strict=True) if n},
        }
    return found


# --- tables -----------------------------------------------------------------------------------------------------------


def show(report: Mapping[str, Any], /) -> None:
    """The card's tables."""
    generated = report["generated"]
    named = {f"{cells['steps']} steps, {cells['evaluations']} evaluations": cells for cells in generated}
    compared = {**report["checks"], **{name: cells["compared"] for name, cells in named.items()}}
    columns = list(compared["training shapes"])
    for title, wanted in (
        (SETS, [c for c in columns if c.split()[0] in METRICS or c == "JSD"]),
        (NEAREST, [c for c in columns if not (c.split()[0] in METRICS or c == "JSD")]),
    ):
        rows = [(name, *(row.get(c, "") for c in wanted)) for name, row in compared.items() if wanted[0] in row]
        table(title, ["shapes", *wanted], rows)
    table(
        "Classifiers: accuracy on real shapes in cross-validation by family, every kind counted alike",
        ["classifier", "accuracy"],
        report["classifiers"].items(),
    )
    if not generated:
        return
    for title, part in ((PROMPTED.format(**report["prompts"]), "prompted"), (MESHES, "meshes")):
        if generated[0][part]:
            table(title, ["steps", *generated[0][part]], [(c["steps"], *c[part].values()) for c in generated])
    for part in ("kinds", "colors"):
        table(
            f"{part.capitalize()}, {report['shown']} steps",
            ["asked for", "right", "taken for"],
            [
                (name, c["right"], ", ".join(f"{k} {v}" for k, v in c["taken for"].items()))
                for name, c in report[part].items()
            ],
        )
    costs(generated, "a shape")


# --- command ----------------------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    data = "the folder of shapes that the model was trained on"
    parser = command(__doc__, verb="3d", model="voxels-small", steps="2,4,8,16,32", data=data)
    parser.add_argument(
        "--shapes", type=int, default=200, help="held-out shapes and shapes made for them (default 200)"
    )
    parser.add_argument(
        "--each", type=int, default=10, help="shapes of each kind and colour; 0 for real shapes alone (default 10)"
    )
    parser.add_argument(
        "--prepared", type=Path, help="the --cache of multigen train, if there is one (default --cache)"
    )
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> Mapping[str, Any]:
    if asked.shapes < 10:
        raise UsageError(f"--shapes {asked.shapes}: give 10 or more")
    if not 0 <= asked.each <= 10:
        raise UsageError(f"--each {asked.each}: give 0 to 10")
    if asked.each:
        load(asked.model, modality="3d", device=asked.device)  # a wrong name shows before minutes of other work
    began = time.perf_counter()
    found = read(asked.data, asked.prepared or asked.cache, asked.shapes)
    judges = judge(found, Tables(asked.cache / "tables"))
    report: dict[str, Any] = {
        "shapes": {"training": len(found.training), "held out": len(found.held_out)},
        "classifiers": judges.classifier.scores,
        "chosen": judges.classifier.name,
        "checks": checks(found, judges),
        "generated": [],
    }
    print(f"real shapes: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    prompts = [captions(found.shapes, found.chosen)]
    if asked.each:
        prompts += [of_kinds(found.classes, each=asked.each), of_colors(asked.each)]
    runs: dict[int, list[Made]] = {}
    for steps in asked.steps if asked.each else []:
        began = time.perf_counter()
        request = Request("3d", "", model=asked.model, steps=steps, guidance=asked.guidance)
        made = [generate(request, one, device=asked.device, cache=asked.cache) for one in prompts]
        of_captions, of_kind, of_color = runs[steps] = made
        report["generated"].append(
            {
                "steps": steps,
                "evaluations": min(of_captions.evaluations),
                "seconds": of_captions.seconds,
                "folder": str(of_captions.folder),
                "request": asdict(of_captions.request),
                "compared": judges.compared(of_captions.clouds),
                "prompted": prompted(of_kind, of_color, judges),
                "meshes": meshes(made),
            }
        )
        print(f"{steps} steps: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    if runs:
        report["shown"] = min(runs, key=lambda steps: abs(math.log(steps / runs[steps][0].usual)))
        _, kind_made, color_made = runs[report["shown"]]
        report["prompts"] = {"kind": len(kind_made.clouds), "colour": len(color_made.clouds)}
        report["kinds"] = by_label(kind_made, judges.classifier.predict(kind_made.clouds), found.classes)
        report["colors"] = by_label(color_made, color_hits(color_made.clouds)[0], COLOR_NAMES)
    return report


if __name__ == "__main__":
    sys.exit(run("shape_quality", arguments(), measure, show))
