"""Latencies of exported models: how near ONNX Runtime comes to what the core can do, and whether a ratio comes again.

Both on one thread, in one run. Networks are exported with the weights that they begin with, by PyTorch in a process of
its own (`python -m tests.benchmarks.test_latency_speed FOLDER`): what is in them does not change how long they take.
"""

import math
import subprocess
import sys
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from harness import registry
from harness.judging.records import Settings
from harness.judging.timing import NARROW
from harness.model.variants import Search
from harness.parity.subjects import largest
from harness.running.data import task as task_of
from harness.running.guard import Limits
from harness.running.latency import measure_apart
from harness.running.launch import worker_environment
from harness.running.rounds import LatencySettings

EDGE = 1024  # of the matrices whose product is what a core can do
NAMES = ("baseline", "tuned", "vgg16-head-only", "resnet50-head-only", "densenet121-head-only")
BATCH = 32


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An ONNX file for each of the report's kinds of network."""
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "tests.benchmarks.test_latency_speed", str(folder)]
    subprocess.run(command, env=worker_environment("cpu"), check=True, stderr=subprocess.DEVNULL)
    return {name: folder / f"{name}.onnx" for name in NAMES}


def main(folder):
    suite, backend = registry.suite("elasticity"), registry.backend("pytorch")
    backend.configure(1, "cpu")
    dataset = suite.load(None, {})
    task = task_of(suite, dataset, suite.split(dataset), Settings())
    for variant in suite.VARIANTS:
        if variant.name in NAMES:
            of = variant.architecture
            network = largest(of).architecture if isinstance(of, Search) else of
            model = backend.build(msgspec.structs.replace(variant, architecture=network), task, 0)
            model.export(folder / f"{variant.name}.onnx")


def product(path):
    """The product of an image, as a matrix, with a constant one."""
    square = helper.make_tensor("b", TensorProto.FLOAT, (EDGE, EDGE), [1.0] * EDGE**2)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["images", "b"], ["prediction"])],
        "product",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (None, EDGE))],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, (None, EDGE))],
        [square],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def operations(path, batch):
    """Additions and multiplications of convolutions and products of matrices for so many images."""
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {array.name: list(array.dims) for array in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [axis.dim_value or batch for axis in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            weight = shapes[node.input[1]]
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            inner = math.prod(weight[1:]) if node.op_type == "Conv" else weight[1 if transposed else -2]
            total += 2 * math.prod(shapes[node.output[0]]) * inner
    return total


def timed(files, batch):
    settings = LatencySettings(batches=(batch,))
    found = measure_apart(files, settings, Limits(), lambda *told: None)
    return {name: latency.timings[0] for name, latency in found.items()}


@pytest.mark.benchmark(group="latency")
def test_share_of_the_peak(benchmark, files, tmp_path):
    """Printed for each model, of a core's largest rate in the product of two matrices in ONNX Runtime."""
    peak = product(tmp_path / "product.onnx")
    found = benchmark.pedantic(lambda: timed(files, BATCH) | timed({"peak": peak}, EDGE), rounds=1)
    rate = {name: operations(files.get(name, peak), t.batch) / t.p50_ms / 1e6 for name, t in found.items()}
    shares = {name: rate[name] / rate["peak"] for name in files}
    benchmark.extra_info.update(shares, peak_gflops=rate["peak"])
    print({key: f"{value:.3g}" for key, value in benchmark.extra_info.items()})
    assert all(share <= 1.1 for share in shares.values())  # else operations are counted wrongly
    assert shares["vgg16-head-only"] > 0.3  # large convolutions are nothing but products


@pytest.mark.benchmark(group="latency")
def test_two_timings_of_a_model_agree(benchmark, files):
    """Of ratios that are said to be known, and two that both may be `NARROW` off."""
    first, second = benchmark.pedantic(lambda: (timed(files, 1), timed(files, 1)), rounds=1)
    change = {name: second[name].ratio / first[name].ratio - 1 for name in files}
    benchmark.extra_info.update(change, unsteady=[name for name in files if not first[name].steady])
    print({name: f"{value:+.2%}" for name, value in change.items()}, benchmark.extra_info["unsteady"])
    known = [name for name in files if first[name].steady and second[name].steady]
    assert all(abs(change[name]) <= 2 * NARROW for name in known)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
