"""The table of the acceptance checklist in `README.md`: every box is there, and so is every test that it names."""

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.sdks import test_browser_sdk, test_node_sdk
from tests.sdks.python.cases import CASES

README = Path(__file__).with_name("README.md")
CHECKOUT = README.parents[2]
HEADING = "## The acceptance checklist"
COLUMNS = ["box", "what is asked", "wire tests", "SDK cases", "how, or why not"]
WHY_NOT = "no test: "

BOXES = {"A.1": 6, "A.2": 11, "A.3": 16, "A.4": 12, "A.5": 6, "A.6": 5, "A.7": 8, "A.8": 11, "A.9": 6, "A.10": 1}
"""How many boxes each section of the specification's checklist has."""

SDK_CASES = {"node": set(test_node_sdk.CASES), "browser": set(test_browser_sdk.CASES), "python": set(CASES)}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    section: str
    box: str
    asked: str
    tests: list[str]
    cases: list[str]
    note: str


def code(cell: str) -> list[str]:
    """What stands in backticks, between which there may be commas only."""
    assert not re.sub(r"`[^`]+`", "", cell).strip(", "), cell
    return re.findall(r"`([^`]+)`", cell)


def read() -> list[Row]:
    _, _, rest = README.read_text().partition(f"{HEADING}\n")
    text, _, _ = rest.partition("\n## ")
    rows = []
    section = ""
    for line in text.splitlines():
        if line.startswith("### "):
            section = line.split()[1]
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == len(COLUMNS), line
            if cells != COLUMNS and set(line) != {"|", "-"}:
                box, asked, tests, cases, note = cells
                rows.append(Row(section, box, asked, code(tests), code(cases), note))
    return rows


ROWS = read()


def functions(file: str) -> set[str]:
    """The tests in a file, which is only parsed."""
    tree = ast.parse((CHECKOUT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_box_of_every_section_is_there_in_order() -> None:
    boxes = [f"{section}.{number}" for section, count in BOXES.items() for number in range(1, count + 1)]
    assert list(dict.fromkeys(row.box for row in ROWS)) == boxes
    assert all(row.box.startswith(f"{row.section}.") for row in ROWS)


def test_every_row_has_a_test_or_says_why_not() -> None:
    for row in ROWS:
        assert row.asked, row
        has_reason = row.note.startswith(WHY_NOT) and len(row.note) > len(WHY_NOT)
        assert bool(row.tests or row.cases) is not has_reason, row


def test_every_named_test_exists() -> None:
    named: dict[str, set[str]] = defaultdict(set)
    for row in ROWS:
        for test in row.tests:
            file, _, function = test.partition("::")
            assert re.fullmatch(r"tests/wire/(live/)?test_\w+\.py", file), test
            assert function.startswith("test_"), test
            named[file].add(function)
    for file, names in named.items():
        assert names <= functions(file), file


def test_every_named_case_of_an_sdk_exists() -> None:
    for row in ROWS:
        for case in row.cases:
            sdk, _, name = case.partition(" ")
            assert name in SDK_CASES[sdk], case
