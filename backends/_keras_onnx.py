"""What tf2onnx writes, so that equal models make equal files."""

from __future__ import annotations

import re
from pathlib import Path

import onnx


def renumber(path: Path) -> None:
    """Count in the names of an ONNX file from one: tf2onnx counts over all that the process ever exported, and a file
    must depend on its model alone. Of equal constants it keeps the one whose name comes first, so these lose theirs.
    """
    model = onnx.load(path)
    constants = {constant.name for constant in model.graph.initializer}
    numbers: dict[str, str] = {}

    def number(of: str) -> str:
        return "__" + numbers.setdefault(of, str(len(numbers) + 1))

    def renamed(name: str) -> str:
        if name in constants and re.search(r"__\d+", name):
            return "constant" + number(name)
        return re.sub(r"__(\d+)", lambda found: number(found[1]), name)

    def rename(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            node.name = renamed(node.name)
            node.input[:] = map(renamed, node.input)
            node.output[:] = map(renamed, node.output)
            for attribute in node.attribute:  # the body of a loop
                for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                    constants.update(constant.name for constant in inner.initializer)
                    rename(inner)
        for values in (graph.initializer, graph.value_info):
            for value in values:
                value.name = renamed(value.name)
            values.sort(key=lambda value: value.name)  # their order followed from the old names
        for value in (*graph.input, *graph.output):
            value.name = renamed(value.name)
        for value in (*graph.input, *graph.output, *graph.value_info):
            for length in value.type.tensor_type.shape.dim:
                if length.dim_param:
                    length.dim_param = renamed(length.dim_param)
        graph.doc_string = ""

    rename(model.graph)
    onnx.save(model, path)
