"""A look at somebody's own code, in a process of its own."""

from harness.running.guard import Limits
from harness.running.looking import look

ESTIMATOR = """
from sklearn.linear_model import Ridge
{}
def Net():
    return Ridge()
"""


def looked(file, line):
    file.write_text(ESTIMATOR.format(line))
    return look(f"{file}:Net", (8, 8, 1), 1, Limits())


def test_a_folder_without_init_that_is_imported_from_counts(tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "helper.py").write_text("A = 1\n")
    before = looked(tmp_path / "m.py", "from utils import helper")
    assert before.framework == "scikit-learn"
    (tmp_path / "utils" / "helper.py").write_text("A = 2\n")
    assert looked(tmp_path / "m.py", "from utils import helper").source != before.source
