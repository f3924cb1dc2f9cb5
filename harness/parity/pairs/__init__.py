"""Whether two models that are not ours are the same: `bench parity pair=`, and `assert_same_model` for tests."""
