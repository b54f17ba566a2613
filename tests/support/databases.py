"""Databases, made once and copied."""

import atexit
import shutil
import tempfile
from pathlib import Path

from services.common import sqlite

_TEMPLATES: dict[Path, Path] = {}


def migrate(path: Path, migrations: Path) -> None:
    """Does what `sqlite.migrate` does, of which new databases get the result. They have one epoch in common."""
    if path.exists():
        sqlite.migrate(path, migrations)
        return
    template = _TEMPLATES.get(migrations)
    if template is None:
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        template = folder / "template.db"
        sqlite.migrate(template, migrations)
        _TEMPLATES[migrations] = template
    shutil.copyfile(template, path)
