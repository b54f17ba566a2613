"""The document says what is served, no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway import openapi
from gateway.health import Health
from gateway.openapi import document
from gateway.router import SUBSCRIBE
from gateway.server import build_router
from services.common.settings import Settings

Json = dict[str, Any]

METHODS = {"get", "put", "post", "delete", "head"}
LIVE = {"/ws", "/api/v1/events/conversations"}
"""Paths that answer with a stream without end, which OpenAPI cannot describe."""


def read(*, chat_api: bool = True) -> Json:
    return orjson.loads(document(chat_api=chat_api))  # type: ignore[no-any-return]


def resolved(whole: Json, node: Json) -> Json:
    """What a node is, or refers to."""
    found: Any = whole
    if "$ref" not in node:
        return node
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found  # type: ignore[no-any-return]


def operations(whole: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and operation."""
    for path, item in whole["paths"].items():
        for method in METHODS & item.keys():
            yield method.upper(), path, item[method]


def documented(whole: Json) -> set[tuple[str, str]]:
    """Methods and paths, each with every version that it says it has."""
    found = set()
    for method, path, _ in operations(whole):
        parameters = [resolved(whole, one) for one in whole["paths"][path].get("parameters", ())]
        versions = next((one["schema"]["enum"] for one in parameters if one["name"] == "version"), [""])
        found |= {(method, path.replace("{version}", version)) for version in versions}
    return found


async def served(settings: Settings) -> set[tuple[str, str]]:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        router = build_router(settings, channel, channel, channel, Health({}))
        return {(method, path) for method, path in router.patterns() if method != SUBSCRIBE and path not in LIVE}


@pytest.mark.parametrize("instance", ["one", ""])
async def test_router_and_document_agree(instance: str) -> None:
    routes = await served(Settings(chat_api_instance=instance))
    said = documented(read(chat_api=bool(instance)))
    assert said - routes == set(), "documented, but not served"
    assert {route for route in routes - said if route[0] != "HEAD"} == set(), "served, but not documented"


@pytest.mark.parametrize("chat_api", [True, False])
def test_the_document_is_valid(chat_api: bool) -> None:
    OpenAPIV31SpecValidator(read(chat_api=chat_api)).validate()


@pytest.mark.parametrize("text", ["paths: {/a: {}}", "components: {schemas: {A: {}}}", "info: {}"])
def test_nothing_is_said_in_two_files(tmp_path: Path, text: str) -> None:
    files = tmp_path / "one.yaml", tmp_path / "two.yaml"
    for file in files:
        file.write_text(text)
    with pytest.raises(ValueError, match="in two files"):
        openapi._joined(files)


def test_every_operation_says_what_a_reader_needs() -> None:
    whole = read()
    tags = {tag["name"] for tag in whole["tags"]}
    for method, path, operation in operations(whole):
        assert {"operationId", "summary", "tags", "security", "responses"} <= operation.keys(), (method, path)
        assert set(operation["tags"]) <= tags, (method, path)
        assert any(status < "300" for status in operation["responses"]), (method, path)
        for parameter in [*whole["paths"][path].get("parameters", ()), *operation.get("parameters", ())]:
            assert resolved(whole, parameter)["description"], (method, path)


def test_nothing_is_left_over() -> None:
    """Every component is referred to, and every tag is used."""
    whole = read()
    text = orjson.dumps(whole).decode()
    for kind, named in whole["components"].items():
        for name in named:
            assert f'"#/components/{kind}/{name}"' in text or kind == "securitySchemes", (kind, name)
    used = {tag for _, _, operation in operations(whole) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in whole["tags"]}
    schemes = {name for _, _, one in operations(whole) for choice in one["security"] for name in choice}
    assert schemes == set(whole["components"]["securitySchemes"])


def test_examples_are_what_their_schemas_say() -> None:
    whole = read()
    checked = 0
    for schema, example in examples(whole):
        Draft202012Validator({**schema, "components": whole["components"]}).validate(example)
        checked += 1
    assert checked > 50


def examples(node: Any) -> Iterator[tuple[Json, Any]]:
    """Schemas, and the examples that stand in or beside them."""
    if isinstance(node, list):
        for child in node:
            yield from examples(child)
    elif isinstance(node, dict):
        if "example" in node:
            schema = node.get("schema", node)
            yield schema, node["example"]
        elif isinstance(node.get("examples"), list):
            for example in node["examples"]:
                yield node, example
        for name, child in node.items():
            if name not in {"example", "examples"}:
                yield from examples(child)
