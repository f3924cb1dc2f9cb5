"""What goes wrong, by name. Free of heavy imports, so that the command line can refuse a word at once."""

from __future__ import annotations

from typing import Literal

import msgspec

KEPT = "finished work is kept; the same command resumes from there"
_SHOWN = 10  # errors of a data set that a message tells


class BenchError(Exception):
    """Wrong usage or unusable input: the message says what, where and what to do. `bench` prints it and exits 2."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that a check of a data set found: `where` names the file or row, `what` says what and the remedy."""

    severity: Literal["error", "warning"]
    where: str
    what: str


class DataError(BenchError):
    """A data set that cannot be used; `findings` holds all found, warnings included, the message a few errors."""

    def __init__(self, source: str, findings: list[Finding]) -> None:
        errors = [finding for finding in findings if finding.severity == "error"]
        lines = [f"{source}: {len(errors)} problem{'s' * (len(errors) != 1)} in this data set"]
        lines += [f"  {finding.where}: {finding.what}" for finding in errors[:_SHOWN]]
        if len(errors) > _SHOWN:
            lines.append(f"  and {len(errors) - _SHOWN} more; `bench data check`, with the same options, lists all")
        super().__init__("\n".join(lines))
        self.findings = findings


class WeightsError(BenchError):
    """Weights that do not fit the model they are given to; the message names the missing, surplus or misshapen."""


class Unavailable(Exception):
    """A cell that cannot run on this machine or on this data, which is nobody's fault; the message says why."""


class NotExported(Exception):
    """A trained model of which no ONNX file can be made; the message says why. Its scores stand all the same."""
