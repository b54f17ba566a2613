"""The page for those who come from Chatkit names every limit of an instance, as it is."""

import re
from pathlib import Path

from roomline.v1.instance_pb2 import InstanceLimits

from services.common.call import DEFAULT_LIMITS
from services.common.rules import rule_of

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-chatkit.md"
ROW = re.compile(r"\| `(\w+)` \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)
UNITS = {"": 1, " GiB": 1024**3, " TiB": 1024**4}
OF_THE_SERVER = {"file_bytes"}
"""A setting of the server is the default of these."""


def number(text: str) -> int:
    match = re.fullmatch(r"([\d,]+)( \w+)?", text)
    assert match, text
    return int(match[1].replace(",", "")) * UNITS[match[2] or ""]


def test_every_limit_is_told_with_its_default_and_its_maximum() -> None:
    rows = {name: (default.strip(), most.strip()) for name, default, most in ROW.findall(PAGE.read_text())}
    assert set(rows) == {field.name for field in InstanceLimits.DESCRIPTOR.fields}
    for name in rows.keys() - OF_THE_SERVER:
        default, most = rows[name]
        assert number(default) == getattr(DEFAULT_LIMITS, name)
        rule = rule_of(InstanceLimits, name)
        assert (number(most) if most else None) == (rule.maximum if rule.HasField("maximum") else None)
