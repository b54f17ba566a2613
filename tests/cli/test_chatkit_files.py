"""The files of Chatkit's export, in both of their forms."""

import gzip
import os
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.supervisor.chatkit.files import MAX_DEPTH, MAX_VALUE_BYTES, ExportFile
from services.supervisor.command_error import CommandError

VALUES: list[Any] = [
    {"id": "ann", "n": 1.5, "big": 2**60},
    {"text": 'é\u2028 \\ " ]'},
    [],
    {"deep": [[{"a": None}]]},
    "x",
    7,
]


def read(path: Path, content: bytes) -> tuple[str, list[tuple[int, Any]], list[tuple[int, str]]]:
    """The unit of places, the values and the problems of a file with this content."""
    path.write_bytes(content)
    with ExportFile(path) as file:
        entries = list(file.entries())
    values = [(entry.place, entry.value) for entry in entries if not entry.problem]
    return file.unit, values, [(entry.place, entry.problem) for entry in entries if entry.problem]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.json"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("option", [0, orjson.OPT_INDENT_2], ids=["compact", "indented"])
def test_an_array(path: Path, mark: bytes, option: int) -> None:
    content = mark + b" \r\n\t" + orjson.dumps(VALUES, option=option) + b"\n"
    assert read(path, content) == ("index", list(enumerate(VALUES)), [])


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n \n"], ids=["lf", "crlf", "empty lines"])
def test_lines(path: Path, mark: bytes, end: bytes) -> None:
    objects = [value for value in VALUES if isinstance(value, dict)]
    unit, values, problems = read(path, mark + end.join(map(orjson.dumps, objects)))
    assert (unit, problems) == ("line", [])
    step = end.count(b"\n")
    assert values == [(1 + step * index, value) for index, value in enumerate(objects)]


@pytest.mark.parametrize("content", [b'{"id": 1}\n{"id": 2}\n', b'[{"id": 1}, {"id": 2}]'])
def test_a_pipe(path: Path, content: bytes) -> None:
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    with ExportFile(path) as file:
        assert [entry.value for entry in file.entries()] == [{"id": 1}, {"id": 2}]
    writer.join()


def test_lines_are_counted_from_the_first(path: Path) -> None:
    _, values, _ = read(path, b"\n \n\r\n" * 5000 + b'{"id": 1}\n{"id": 2}')
    assert [place for place, _ in values] == [15_001, 15_002]


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xef\xbb\xbf", b"[]", b" [ ] "])
def test_nothing(path: Path, content: bytes) -> None:
    _, values, problems = read(path, content)
    assert (values, problems) == ([], [])


def test_a_broken_line_is_told_and_the_rest_goes_on(path: Path) -> None:
    unit, values, problems = read(path, b'{"id": 1}\n{"id": \n\xff\n{"id": 1e999}\n"\\ud800"\n{"id": 2}')
    assert (unit, values) == ("line", [(1, {"id": 1}), (6, {"id": 2})])
    assert [place for place, _ in problems] == [2, 3, 4, 5]
    assert all(problem.startswith("it is no JSON") for _, problem in problems)


def test_a_line_without_end_is_left_out(path: Path) -> None:
    _, values, problems = read(path, b'{"id": 1}\n{"x": "' + b"a" * (2 * MAX_VALUE_BYTES) + b'"}\n{"id": 2}\n')
    assert values == [(1, {"id": 1}), (3, {"id": 2})]
    assert problems == [(2, f"the line has more than {MAX_VALUE_BYTES} bytes")]


@pytest.mark.parametrize("number", [b"%d" % 10**40, b"1e999"])
def test_a_number_that_is_none_for_us_costs_its_value_only(path: Path, number: bytes) -> None:
    _, values, problems = read(path, b'[{"id": 1}, {"id": ' + number + b'}, {"id": 2}]')
    assert [place for place, _ in values] == [0, 2]
    assert [place for place, _ in problems] == [1]


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 20_000])
@pytest.mark.parametrize("brackets", [(b"[", b"1", b"]"), (b'{"a":', b"1", b"}"), (b"[", b"", b"]")])
def test_a_value_that_is_nested_deep_is_left_out(path: Path, depth: int, brackets: tuple[bytes, bytes, bytes]) -> None:
    start, middle, end = brackets
    _, values, problems = read(path, b"[1, " + start * depth + middle + end * depth + b", 2]")
    if depth == MAX_DEPTH:
        assert ([place for place, _ in values], problems) == ([0, 1, 2], [])
    else:
        assert values == [(0, 1), (2, 2)]
        assert problems == [(1, f"it is nested more than {MAX_DEPTH} deep")]


@pytest.mark.parametrize(
    "value", [b'"' + b"a" * (MAX_VALUE_BYTES + 100_000), b"[" + (b'"%s",' % (b"a" * 1024)) * (MAX_VALUE_BYTES // 1000)]
)
def test_an_array_with_a_value_without_end_is_an_error(path: Path, value: bytes) -> None:
    with pytest.raises(CommandError, match=f"messages.json, index 1 has more than {MAX_VALUE_BYTES} bytes"):
        read(path, b"[7, " + value)


def test_a_compressed_file_is_named_as_such(path: Path) -> None:
    with pytest.raises(CommandError, match=r"messages.json is compressed: unpack it first"):
        read(path, gzip.compress(b"[]"))


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b'[{"id": 1}, {"id": 2}', 2),
        (b'[{"id": 1}, {"id": ]', 1),
        (b"[NaN]", 0),
        (b'[{"id": 1}] x', 1),
        (b'["\xff"]', 0),
    ],
)
def test_a_broken_array_is_an_error(path: Path, content: bytes, count: int) -> None:
    with pytest.raises(CommandError, match=f"is broken or cut off after {count} values"):
        read(path, content)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        ExportFile(path)
    path.mkdir()
    with pytest.raises(CommandError, match="Is a directory"):
        ExportFile(path)
