"""What the scripts of the clients share. They run where nothing of this package is installed."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

HOST = os.environ["LOCAL_HOST"]
TOKEN = os.environ["LOCAL_TOKEN"]
ACCOUNT = int(os.environ["LOCAL_ACCOUNT"])
GOOD, BAD, SLOW = (int(number) for number in os.environ["LOCAL_JOBS"].split(","))


def use_plain_http() -> None:
    """Let requests and httpx reach the loopback host by http, whatever the client says.

    Most clients write `https://` themselves. Nothing else of them is changed.
    """
    from requests.adapters import HTTPAdapter  # noqa: PLC0415  # not all clients have it

    send = HTTPAdapter.send

    def send_plainly(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace(f"https://{HOST}/", f"http://{HOST}/", 1)
        return send(self, request, *args, **kwargs)

    HTTPAdapter.send = send_plainly  # type: ignore[method-assign]


def report(**facts: Any) -> None:
    """Tell the test what the client has seen."""
    json.dump(facts, sys.stdout)
