"""The command line: one verb per modality, and the verbs of `multigen.verbs`.

Parsing needs the standard library alone; torch is imported when something is generated. An error is one line on stderr:
exit code 2 for what cannot be asked, 1 for what failed, 130 after Ctrl-C; ``-vv`` adds the traceback.
"""

import argparse
import dataclasses
import re
import signal
import sys
import traceback
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from multigen import registry, verbs
from multigen.errors import GenerationError, UsageError
from multigen.loading import Loading
from multigen.memory import keep_freed_memory
from multigen.options import Limits, flag, limits, make
from multigen.request import Request

MOST_SEEDS = 10_000


class Parser(argparse.ArgumentParser):
    """An argument parser whose error is one line that says where help is; every verb has ``-v``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        self.add_argument("-v", "--verbose", action="count", default=0, help="say what was chosen; -vv adds tracebacks")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help shows every flag")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Without `argv` it is the process's own, which is then set up for it."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None and not {"-h", "--help", "--version"} & {*arguments}:
        keep_freed_memory()
    loud = "-vv" in arguments
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _dispatch(arguments)
    except UsageError as error:
        return _fail(f"error: {error}", 2, loud)
    except GenerationError as error:
        return _fail(f"error: {error}", 1, loud)
    except KeyboardInterrupt:
        return _fail("interrupted: nothing half-written was left behind", 130, loud)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        reason = error.strerror or str(error)
        return _fail(f"error: {error.filename or 'a file'} cannot be used: {reason}", 1, loud)
    except Exception as error:
        return _fail(f"error: {type(error).__name__}: {error} (-vv shows where)", 1, loud)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, code: int, loud: bool) -> int:
    if loud:
        traceback.print_exc()
    print("multigen: " + " ".join(message.split()), file=sys.stderr)
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        from multigen import __version__

        print(__version__)
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb in verbs.VERBS:
        return verbs.VERBS[verb].run(Parser(prog=f"multigen {verb}", description=verbs.VERBS[verb].help), rest)
    if verb in registry.modalities:
        return _generate(verb, rest)
    raise UsageError(registry.unknown("verb", verb, [*registry.modalities.names(), *verbs.VERBS]))


def _overview() -> str:
    rows = [(f'{name} "PROMPT"', f"make {name} from a prompt") for name in registry.modalities.names()]
    rows += [(name, verb.help) for name, verb in verbs.VERBS.items()]
    width = max(len(left) for left, _ in rows)
    lines = [f"  multigen {left:<{width}}  {right}" for left, right in rows]
    return "\n".join(
        [
            "Audio, video and 3D generation on one diffusion core.",
            "",
            *lines,
            "",
            "multigen VERB --help shows every flag.",
        ]
    )


# --- flags from dataclasses -------------------------------------------------------------------------------------------


def add_flags(
    parser: argparse._ActionsContainer,
    kind: type,
    /,
    *,
    skip: Iterable[str] = (),
    told: Mapping[str, str] | None = None,
) -> None:
    """A flag for every field of an options dataclass; a flag that is not typed stays absent from the namespace.

    That of a tuple of texts can be typed again and again.

    told: help texts in place of the fields' own.
    """
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in skip:
            continue
        allowed = limits(field)
        if told and field.name in told:
            allowed = dataclasses.replace(allowed, help=told[field.name])
        options: dict[str, Any] = {
            "default": argparse.SUPPRESS,
            "help": allowed.describe(field.default).replace("%", "%%"),
        }
        value = _plain(types[field.name])
        if value is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif value == tuple[str, ...]:
            options |= {"action": "append", "metavar": "TEXT"}
        else:
            options |= {"type": _reader(value), "metavar": _metavar(value, allowed)}
        parser.add_argument(flag(field.name), dest=field.name, **options)


def _plain(kind: Any) -> Any:
    """The type without ``| None``."""
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    return parts[0] if type(None) in typing.get_args(kind) else kind


def _reader(kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        return lambda text: tuple(element(part) for part in text.split(","))
    return kind


def _metavar(kind: Any, allowed: Limits) -> str:
    if typing.get_origin(kind) is tuple:
        return "N,N"
    return allowed.unit.upper() if allowed.unit.isalpha() else {int: "N", float: "X", str: "TEXT"}.get(kind, "VALUE")


def seed_list(text: str, /) -> tuple[int, ...]:
    """Seeds from ``0-3,7``. Raises UsageError."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last - first >= MOST_SEEDS or last >= 1 << 63:
            raise UsageError(f"--seeds {text!r} is not a list of whole numbers: type it as --seeds 0-3,7")
        seeds += range(first, last + 1)
    return tuple(seeds)


# --- multigen <modality> ----------------------------------------------------------------------------------------------


def _generate(name: str, arguments: Sequence[str]) -> int:
    from multigen.modality import Boxes, Masks, Parts, Shows, Timed

    modality = registry.modalities[name]()
    parser = Parser(prog=f"multigen {name}", description=f"Make {name} from a prompt.")
    parser.add_argument(
        "prompt", nargs="?", default="", help="what to make; parts are joined by AND and NOT: rain AND wind:0.5"
    )
    parser.add_argument("-o", "--output", help=f"a file ({', '.join(modality.extensions)}) or a folder, ending in /")
    parser.add_argument(
        "-n", type=int, default=None, metavar="N", help="how many, with seeds counted from --seed (default 1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed (default 0)")
    parser.add_argument("--seeds", metavar="LIST", help="seeds such as 0-3,7, in place of -n and --seed")
    parser.add_argument("--prompts", metavar="FILE", help="a text file with a prompt a line, in place of PROMPT")
    if isinstance(modality, Shows):
        kinds = ", ".join(modality.show_extensions)
        parser.add_argument(
            flag(modality.show_flag), dest="picture", metavar="FILE", help=f"draw what was made ({kinds})"
        )
    add_flags(parser.add_argument_group(name), modality.Options)
    ways = {"--strength": True, "--mask": isinstance(modality, Masks), "--box": isinstance(modality, Boxes)}
    ways["--extend"] = isinstance(modality, Timed)
    editing = {
        "init": f"a file to start from, with {' or '.join(way for way, known in ways.items() if known)}",
        "mask": modality.mask_help if isinstance(modality, Masks) else None,
        "box": modality.box_help if isinstance(modality, Boxes) else None,
        "extend": "how much to add at the end of --init" if isinstance(modality, Timed) else None,
        "complete": modality.complete_help if isinstance(modality, Parts) else None,
    }
    add_flags(
        parser.add_argument_group("sampling and editing"),
        Request,
        skip=("modality", "prompt", "options", "fingerprint", *(name for name, told in editing.items() if not told)),
        told={name: told for name, told in editing.items() if told},
    )
    machine = parser.add_argument_group("machine and output")
    add_flags(machine, Loading)
    machine.add_argument("--no-metadata", action="store_true", help="leave out of the file how it was made")
    machine.add_argument("--json", action="store_true", help="print what was made as JSON")
    machine.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    typed = vars(parser.parse_args(list(arguments)))

    options = {field.name for field in dataclasses.fields(modality.Options)}
    fields = {field.name for field in dataclasses.fields(Request)} - {"prompt"}
    orders = verbs.Orders(
        modality=modality,
        prompts=_prompts(typed["prompt"], typed["prompts"]),
        seeds=_seeds(typed),
        options={key: value for key, value in typed.items() if key in options},
        fields={key: value for key, value in typed.items() if key in fields},
        output=typed["output"],
        picture=Path(typed["picture"]) if typed.get("picture") else None,
        loading=make(Loading, {key: value for key, value in typed.items() if key in verbs.LOADING}),
        metadata=not typed["no_metadata"],
        as_json=typed["json"],
        quiet=typed["quiet"],
        verbose=typed["verbose"] > 0,
    )
    return verbs.generate(orders)


def _prompts(prompt: str, file: str | None) -> tuple[str, ...]:
    if file is None:
        return (prompt,)
    if prompt:
        raise UsageError("give either a PROMPT or --prompts FILE, not both")
    return prompt_lines(file)


def prompt_lines(file: str, /) -> tuple[str, ...]:
    """The prompts of a text file, a line each. Raises UsageError for a file without any."""
    try:
        lines = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prompts {file} cannot be read ({error}): give a text file with a prompt a line") from None
    if not any(lines):
        raise UsageError(f"--prompts {file} is empty: give a text file with a prompt a line")
    return tuple(line for line in lines if line)


def _seeds(typed: dict[str, Any]) -> tuple[int, ...]:
    if typed["seeds"] is not None:
        if typed["n"] is not None:
            raise UsageError("give either -n or --seeds, not both")
        return seed_list(typed["seeds"])
    n = 1 if typed["n"] is None else typed["n"]
    if not 1 <= n <= MOST_SEEDS:
        raise UsageError(f"-n {n} is not possible: at least 1, at most {MOST_SEEDS}")
    if not 0 <= typed["seed"] < 1 << 62:
        raise UsageError(f"--seed {typed['seed']} is not possible: a whole number from 0")
    return tuple(range(typed["seed"], typed["seed"] + n))
