import pytest

from datamodules.corpora.table import read_table


def test_columns_are_found_by_name_and_rows_may_be_longer_than_the_header(tmp_path):
    file = tmp_path / "table.tsv"
    file.write_text("id\tseconds\ttags\n1\t2.5\ta\n2\t3\ta\tb\tc\n", encoding="utf-8")
    assert read_table(str(file), {"seconds": float, "id": str}, "\t") == [(2.5, "1"), (3.0, "2")]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("<html>not found</html>", 1),
        ("", 0),
        ("id,duration\n1,2\n", 1),
        ("id,seconds\n1,2\n3\n", 3),
        ("id,seconds\n1,2\n3,\n", 3),
    ],
    ids=["web page", "empty", "other columns", "cut short", "no number"],
)
def test_a_damaged_table_is_an_error_with_file_and_line(tmp_path, content, line):
    file = tmp_path / "table.csv"
    file.write_text(content)
    with pytest.raises(ValueError, match=rf"table.csv, line {line}: .*columns id, seconds"):
        read_table(str(file), {"id": str, "seconds": float})
