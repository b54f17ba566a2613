"""Runs every case, each on an emptied instance, and writes a line of JSON per case.

Started as `python -m tests.sdks.python.run REPORT` in the environment that has the SDK.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from pusher_chatkit import PusherChatKit  # type: ignore[import-not-found]  # has an environment of its own

from tests.sdks.python.cases import CASES
from tests.sdks.python.checks import Sdk
from tests.sdks.python.recorder import Recorder


def main(report: Path) -> None:
    sdk = Recorder(PusherChatKit(os.environ["CHATKIT_INSTANCE_LOCATOR"], os.environ["CHATKIT_INSTANCE_KEY"]))
    with report.open("w") as lines:
        for name, case in CASES.items():
            lines.write(json.dumps({"case": name, "error": error_of(case, sdk)}) + "\n")
            lines.flush()


def error_of(case: Callable[[Sdk], None], sdk: Sdk) -> str | None:
    try:
        sdk.client.delete("api", "/resources", token=sdk.subject.generate_token(su=True))
        case(sdk)
    except Exception:  # noqa: BLE001 - whatever a case raises is its outcome; the next ones still run
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
