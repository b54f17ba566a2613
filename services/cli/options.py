"""What the commands of `roomline` have in common."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.supervisor.command_error import UsageError

if TYPE_CHECKING:
    from services.common.settings import Settings
    from services.supervisor.identity import Identity

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Databases, keys and files; made at first start.  [ROOMLINE_DATA_DIR, or ./data]"),
]
Instance = Annotated[
    str | None,
    typer.Option(
        "--instance",
        envvar="ROOMLINE_INSTANCE",
        metavar="ID",
        help="Id or locator of the instance; needed if there are several, and none of development mode.",
    ),
]
InstanceOfKey = Annotated[
    str | None, typer.Option("--instance", envvar="ROOMLINE_INSTANCE", metavar="v1:local:ID", help="Instance locator.")
]
Key = Annotated[
    str | None, typer.Option("--key", envvar="ROOMLINE_KEY", metavar="KEYID:SECRET", help="A key of that instance.")
]


def utf8(text: str) -> str:
    """Reads what goes to a service: what the terminal sent in another encoding cannot. Raises BadParameter."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it is not UTF-8") from None
    return text


def settings_of(**options: Any) -> Settings:
    """The settings; options that were given win. Raises UsageError."""
    from pydantic import ValidationError

    from services.common.settings import Settings

    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise UsageError(f"the setting {name} (ROOMLINE_{name.upper()}) is wrong: {first['msg']}") from error


def identity(instance: str | None, key: str | None) -> Identity | None:
    """What `InstanceOfKey` and `Key` name; None if they are not given. Raises UsageError."""
    from services.supervisor.identity import Identity

    if not instance and not key:
        return None
    if not instance or not key:
        raise UsageError("--instance and --key go together")
    return Identity.parse(instance, key)
