import json

import msgspec
import pytest

from harness import registry
from harness.errors import BenchError
from harness.running.variant_file import LARGEST, read

NETWORK = """\
[architecture]
type = "network"
layers = [
  {type = "Conv2D", filters = 4, kernel = 3},
  {type = "Flatten"},
  {type = "Dense", units = 0, activation = "linear"},
]

[[recipes]]
epochs = 10

[[recipes]]
epochs = 5
learning_rate = 1e-4

[encoding]
name = "two-point"
parameters = {components = 10, reach = 14}
"""


def toml(value):
    """A value as TOML has it in one line."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items() if one is not None) + "}"
        )
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list | tuple) else json.dumps(value)


@pytest.mark.parametrize("suite", registry.names("suites"))
def test_whatever_a_suite_compares_can_be_written_in_a_file(tmp_path, suite):
    for variant in registry.suite(suite).VARIANTS:
        parts = msgspec.to_builtins(variant)
        path = tmp_path / f"{parts.pop('name')}.toml"
        del parts["summary"]
        path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in parts.items() if value is not None))
        assert read(path) == msgspec.structs.replace(variant, summary="")


def written(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("filters = 4", "fliters = 4", 4, "unknown key 'fliters': did you mean 'filters'?"),
        ("filters = 4", "filters = 0", 4, "architecture.layers.0.filters: Expected `int` >= 1"),
        ("filters = 4, ", "", 4, "architecture.layers.0 lacks filters"),
        ('"Flatten"', '"Flaten"', 5, "type = 'Flaten': did you mean 'Flatten'?"),
        ('"linear"', '"lineal"', 6, "activation = 'lineal': did you mean 'linear'?"),
        ('"network"', '"netwrok"', 2, "type = 'netwrok': did you mean 'network'?"),
        ("epochs = 5", "epoch = 5", 13, "unknown key 'epoch': did you mean 'epochs'?"),
        ("1e-4", "-1e-4", 14, "recipes.1.learning_rate: Expected `float` > 0"),
        ("1e-4", '"fast"', 14, "recipes.1.learning_rate: Expected `float`, got `str`"),
        ('"two-point"', '"../two-point"', 17, "a name or a label, without paths and markup"),
        ("components = 10", 'components = "ten"', 18, "encoding.parameters: Expected `float`, got `str`"),
        ("[encoding]", "[encodign]", 16, "unknown key 'encodign': did you mean 'encoding'?"),
    ],
)
def test_what_is_wrong_is_told_by_line_with_the_nearest_word(tmp_path, old, new, line, told):
    assert NETWORK.count(old) == 1
    with pytest.raises(BenchError) as refused:
        read(written(tmp_path, NETWORK.replace(old, new)))
    assert f"mine.toml, line {line}: " in str(refused.value)
    assert told in str(refused.value)


def test_a_wrong_key_of_a_search_is_found_in_its_configuration(tmp_path):
    text = """
[architecture]
type = "search"
[[architecture.configurations]]
choices = {rate = 0.1}
architecture = {type = "estimator", method = "boosted-trees", rate = 0.1}
[[architecture.configurations]]
choices = {rate = 0.2}
architecture = {type = "estimator", method = "boosted-trees", rat = 0.2}
"""
    with pytest.raises(BenchError, match=r"line 9: unknown key 'rat': did you mean 'rate'\?"):
        read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[architecture\n", r"is no TOML: Expected ']' .*\(at line 1, column 14\)"),
        ("summary = 3\n", "line 1: unknown key 'summary'"),
        ("", "line 1: the file lacks architecture"),
        ("architecture = 3", "line 1: architecture: Expected `object`, got `int`"),
        (
            'recipes = [{}]\narchitecture = {type = "estimator", method = "ridge"}',
            "line 1: only what is trained by grad",
        ),
        (
            'architecture = {type = "imported", path = "a:B", source = "0"}',
            "framework and source are determined",
        ),
    ],
)
def test_what_is_no_variant_says_why(tmp_path, text, told):
    with pytest.raises(BenchError, match=told):
        read(written(tmp_path, text))


def test_a_mark_of_its_encoding_is_no_part_of_a_file(tmp_path):
    marked = tmp_path / "marked.toml"
    marked.write_text(NETWORK, encoding="utf-8-sig")
    assert read(marked) == msgspec.structs.replace(read(written(tmp_path, NETWORK)), name="marked")


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(BenchError, match="there is no such file"):
        read(tmp_path / "absent.toml")
    with pytest.raises(BenchError, match="named after its file"):
        read(written(tmp_path, NETWORK, "a b.toml"))
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(BenchError, match="is no UTF-8"):
        read(tmp_path / "latin.toml")
    with pytest.raises(BenchError, match="too many for a variant"):
        read(written(tmp_path, "#" * (LARGEST + 1)))
