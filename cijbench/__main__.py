"""`bench`, and `python -m cijbench`."""

import sys

import cijbench  # noqa: F401  so that the rest is found
from harness.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
