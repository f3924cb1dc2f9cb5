"""One module a framework; the file name is the name on the command line."""

import harness  # noqa: F401  it keeps ONNX Runtime silent, and comes before whatever imports that
