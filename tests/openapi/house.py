"""A server with something in it, and its document with the ids of that: random ones hardly ever hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.wire.chat_api.client import Person, person
from tests.wire.client import SCHEDULER, Server, path_of
from tests.wire.files import attach, reserve

Json = dict[str, Any]

ALICE = "alice"
BOB = "bob"
ROOM = "lobby"
REQUESTS = (
    *("UserIds", "MemberChange", "NewAttachmentPart", "NewTextMessage"),
    *("PeopleChoice", "Invitation", "Post", "Edit", "Files"),
)
"""Schemas that only requests have, and that name what exists."""


@dataclass(frozen=True)
class House:
    """What is in the server, and who calls."""

    server: Server
    anna: Person
    leavers: dict[str, Person]
    """Who calls what ends a session, by the operation."""
    refresh_token: str
    ids: dict[str, list[Any]]
    """Ids that exist, by the schema that they are of."""
    signed: dict[str, Json]
    """Id and signature of an attachment, by the method that they are for."""

    def tokens(self, operation: Json) -> list[str | None]:
        """Valid tokens for an operation, None where it takes none."""
        schemes = {name for choice in operation["security"] for name in choice}
        if "chatkitToken" in schemes:
            return [self.server.server_token(ALICE), self.server.user_token(ALICE)]
        return [self.leavers.get(operation["operationId"], self.anna).token if schemes else None]

    def with_ids(self, document: Json) -> Json:
        """The document with our ids as the only ones that requests may have. Answers may have any."""
        schemas = document["components"]["schemas"]
        for name in REQUESTS:
            schemas[name] = self._chosen(schemas[name])
        document["components"]["parameters"] = self._chosen(document["components"]["parameters"])
        for item in document["paths"].values():
            for operation in item.values():
                if "parameters" in operation:
                    operation["parameters"] = self._chosen(operation["parameters"])
        refresh = document["paths"]["/api/v1/auth/refresh"]["post"]["requestBody"]["content"]["application/json"]
        refresh["schema"]["properties"]["refresh_token"] = {"const": self.refresh_token}
        item = document["paths"]["/attachments/{attachment_id}"]
        shared = item.pop("parameters")
        for method, known in self.signed.items():
            own = [{**parameter, "schema": {"const": known[parameter["name"]]}} for parameter in shared]
            item[method]["parameters"] = own + item[method].get("parameters", [])
        return document

    def _chosen(self, node: Any) -> Any:
        """The node with our ids in place of references to their schemas."""
        if isinstance(node, list):
            return [self._chosen(child) for child in node]
        if not isinstance(node, dict):
            return node
        ids = self.ids.get(str(node.get("$ref")).rpartition("/")[2])
        return {"enum": ids} if ids else {name: self._chosen(child) for name, child in node.items()}


def furnish(server: Server) -> House:
    """Makes users, rooms, messages and files, in both dialects."""
    server.new_user(ALICE)
    server.new_user(BOB)
    server.new_room(ALICE, BOB, id=ROOM)
    server.new_room(BOB, id="bobs", private=True)
    file, reserved = attach(server, ROOM, ALICE), reserve(server.su(ALICE), ROOM, size=0)
    said = [server.send(ROOM, ALICE, file.part)]
    download_url = server.message(ROOM, said[0])["parts"][0]["attachment"]["download_url"]
    said += [server.send(ROOM, ALICE) for _ in range(12)]
    said += [server.send_text(ROOM, BOB, "hello") for _ in range(12)]
    server.set_cursor(ROOM, ALICE, said[0])

    anna, ben = person(server, "Anna"), person(server, "Ben")
    direct, group = anna.open(ben.id)["id"], anna.open(ben.id, person(server).id)["id"]
    media = anna.file(b"some text")
    messages = [anna.show(group, media), ben.say(direct), *(anna.say(direct) for _ in range(4))]
    old_room = path_of("rooms", server.new_room(BOB))
    job = server.su().put(old_room, api=SCHEDULER).read(202)["id"]
    download = {"attachment_id": file.id, "signature": _signature(download_url)}
    return House(
        server=server,
        anna=anna,
        leavers={"logout": person(server), "logoutByGet": person(server)},
        refresh_token=person(server).refresh_token,
        ids={
            "UserId": [ALICE, BOB],
            "RoomId": [ROOM, "bobs"],
            "MessageId": said,
            "AttachmentId": [file.id, reserved.id],
            "PersonId": [anna.id, ben.id],
            "ConversationId": [direct, group],
            "ChatMessageId": [message["id"] for message in messages],
            "MediaId": [media],
            "RoleName": ["default", "moderator"],
            "JobId": [job],
        },
        signed={
            "put": {"attachment_id": reserved.id, "signature": _signature(reserved.upload_url)},
            "get": download,
            "head": download,
        },
    )


def _signature(url: str) -> str:
    return parse_qs(urlsplit(url).query)["signature"][0]
