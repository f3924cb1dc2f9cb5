"""The core of cijbench: plans, runs, records and ranks. It knows no framework."""

__version__ = "0.2.0"
