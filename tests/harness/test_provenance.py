import ast
import shutil
from pathlib import Path

import msgspec
import pytest

from harness import environment, provenance, registry
from harness.model.architecture import Estimator
from harness.model.variants import Configuration, Search
from harness.provenance import computed_by, computing_versions, differences, machine
from tests.harness.examples import ENVIRONMENT, a_cell, a_record

HERE = msgspec.structs.replace(
    ENVIRONMENT, versions={"numpy": "2", "pandas": "3", "torch": "2.13", "keras": "3.15", "tensorflow": "2.21"}
)


def changed(**versions):
    return msgspec.structs.replace(HERE, versions=HERE.versions | versions)


def test_a_record_hangs_on_what_its_own_backend_computes_with():
    mine = computed_by("pytorch", HERE, "s")
    for harmless in ({"pandas": "4"}, {"keras": "4"}, {"matplotlib": "9"}):
        assert computed_by("pytorch", changed(**harmless), "s") == mine
    for other in (changed(torch="3"), changed(numpy="3"), msgspec.structs.replace(HERE, processor="Slide rule")):
        assert computed_by("pytorch", other, "s") != mine
    assert computed_by("pytorch", HERE, "t") != mine


def test_keras_computes_with_its_engine_too():
    on_torch = msgspec.structs.replace(HERE, flags={"KERAS_BACKEND": "torch"})
    assert "torch" not in computing_versions("keras", HERE)
    assert computing_versions("keras", on_torch)["torch"] == "2.13"
    assert computed_by("keras", on_torch, "s") != computed_by("keras", HERE, "s")
    told = msgspec.structs.replace(HERE, flags={"KERAS_BACKEND": "tensorflow"})  # as in a worker
    assert computed_by("keras", told, "s") == computed_by("keras", HERE, "s")


def test_other_backends_do_not_hear_of_keras_engine():
    on_torch = msgspec.structs.replace(HERE, flags={"KERAS_BACKEND": "torch"})
    for backend in ("pytorch", "classical", "onnx"):
        assert computed_by(backend, on_torch, "s") == computed_by(backend, HERE, "s")


def test_every_package_that_a_backend_computes_with_is_recorded():
    for backend in registry.names("backends"):
        assert set(registry.computes_with(backend)) <= set(environment._PACKAGES), backend


def test_what_a_cell_hangs_on_besides_is_told_and_counts_for_it_alone():
    here, newer = changed(optuna="5"), changed(optuna="6")
    assert computed_by("pytorch", here, "s") == computed_by("pytorch", newer, "s")
    assert computed_by("pytorch", here, "s", packages=["optuna"]) != computed_by(
        "pytorch", newer, "s", packages=["optuna"]
    )
    assert differences("pytorch", here, "s", newer, "s") == []
    assert differences("pytorch", here, "s", newer, "s", ["optuna"]) == ["optuna 5"]
    search = Search((Configuration({}, Estimator("ridge")),), method="optuna")
    assert set(search.packages) <= set(environment._PACKAGES)
    record = a_record(a_cell(architecture=search, backend="pytorch"), environment=here, source="s")
    assert record.computed_by == computed_by("pytorch", here, "s", packages=["optuna"])


def test_switches_make_a_machine_of_their_own_and_threads_do_not():
    chosen = msgspec.structs.replace(HERE, flags={"ATEN_CPU_CAPABILITY": "default"})
    assert machine(chosen) != machine(HERE)
    assert machine(msgspec.structs.replace(HERE, flags={"OMP_NUM_THREADS": "2"})) == machine(HERE)


def test_processors_of_one_name_are_told_apart_by_their_instructions():
    """Virtual machines call all of them "AMD EPYC", with AVX-512 or without; sums are rounded in another order."""
    one, other = (msgspec.structs.replace(HERE, features=features) for features in ("avx2 fma", "avx2 avx512f fma"))
    assert len({machine(one), machine(other), machine(HERE)}) == 3
    assert differences("pytorch", one, "s", other, "s") == ["another processor, Abacus with avx2 fma"]


def test_differences_are_told_in_words():
    assert differences("pytorch", HERE, "s", HERE, "s") == []
    then = msgspec.structs.replace(changed(torch="2.12"), processor="Abacus II", flags={"MKL_CBWR": "AVX2"})
    assert differences("pytorch", then, "s", HERE, "t") == [
        "another processor, Abacus II with unknown instructions",
        "other switches, MKL_CBWR=AVX2",
        "torch 2.12",
        "other code, of commit 0123456789ab",
    ]


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A copy of the source, to be changed."""
    root = Path(provenance.__file__).parent.parent
    for part in ("harness", "backends", "suites"):
        shutil.copytree(root / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "data"))
    monkeypatch.setattr(provenance, "_HOUSE", tmp_path)

    def hashes():
        provenance.source.cache_clear()
        return [provenance.source(backend, "elasticity") for backend in ("keras", "pytorch", "classical")]

    def replaced(file, old, new):
        text = (tmp_path / file).read_text()
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new, 1))
        return hashes()

    yield hashes, replaced
    provenance.source.cache_clear()


OUTSIDE = """
def load(folder, options):
    from outside import reading
    return reading.read()
def split(dataset):
    import outside.splitting
    return outside.splitting.split(dataset)
try:
    from outside import fast as scores
except ImportError:
    from outside import slow as scores
def measure(predictions, truth, images, facts):
    return scores.measure(predictions)
if True:
    LIMIT = 1
def encoder(encoding, dataset):
    return LIMIT
def draw(predicted, folder):
    from outside import pictures
"""


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("reading", "= 1", "= 2", True),
        ("splitting", "= 1", "= 2", True),
        ("fast", "= 1", "= 2", True),
        ("slow", "= 1", "= 2", True),
        ("suite", "LIMIT = 1", "LIMIT = 2", True),
        ("pictures", "= 1", "= 2", False),
    ],
)
def test_of_a_suite_from_outside_what_is_imported_late_or_under_a_condition_counts(
    tmp_path, monkeypatch, file, old, new, counts
):
    (tmp_path / "outside").mkdir()
    for name in ("__init__", "reading", "splitting", "fast", "slow", "pictures"):
        (tmp_path / "outside" / f"{name}.py").write_text("A = 1\n")
    (tmp_path / "outside" / "suite.py").write_text(OUTSIDE)
    monkeypatch.setattr(registry, "module", lambda *_: (tmp_path, "outside.suite"))
    before = of_outside()
    path = tmp_path / "outside" / f"{file}.py"
    path.write_text(path.read_text().replace(old, new, 1))
    assert (of_outside() != before) == counts


def of_outside():
    return provenance._digest(*provenance._of_suite("mine", provenance._OF_SUITE))


QUESTION, VARIANTS = "suites/microstructure/question.py", "suites/microstructure/variants.py"


@pytest.mark.parametrize(
    ("file", "old", "new", "who"),
    [
        ("backends/pytorch.py", "torch.manual_seed(seed)", "pass", [False, True, False]),
        ("backends/_torch_device.py", "torch.use_deterministic_algorithms(True)", "pass", [True, True, False]),
        ("backends/_torch_backbones.py", "import torch", "import torch, math", [False, True, False]),
        ("backends/_keras_engines.py", "enable_op_determinism()", "enable_op_determinism", [True, False, False]),
        ("harness/running/training.py", "before = sum(", "before = 1 + sum(", [True, True, True]),
        ("harness/model/architecture.py", "math.sqrt(6 /", "math.sqrt(3 /", [True, True, True]),
        ("suites/microstructure/encodings.py", "1 / soft", "2 / soft", [True, True, True]),
        (QUESTION, "_train_test_split(rest, 0.50)", "_train_test_split(rest, 0.40)", [True, True, True]),
        (QUESTION, "RandomState(42)", "RandomState(43)", [True, True, True]),
        ("suites/elasticity.py", 'shipped.load("elasticity")', 'shipped.load("others")', [True, True, True]),
        ("suites/elasticity.py", '"the report"', '"a report"', [False, False, False]),
        ("suites/microstructure/symmetries.py", "% height", "% width", [True, True, True]),
        ("suites/microstructure/decodings.py", "np.sqrt(", "np.cbrt(", [True, True, True]),
        (VARIANTS, "Conv2D(8, kernel=3)", "Conv2D(9, kernel=3)", [False, False, False]),  # in the cell
        (VARIANTS, 'Variant("ridge"', 'Variant("rigde"', [False, False, False]),
        ("harness/judging/leaderboard.py", "return ", "return  None or ", [False, False, False]),
        ("harness/running/training.py", '"""How a cell', '"""What a cell', [False, False, False]),
        ("backends/pytorch.py", "\n\n\ndef ", "\n\n\n\n# a comment\ndef ", [False, False, False]),
    ],
)
def test_source_is_what_can_change_the_numbers_and_nothing_else(house, file, old, new, who):
    hashes, replaced = house
    before = hashes()
    after = replaced(file, old, new)
    assert [one != other for one, other in zip(before, after, strict=True)] == who


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("suites/microstructure/endless.py", "tolerance=1e-3", "tolerance=1e-2", True),
        ("suites/microstructure/generators.py", "draw.integers(20, 61)", "draw.integers(21, 61)", True),
        ("suites/microstructure/homogenization.py", "1e-24", "1e-22", True),
        ("suites/microstructure/encodings.py", "1 / soft", "2 / soft", False),
        ("harness/running/training.py", "return ", "return  None or ", False),
    ],
)
def test_drawn_images_hang_on_what_draws_and_labels_them(house, file, old, new, changes):
    _, replaced = house
    provenance.source_of_drawing.cache_clear()
    before = provenance.source_of_drawing("elasticity")
    replaced(file, old, new)
    provenance.source_of_drawing.cache_clear()
    assert (provenance.source_of_drawing("elasticity") != before) == changes
    provenance.source_of_drawing.cache_clear()


def test_a_newer_python_that_reads_more_parts_gives_the_same_hash():
    """Python 3.12 gave functions and classes `type_params`, empty where there are none."""
    older = ast.parse("def f(x):\n    return None\n\nclass A: pass")
    newer = ast.parse("def f(x):\n    return None\n\nclass A: pass")
    for node in newer.body:
        node._fields = (*type(node)._fields, "a_new_part")
        node.a_new_part = []
    assert provenance._written(newer) == provenance._written(older)
    newer.body[0].a_new_part = [ast.Name("T", ast.Load())]
    assert provenance._written(newer) != provenance._written(older)


def test_what_is_written_of_a_tree_tells_trees_apart():
    told = [
        provenance._written(ast.parse(source)) for source in ("f(None)", "f()", "f(0)", "f('0')", "f(False)", "f([])")
    ]
    assert len(set(told)) == len(told)


def test_the_gpu_counts_where_it_is_used():
    other = msgspec.structs.replace(HERE, gpu="Abacus G1, driver 1.0")
    told = {
        (device, one.gpu): provenance.computed_by("pytorch", one, "s", device)
        for device in ("cpu", "cuda")
        for one in (HERE, other)
    }
    assert told["cpu", ""] == told["cpu", other.gpu]
    assert len(set(told.values())) == 3
