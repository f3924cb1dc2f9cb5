def pytest_benchmark_update_machine_info(config, machine_info):
    """The name of a machine is nobody's business, and its results may be published."""
    del machine_info["node"]
