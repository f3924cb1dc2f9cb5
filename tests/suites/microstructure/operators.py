"""Pieces of ONNX graphs, run by themselves."""

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def run_alone(operators, images, shape, folder, answers=None):
    """What an encoding, or a decoding of `answers`, makes of images: (n, *shape)."""
    given = {"images": images} | ({} if answers is None else {"answers": answers.astype("float32")})
    graph = helper.make_graph(
        [helper.make_node(name, list(inputs), [output], **told) for name, inputs, output, told in operators.nodes],
        "piece",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *a.shape[1:]]) for name, a in given.items()],
        [helper.make_tensor_value_info(operators.nodes[-1][2], TensorProto.FLOAT, ["batch", *shape])],
        [numpy_helper.from_array(array, name) for name, array in operators.arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "piece.onnx")
    return onnxruntime.InferenceSession(folder / "piece.onnx").run(None, given)[0]
