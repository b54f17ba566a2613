"""Settings that are wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.common.settings import Settings


def test_a_wrong_setting_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "roomline.toml").write_text("operator_secret = 98765432123")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "operator_secret" in str(caught.value)
    assert "98765432123" not in str(caught.value)
