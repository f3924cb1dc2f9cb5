"""Whether two models that are not ours are the same: `bench parity pair=`, and `harness.parity.check` for tests."""
