"""Keras reads settings from the home of whoever runs it; a benchmark that did would measure them."""

import json
import os
import subprocess
import sys


def test_settings_in_somebodys_home_change_nothing(tmp_path):
    theirs = {"floatx": "float16", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(theirs))
    code = """
import os, backends.keras, keras
print(keras.config.floatx(), keras.config.epsilon(), keras.config.backend(), keras.config.image_data_format())
print(os.environ["KERAS_HOME"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=True,
    )
    # Its home is told again afterwards: weights that were downloaded lie there.
    assert done.stdout.splitlines() == ["float32 1e-07 tensorflow channels_last", str(tmp_path)]
