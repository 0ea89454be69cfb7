"""Slack: a message about each run, with how many people entered, changed and left. No names.

One message a batch to an incoming webhook, and a batch may have 100,000 people: a run of up to so
many is one message, a longer one says which part it is. Read in Slack's documentation: "Sending
messages using incoming webhooks" (a status and a word of text for an error), "Rate limits" (one
message a second, Retry-After).

`connection`: webhook_url; title (default: the sync's name). The mapped fields decide what counts as
a change and are not sent.
"""

from collections import Counter
from collections.abc import Sequence

import httpx

from reverse_etl.destination import Batch, Body, Capabilities, Rate, RejectError, Row
from reverse_etl.http import Call, HttpDestination, json_call

HAPPENINGS = ("entered", "changed", "left")


class Slack(HttpDestination):
    capabilities = Capabilities(
        max_rows=100_000,
        default_rows=100_000,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"webhook_url"}),
        optional_connection_keys=frozenset({"timeout_seconds", "title"}),
        secret_keys=frozenset({"webhook_url"}),
        rate=Rate(1, 1.0),
        cannot="sends counts only, never a field of anybody; after a broken connection a message "
        "may be there twice",
    )
    address_key = "webhook_url"
    login_key = "webhook_url"

    def calls(self, batch: Batch) -> Sequence[Call]:
        title = self.connection.get("title") or batch.sync_name
        counts = Counter(map(_happening, batch.rows))
        said = ", ".join(f"{counts[one]:,} {one}" for one in HAPPENINGS if counts[one])
        part = f" (part {batch.position} of {batch.of})" if batch.of > 1 else ""
        text = {"text": f"{title}: {said}{part}"}
        return [json_call("POST", self.connection["webhook_url"], text)]

    def bodies(self, batch: Batch) -> Sequence[Body]:
        # the address is the login
        return [
            Body("POST to connection.webhook_url", call.content.decode())
            for call in self.calls(batch)
        ]

    def check(self) -> str:
        # Slack refuses a message without a text, and posts nothing
        try:
            self.request(json_call("POST", self.connection["webhook_url"], {}))
        except RejectError:
            return "the webhook takes messages"
        return "the webhook answers"

    def reason(self, response: httpx.Response) -> str:
        return response.text[:200]


def _happening(row: Row) -> str:
    if row.operation == "remove":
        return "left"
    return "entered" if row.is_new else "changed"
