"""The command line: `bench <command> key=value ...`.

What a command may be told is in `commands`, what it does in `models`, `boards`, `climbs` and `inputs`: their functions
import what they need when they are called, so that `bench --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from harness.signals import ignore_interrupts, interrupt_between_imports, uninterrupted

with uninterrupted():
    import msgspec

    from harness import __version__, streams
    from harness.command import boards, climbs, commands, inputs, models
    from harness.command.options import describe, parse, summary
    from harness.errors import KEPT, BenchError
    from harness.text import nearest

COMMANDS: dict[str, tuple[type[msgspec.Struct], Callable[[Any], int]]] = {
    "run": (commands.RunOptions, models.run),
    "leaderboard": (commands.LeaderboardOptions, boards.leaderboard),
    "report": (commands.ReportOptions, boards.report),
    "submit": (commands.SubmitOptions, boards.submit),
    "reproduce": (commands.ReproduceOptions, models.reproduce),
    "site": (commands.SiteOptions, boards.site),
    "parity": (commands.ParityOptions, climbs.parity),
    "latency": (commands.LatencyOptions, models.latency),
    "deploy": (commands.DeployOptions, models.deploy),
    "predict": (commands.PredictOptions, models.predict),
    "gradcam": (commands.GradcamOptions, models.gradcam),
    "records merge": (commands.RecordsMergeOptions, boards.records_merge),
    "data check": (commands.DataCheckOptions, inputs.data_check),
    "data make": (commands.DataMakeOptions, inputs.data_make),
    "weights fetch": (commands.WeightsFetchOptions, inputs.weights_fetch),
    "weights make": (commands.WeightsMakeOptions, inputs.weights_make),
    "weights attach": (commands.WeightsAttachOptions, inputs.weights_attach),
    "weights list": (commands.WeightsListOptions, inputs.weights_list),
    "list": (commands.ListOptions, boards.listing),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit code: 0 well, 1 a check or a cell failed, 2 wrong usage or input, 130 interrupted."""
    streams.show_any_character()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        interrupt_between_imports()
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except BenchError as error:
        streams.tell(f"bench: {error}")
        return 2
    except (KeyboardInterrupt, SystemExit) as end:  # nothing here exits by itself: a signal told it to
        ignore_interrupts()
        told = "terminated" if isinstance(end, SystemExit) else "interrupted"
        streams.tell(f"\nbench: {told}" + f"; {KEPT}" * (words[:1] == ["run"]))
        return int(end.code or 0) if isinstance(end, SystemExit) else 130
    except MemoryError as error:
        streams.tell(f"bench: not enough memory: {error}")
        return 2
    except BrokenPipeError:  # the reader of our output, `head` perhaps, has seen enough; the work was cut short
        streams.give_up_output()
        return _NOBODY_READS
    except OSError as error:  # a folder that cannot be written, a full disk
        what = error.filename or "input or output"
        if streams.is_about_output(error):
            what = "standard output"
            streams.give_up_output()
        streams.tell(f"bench: {what}: {error.strerror or error}")
        return 2


_NOBODY_READS = 141  # 128 and the number of SIGPIPE, which not every system has


def _dispatch(words: list[str]) -> int:
    asking = {"-h", "--help", "help"}
    if not words or asking & set(words):
        print(_help([word for word in words if word not in asking]))
        return 0
    if words[0] in ("--version", "version"):
        print(f"cijbench {__version__}")
        return 0
    name, rest = _command(words)
    options, action = COMMANDS[name]
    asked = parse(name, options, rest)
    from harness.isolation import isolated

    with isolated():
        return action(asked)


def _command(words: list[str]) -> tuple[str, list[str]]:
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    name = " ".join(word for word in words[:2] if "=" not in word)[:100]
    raise BenchError(f"unknown command '{name}'{nearest(name, COMMANDS)}; `bench --help` lists all commands")


def _help(words: list[str]) -> str:
    if not words:
        lines = ["usage: bench <command> key=value ...", ""]
        width = max(map(len, COMMANDS))
        lines += [f"  bench {name:<{width}} {summary(options)}" for name, (options, _) in COMMANDS.items()]
        lines += ["", "Run `bench <command> --help` for the options of a command. All suites: bench run suite=all"]
        return "\n".join(lines)
    name, _ = _command(words)
    return describe(name, COMMANDS[name][0])
