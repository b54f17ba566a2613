"""`roomline import chatkit` with files that have more, less and other things than they should."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from services.supervisor.archive.importing import FILES_AT_ONCE
from services.supervisor.chatkit.downloads import HOPELESS
from tests.cli.chatkit_export import NO_FILES, at, attachment, bring, file_host, inline, message, room, user, write
from tests.cli.commands import roomline_here
from tests.cli.whole_instance import new_instance
from tests.support.server import Running
from tests.wire.client import path_of


def test_what_cannot_be_used_is_told_and_the_rest_comes(dev_server: Running, tmp_path: Path) -> None:
    users = [user("ann"), {"id": "x"}, user("ann"), user("bob", mood="good"), user("a" * 161)]
    rooms = [room("lobby", ["ann", "nobody"]), room("odd", ["ann"], created_at="soon")]
    messages: list[Any] = [
        message(1, "lobby", "ann", 100),
        "text",
        message(2, "odd", "ann", 100),
        message(3, "lobby", "ann", 101, inline("good"), {"part_type": "video"}),
        message(4, "lobby", "ann", 102, inline("x", "no type")),
        message(5, "lobby", "ann", 103, inline("good"), inline("x", "no type")),
        message(6, "lobby", "ann", 103, inline("good"), attachment(NO_FILES, 1, "x" * 2000)),
        message(7, "lobby", "ann", 104, inline("x" * 70_000)),
        message(1, "lobby", "ann", 103),
    ]
    with new_instance(dev_server, "odd") as server:
        said, report = bring(dev_server, "odd", tmp_path, (users, rooms, messages))
        assert [one["id"] for one in server.su().get("/users").read()] == ["ann", "bob"]
        assert server.room("lobby")["member_user_ids"] == ["ann"]
        assert len(server.su().get(path_of("rooms", "lobby", "messages")).read()) == 4
    entries = {(one["what"], one["outcome"], one.get("index")) for one in report}
    assert entries == {
        ("users", "unreadable", 1),
        ("users", "left out", 2),
        ("users", "refused", 4),
        ("users", "unknown keys", None),
        ("rooms", "reduced", 0),
        ("rooms", "unreadable", 1),
        ("messages", "unreadable", 1),
        ("messages", "unreadable", 2),
        ("messages", "reduced", 3),
        ("messages", "unreadable", 4),
        ("messages", "reduced", 5),
        ("messages", "reduced", 6),
        ("messages", "refused", 7),
        ("messages", "left out", 8),
    }
    assert "mood: 1 times" in {one["detail"] for one in report}
    assert "nobody" in next(one["detail"] for one in report if one["what"] == "rooms" and one["outcome"] == "reduced")
    assert {one["file"].rpartition("/")[2] for one in report} == {"users.json", "rooms.json", "messages.json"}
    assert "4 imported, 1 refused" in said


def test_what_is_not_needed_is_no_reason_to_lose_the_rest(dev_server: Running, tmp_path: Path) -> None:
    users = [user("ann", avatar_url="data:," + "x" * 9000), user("bob", avatar_url=7), user("carl", avatar_url=None)]
    rooms = [room("lobby", ["ann", "bob"], push_notification_title_override="x" * 2000)]
    with new_instance(dev_server, "optional") as server:
        said, report = bring(dev_server, "optional", tmp_path, (users, rooms, []))
        assert all("avatar_url" not in one for one in server.su().get("/users").read())
        assert server.room("lobby")["member_user_ids"] == ["ann", "bob"]
    assert [(one["id"], one["outcome"], one["detail"].partition(":")[0]) for one in report] == [
        ("ann", "reduced", "avatar_url is left out"),
        ("bob", "reduced", "avatar_url is left out"),
        ("lobby", "reduced", "push_notification_title_override is left out"),
    ]
    assert "3 imported" in said


def test_what_was_deleted_does_not_come_back(dev_server: Running, tmp_path: Path) -> None:
    users = [user("ann", deleted_at=None), user("bob", deleted_at=at(9))]
    rooms = [room("lobby", ["ann"]), room("attic", ["ann"], deleted_at=at(9))]
    messages = [message(1, "lobby", "ann", 100), {**message(2, "lobby", "ann", 101), "deleted_at": at(102)}]
    with new_instance(dev_server, "deleted") as server:
        _, report = bring(dev_server, "deleted", tmp_path, (users, rooms, messages))
        assert [one["id"] for one in server.su().get("/users").read()] == ["ann"]
        assert len(server.su().get(path_of("rooms", "lobby", "messages")).read()) == 1
    assert [(one["what"], one["outcome"], one["detail"], one["index"]) for one in report] == [
        (what, "left out", "it was deleted", 1) for what in ("users", "rooms", "messages")
    ]


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ((1, 0, 2), "users.json has nothing that can be used for rooms: index 0: "),
        ((0, 2, 1), "messages.json has nothing that can be used for rooms: index 0: "),
        ((0, 1, 0), "users.json has nothing that can be used for messages: index 0: "),
    ],
)
def test_files_in_another_order_bring_nothing(
    dev_server: Running, tmp_path: Path, order: tuple[int, ...], problem: str
) -> None:
    files = write(tmp_path, [user("ann")], [room("lobby", ["ann"])], [message(1, "lobby", "ann", 100)], lines=False)
    words = ("import", "chatkit", *(files[number] for number in order))
    name = "order-" + "".join(map(str, order))
    with new_instance(dev_server, name) as server:
        refused = roomline_here(*words, "--instance", name, "--data-dir", dev_server.data_dir)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert problem in refused.stderr
        assert server.su().get("/users").read() == []


@pytest.mark.thorough
def test_hosts_that_are_gone_are_not_asked_for_ever(dev_server: Running, tmp_path: Path) -> None:
    with file_host() as gone:
        pass
    with file_host(good=b"12345") as there, new_instance(dev_server, "hosts") as server:
        numbers = range(HOPELESS + 20)
        values: list[Any] = [
            *(message(number, "lobby", "ann", number, attachment(f"{gone.url}/x", 5)) for number in numbers),
            *(message(100 + number, "lobby", "ann", 100, attachment(f"{there.url}/gone", 5)) for number in numbers),
            message(200, "lobby", "ann", 200, attachment(f"{there.url}/good", 5)),
        ]
        said, report = bring(dev_server, "hosts", tmp_path, ([user("ann")], [room("lobby", ["ann"], 0)], values))
        assert len(server.su().get(path_of("rooms", "lobby", "messages") + "?limit=100").read()) == len(values)
    details = Counter(one["detail"].removeprefix("its download_url: ") for one in report)
    assert HOPELESS <= details.pop("no connection") < HOPELESS + FILES_AT_ONCE
    assert details.pop("the answer has the status 404") == len(numbers)
    assert [detail.partition(",")[0] for detail in details] == ["it was not asked for"]
    assert "1 imported" in said.splitlines()[-1]
    assert len(there.asked) == len(numbers) + 1


def test_a_broken_array_brings_nothing(dev_server: Running, tmp_path: Path) -> None:
    files = write(tmp_path, [user("ann")], [room("lobby", ["ann"])], [message(1, "lobby", "ann", 100)], lines=False)
    files[2].write_bytes(files[2].read_bytes()[:-3])
    with new_instance(dev_server, "cut-off") as server:
        refused = roomline_here("import", "chatkit", *files, "--instance", "cut-off", "--data-dir", dev_server.data_dir)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "messages.json is broken or cut off after 0 values" in refused.stderr
        assert server.su().get("/users").read() == []
