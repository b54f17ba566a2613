"""The API's documentation for people and programs: `/openapi.json`, and the page `/docs` that shows it.

The page is Swagger UI, whose files come with the package `flask-swagger-ui`; nothing of that package is run here.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import ranges
from gateway.edge import EdgeError, EdgeReason
from gateway.openapi import document
from gateway.response import JSON_TYPE, Header, Response

if TYPE_CHECKING:
    from gateway.request import Request
    from gateway.router import Router

_OWN_FILES = Path(__file__).parent / "docs"
_ASSETS = {
    "page.js": b"text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "swagger-ui.css": b"text/css; charset=utf-8",
    "index.css": b"text/css; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
_CACHE = b"public, max-age=300"
"""The same for everybody; asked about after that, so that an update of the server is seen soon."""
_NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts and styles are this server's files; the page has none inside. `blob:` is for files that were asked for."""
_PAGE_HEADERS: tuple[Header, ...] = ((b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer"))


class _File:
    """Something that is the same for everybody, held in memory."""

    def __init__(self, body: bytes, content_type: Header, *headers: Header) -> None:
        self._body = body
        self._etag = ranges.strong_etag(hashlib.sha256(body).hexdigest()[:32])
        self._headers = (content_type, _NOSNIFF, (b"etag", self._etag.encode()), *headers)

    async def __call__(self, request: Request) -> Response:
        """The file, or 304 for whoever has it."""
        conditions = ranges.Conditions(if_none_match=request.header(b"if-none-match"))
        status = ranges.select(conditions, self._etag, len(self._body)).status
        return Response(status, b"" if status == 304 else self._body, self._headers, _CACHE)


class Documentation:
    """Reads all files once. `chat_api` says whether that dialect is served."""

    def __init__(self, *, chat_api: bool) -> None:
        self._document = _File(document(chat_api=chat_api), JSON_TYPE)
        self._page = _File(
            (_OWN_FILES / "index.html").read_bytes(), (b"content-type", b"text/html; charset=utf-8"), *_PAGE_HEADERS
        )
        folders = (_OWN_FILES, _swagger_ui())
        self._assets = {name: _File(_read(folders, name), (b"content-type", kind)) for name, kind in _ASSETS.items()}

    def add_routes(self, router: Router) -> None:
        """Adds the paths."""
        router.add("GET", "/openapi.json", self._document)
        router.add("GET", "/docs", self._page)
        router.add("GET", "/docs/{asset}", self._asset)

    async def _asset(self, request: Request) -> Response:
        file = self._assets.get(request.parameters["asset"])
        if file is None:
            raise EdgeError(EdgeReason.ROUTE_NOT_FOUND)
        return await file(request)


def _swagger_ui() -> Path:
    """Where Swagger UI's files are. To import their package would load a web framework."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package flask-swagger-ui is not installed")
    return Path(spec.origin).parent / "dist"


def _read(folders: tuple[Path, ...], name: str) -> bytes:
    return next(folder / name for folder in folders if (folder / name).is_file()).read_bytes()
