"""The OpenAPI document, joined of `openapi*.yaml` here and in the folders of the dialects."""

from functools import cache
from pathlib import Path
from typing import Any

import orjson
import yaml

Json = dict[str, Any]

_HERE = Path(__file__).parent
_ROOT = _HERE / "openapi.yaml"
_CHATKIT = tuple(_HERE / "chatkit" / name for name in ("openapi.yaml", "openapi_admin.yaml", "openapi_schemas.yaml"))
_CHAT_API = tuple(_HERE / "chat_api" / name for name in ("openapi.yaml", "openapi_schemas.yaml"))

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml it takes ten times as long


@cache
def document(*, chat_api: bool) -> bytes:
    """The document as JSON; with the paths of the chat API only if it is served."""
    return orjson.dumps(_joined((*_CHATKIT, *(_CHAT_API if chat_api else ()), _ROOT)))


def _joined(files: tuple[Path, ...]) -> Json:
    """One document of all files. Raises ValueError for a path or a component that is in two of them."""
    parts = [_load(path) for path in files]
    components: dict[str, Json] = {}
    paths: Json = {}
    for part in parts:
        _add(paths, part.pop("paths", {}))
        for kind, named in part.pop("components", {}).items():
            _add(components.setdefault(kind, {}), named)
    tags = [tag for part in parts for tag in part.pop("tags", ())]
    whole: Json = {}
    for part in parts:
        _add(whole, part)
    return {**whole, "tags": tags, "paths": paths, "components": components}


def _load(path: Path) -> Json:
    """The file without what it only has for its anchors."""
    content: Json = yaml.load(path.read_bytes(), _LOADER)  # noqa: S506 - both loaders are safe ones
    content.pop("shared", None)
    return content


def _add(target: Json, more: Json) -> None:
    twice = target.keys() & more.keys()
    if twice:
        raise ValueError(f"in two files: {sorted(twice)}")
    target.update(more)
