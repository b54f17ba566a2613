"""What `roomline up` tells the person who started it, once everything answers."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from rich.console import Console

from services.supervisor.client_token import client_token
from services.supervisor.deployment import Run
from services.supervisor.identity import Identity

TOKEN_SECONDS = 24 * 3600


def announce(console: Console, run: Run, data_dir: Path, dev: Identity | None, *, has_instances: bool) -> None:
    """Prints where everything is. The key is shown for the development instance only."""
    # Rich ends the process when nobody reads what it prints, which is no reason not to serve.
    with console.capture() as block:
        _print_block(console, run, data_dir, dev, has_instances=has_instances)
    try:
        console.file.write(block.get())
        console.file.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), console.file.fileno())  # else the last flush fails again


def _print_block(console: Console, run: Run, data_dir: Path, dev: Identity | None, *, has_instances: bool) -> None:
    folder = f"--data-dir {shlex.quote(str(data_dir))}"
    facts = _facts(run, dev)
    width = max(len(name) for name, _ in facts)
    console.print()
    console.rule("Roomline is ready", style="green")
    for name, value in facts:
        # Lines are never broken: they are there to be copied.
        console.print(f"  {name:{width}}  {value}", soft_wrap=True, highlight=False, markup=False)
    if dev is not None:
        console.print("\n  Create a user (the token is valid for 24 hours):\n", highlight=False)
        console.print(_curl(run, dev), soft_wrap=True, highlight=False, markup=False)
        hint = f"\n  More tokens:  roomline token --user alice {folder}   (a server token: --su)"
        console.print(hint, soft_wrap=True, highlight=False, markup=False)
    elif not has_instances:
        hint = f"\n  There is no instance yet. Make one with:  roomline instance create {folder}"
        console.print(hint, soft_wrap=True, highlight=False, markup=False)
    console.print("  Ctrl-C stops everything.", highlight=False)
    console.rule(style="green")


def _facts(run: Run, dev: Identity | None) -> list[tuple[str, str]]:
    facts = [("Gateway", "  ".join(filter(None, (run.http, run.https))))]
    facts += [(f"gRPC {name}", address) for name, address in run.grpc.items()]
    if run.instance_locator:
        facts.append(("Instance locator", run.instance_locator))
    if dev is not None:
        facts.append(("Key", dev.key))
    if run.ca_file:
        facts.append(("CA certificate", run.ca_file))
    return facts


def _curl(run: Run, dev: Identity) -> str:
    token = client_token(dev, "", TOKEN_SECONDS, su=True)
    body = json.dumps({"id": "alice", "name": "Alice"})
    return (
        f"curl -sS {run.http}/services/chatkit/v6/{dev.instance_id}/users \\\n"
        f"  -H 'Authorization: Bearer {token}' \\\n"
        f"  -H 'Content-Type: application/json' -d '{body}'"
    )
