"""The core of cijbench: plans, runs, records and ranks. It knows no framework."""

import os

__version__ = "0.2.0"

# ONNX Runtime 1.29 and later leave an identifier in the home and tell their maker what runs where; they ask once, when
# they are imported. `isolation` has what else libraries are kept from.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
