"""What was sent, and what the server said of it."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass


@dataclass
class Send:
    """One message on its way. Its text is its name: unique, with the sender and a number that rises."""

    sender: str
    number: int
    message_id: int | None = None
    """Once acknowledged."""
    refused: bool = False
    """The server said that it surely did nothing."""

    @property
    def text(self) -> str:
        """The message's text."""
        return f"{self.sender} says {self.number}"


class Ledger:
    """All sends of a load."""

    def __init__(self, senders: list[str]) -> None:
        self.sends: list[Send] = []
        self._acknowledged = dict.fromkeys(senders, 0)
        self._changed = asyncio.Event()

    def begin(self, sender: str) -> Send:
        """Notes that a sender is about to send its next message."""
        send = Send(sender, len(self.sends))
        self.sends.append(send)
        return send

    def acknowledge(self, send: Send, message_id: int) -> None:
        """Notes the answer. An answer to the same request must be the same."""
        assert send.message_id in {None, message_id}, f"{send} has got another id: {message_id}"
        send.message_id = message_id
        self._acknowledged[send.sender] += 1
        self._changed.set()

    async def answers(self, count: int) -> None:
        """Returns when so many more answers have come."""
        goal = sum(self._acknowledged.values()) + count
        while sum(self._acknowledged.values()) < goal:
            self._changed.clear()
            await self._changed.wait()

    async def progress(self, each: int) -> None:
        """Returns when every sender has had so many more answers."""
        goal = {sender: count + each for sender, count in self._acknowledged.items()}
        while any(self._acknowledged[sender] < count for sender, count in goal.items()):
            self._changed.clear()
            await self._changed.wait()

    def check(self, listed: list[tuple[int, str]]) -> None:
        """Checks ids and texts, as the server lists them from the oldest to the newest, against what was sent."""
        ids = [message_id for message_id, _ in listed]
        assert ids == sorted(set(ids)), "ids do not rise strictly"
        found = Counter(text for _, text in listed)
        twice = [text for text, count in found.items() if count > 1]
        assert not twice, f"stored more than once: {twice}"
        by_text = {send.text: send for send in self.sends}
        assert found.keys() <= by_text.keys(), "messages that nobody sent"
        stored = {text: message_id for message_id, text in listed}
        lost = [send for send in self.sends if send.message_id is not None and stored.get(send.text) != send.message_id]
        assert not lost, f"acknowledged, and not there under that id: {lost}"
        done = [send for send in self.sends if send.refused and send.text in stored]
        assert not done, f"refused as surely not done, and there: {done}"
        order = defaultdict(list)
        for _, text in listed:
            if by_text[text].message_id is not None:
                order[by_text[text].sender].append(by_text[text].number)
        assert all(numbers == sorted(numbers) for numbers in order.values()), "a sender's order is lost"
