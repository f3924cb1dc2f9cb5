import os
import tempfile

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # no test asserts how long anything takes: machines are shared
settings.load_profile("unhurried")


def pytest_configure(config):
    """What is kept for the user from one time to the next, rendered films among it, is kept for this run alone, in a
    folder that its workers share.
    """
    if hasattr(config, "workerinput"):  # one of pytest-xdist's, which has the environment of who started it
        return
    folder = tempfile.TemporaryDirectory(prefix="cijbench-tests-", ignore_cleanup_errors=True)
    os.environ["XDG_CACHE_HOME"] = folder.name
    config.add_cleanup(folder.cleanup)


def pytest_collection_modifyitems(config, items):
    """Leave long tests out unless the command line names their marker."""
    if "long" in config.option.markexpr:
        return
    kept = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
