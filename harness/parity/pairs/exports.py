"""Both models of a pair as their frameworks' own exporters write them: whether the graphs answer what the models do."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from safetensors.numpy import load_file

from harness.errors import BenchError
from harness.foreign import Arrays, Inspected, Source
from harness.parity.ladder import Verdict
from harness.parity.pairs.answers import answered
from harness.parity.pairs.orders import Compute, Computed, Export, Exported, Inspect, Looked
from harness.parity.pairs.process import SideProcess
from harness.running.guard import Limits

RUNG = "export"


def exported(
    name: str,
    sides: Sequence[SideProcess],
    starts: Sequence[str],
    given: str,
    looked: Sequence[Inspected],
    computed: Sequence[tuple[Computed, Arrays]],
    limits: Limits,
) -> list[Verdict]:
    """The verdicts on each side's graph, written with the weights in its file of `starts` and run on the inputs in
    `given`, against what the side itself `computed` of them; `skipped` where no graph can be made.

    Where both agree with their models, and these with each other, the graphs agree.
    """
    verdicts: list[Verdict] = []
    with SideProcess(Source("onnx", ""), limits) as graph:
        for side, start, inspected, left in zip(sides, starts, looked, computed, strict=True):
            path = f"{start}.onnx"
            made = side.ask(Export(start, path), Exported)
            if made.reason:
                verdicts.append(Verdict(name, RUNG, "skipped", note=f"not run: {inspected.framework}: {made.reason}"))
                continue
            try:
                seen = graph.ask(Inspect(Source("onnx", path, layout=made.layout), given), Looked).inspected
                out = f"{path}.out"
                told = graph.ask(Compute(("forward",), given, out), Computed), load_file(out)
            except BenchError as error:
                reason = str(error).replace(f"onnx={path}: ", "")
                verdicts.append(Verdict(name, RUNG, "breaks", worst=f"{inspected.framework}'s graph", note=reason))
                continue
            verdicts += [_of_graph(each, inspected) for each in answered(name, (inspected, seen), (left, told))]
    return verdicts


def _of_graph(verdict: Verdict, inspected: Inspected) -> Verdict:
    worst = f"{inspected.framework}'s graph, {verdict.worst}" if verdict.worst else f"{inspected.framework}'s graph"
    return msgspec.structs.replace(verdict, rung=RUNG, worst=worst)
