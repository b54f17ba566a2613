"""What several do at once (faults 1 and 27)."""

from __future__ import annotations

import threading
import uuid

from tests.wire.chat_api.client import NOT_ALLOWED, Api, Person, done, person, refused
from tests.wire.client import Server
from tests.wire.conftest import Target


def test_two_opens_of_one_direct_conversation_at_once_make_one(target: Target, server: Server) -> None:
    people = [person(server), person(server)]
    opened: list[str] = []

    def open_(one: Person, other: Person) -> None:
        with target.connect(target.url) as own:
            opened.append(Api(own, one.token).open(other.id)["id"])

    threads = [threading.Thread(target=open_, args=people[:: 1 - 2 * (number % 2)]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 8
    assert len(set(opened)) == 1


def test_joining_against_leaving(target: Target, server: Server, eve: Person) -> None:
    owner = person(server)
    channel = owner.open(owner.id)["id"]

    def run(verb: str) -> None:
        with target.connect(target.url) as own:
            for _ in range(10):
                assert Api(own, eve.token).post(f"conversations.{verb}", cid=channel).status in {200, 403}

    threads = [threading.Thread(target=run, args=[verb]) for verb in ("join", "leave")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    is_member = eve.info(channel) is not None
    members = {one["id"] for one in owner.get("conversations.members", cid=channel).read()}
    assert members == ({owner.id, eve.id} if is_member else {owner.id})


def test_posting_against_deleting(target: Target, server: Server, ben: Person, carl: Person) -> None:
    anna = person(server)
    cid = anna.open(ben.id, carl.id)["id"]
    statuses: list[int] = []

    def post() -> None:
        with target.connect(target.url) as own:
            body = {"conversation_id": cid, "content": {"text": "x"}}
            statuses.extend(Api(own, ben.token).post("chat.postMessage", body).status for _ in range(20))

    thread = threading.Thread(target=post)
    thread.start()
    done(anna.post("conversations.delete", cid=cid))
    thread.join()
    assert set(statuses) <= {200, 403}
    assert statuses == sorted(statuses), "nothing is posted after the end"
    assert refused(ben.get("conversations.replies", cid=cid)) == NOT_ALLOWED


def test_two_posts_with_one_key_at_once_are_one(target: Target, anna: Person, direct: str) -> None:
    key, answers = str(uuid.uuid4()), []

    def post() -> None:
        with target.connect(target.url) as server:
            answers.append(Api(server, anna.token).say(direct, "once", client_message_id=key)["id"])

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
