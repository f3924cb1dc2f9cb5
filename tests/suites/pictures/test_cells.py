import pytest

from suites.microstructure.findings import Unusable
from suites.pictures.cells import decimal_commas, read_cells


@pytest.fixture
def read(tmp_path):
    def reading(text):
        (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        rows, told = read_cells(tmp_path / "t.csv")
        assert not told
        return rows

    return reading


@pytest.mark.parametrize("by", [",", ";", "\t"])
def test_cells_are_separated_by_what_makes_all_rows_as_long(read, by):
    assert read(f'"file"{by}"E; mean, of 3"\r\n"a.png"{by}"0,5"\r\n\r\n') == [
        ["file", "E; mean, of 3"],
        ["a.png", "0,5"],
    ]
    assert read(f"file{by}E\na.png{by}1\n")[1] == ["a.png", "1"]


@pytest.mark.parametrize("said", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
def test_the_line_by_which_a_spreadsheet_is_told_the_separator_is_no_row(read, said):
    assert read(said + "file;E\na.png;0,5\n") == [["file", "E"], ["a.png", "0,5"]]


def test_commas_in_headers_and_cells_separate_nothing_where_semicolons_do(read):
    rows = read("file;hardness, mean;note\na.png;0,5;x, y\nb.png;1,5;\n")
    assert rows == [["file", "hardness, mean", "note"], ["a.png", "0,5", "x, y"], ["b.png", "1,5", ""]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('file;E\na.png;"1"2\n', "line 2, read as separated by semicolons: .*put a cell with such a mark"),
        (b"file,E\n\xe4.png,1\n\x81", "not UTF-8 text: save it as CSV"),
        (b"PK\3\4\0\0\xe4", "not UTF-8 text: save it as CSV"),
        ("file\tE\na.png\t1\n".encode("utf-16-le"), "not UTF-8 text: save it as CSV"),
        ("file\n" + "a\n" * 100_001, "more than 100000 rows"),
        ("\n,\n", "empty: needed are a header"),
        ("a.png  1.0  mono\nb.png  0.33 poly\n", "its cells are separated by spaces: write one of commas, semicolons"),
    ],
)
def test_what_is_no_table_says_where_and_what_to_do(read, text, told):
    with pytest.raises(Unusable, match=told):
        read(text)


def test_a_table_in_windows_1252_is_read_and_told(tmp_path):
    (tmp_path / "t.csv").write_bytes("Bild;Härte [µm];€\r\nä.png;0,5;–\r\n".encode("cp1252"))
    rows, (told,) = read_cells(tmp_path / "t.csv")
    assert rows == [["Bild", "Härte [µm]", "€"], ["ä.png", "0,5", "–"]]
    assert told == "not UTF-8, read as Windows-1252: if letters are wrong, save it as UTF-8"


def points(*cells):
    return decimal_commas({"E": list(cells), "other": ["1,700"]}, ["E"])


def test_decimal_commas_become_points_where_they_are_certain():
    assert points("0,5", "-1,25", "7", "n/a") == ({"E": ["0.5", "-1.25", "7", "n/a"], "other": ["1,700"]}, ["E"])
    powers = points("1,2E+03", "-4,5e-1", "1,700E0", "7")
    assert powers == ({"E": ["1.2E+03", "-4.5e-1", "1.700E0", "7"], "other": ["1,700"]}, ["E"])
    no_thousands = points("0,608", "1,700")
    assert no_thousands == ({"E": ["0.608", "1.700"], "other": ["1,700"]}, ["E"])
    for unchanged in (("1.5", "2"), ("a, b", "c"), ("1,5", "b", "c", "d")):
        assert points(*unchanged) == ({"E": list(unchanged), "other": ["1,700"]}, [])


def test_one_column_says_of_all_what_a_comma_is():
    """Commas between thousands are not those before decimals; a column of words says nothing."""
    table = {"E": ["7,812", "7,840"], "share": ["0,5", "1"]}
    assert decimal_commas(table, table) == ({"E": ["7.812", "7.840"], "share": ["0.5", "1"]}, ["E", "share"])
    assert decimal_commas(table, ["E"])[0]["E"] == ["7.812", "7.840"]
    for other in (["1,250", "2"], ["0,5", "b", "c", "d"]):
        with pytest.raises(Unusable, match=r"'7,812' in row 1 may be 7812 or 7\.812"):
            decimal_commas({"E": ["7,812", "7,840"], "other": other}, ["E"])


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["3", "1,700", "2,000"], "column 'E': '1,700' in row 2 may be 1700 or 1.700: write points"),
        (["12,345"], "may be 12345 or 12.345"),
        (["1,5", "1.5"], "'1,5' in row 1, and points or several commas: which is the decimal mark"),
        (["2", "1.234,5"], "'1.234,5' in row 2"),
        (["1,000,000", "1,5"], "'1,000,000' in row 1"),
    ],
)
def test_commas_that_may_be_something_else_are_refused(cells, told):
    with pytest.raises(Unusable, match=told):
        points(*cells)
