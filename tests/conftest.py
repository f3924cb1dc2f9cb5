from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # no test asserts how long anything takes: machines are shared
settings.load_profile("unhurried")


def pytest_collection_modifyitems(config, items):
    """Leave long tests out unless the command line names their marker."""
    if "long" in config.option.markexpr:
        return
    kept = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
