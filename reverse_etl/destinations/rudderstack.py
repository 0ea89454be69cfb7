"""RudderStack: as Segment, at the address of one's own data plane (`connection.data_plane_url`).

Read in RudderStack's documentation: "HTTP API" (batch, 4 MB a request and 32 KB a message, basic
login with the source's write key). It documents no pace; a 429 has no Retry-After.
"""

from dataclasses import replace

from reverse_etl.destinations.segment import Segment
from reverse_etl.http import Call


class Rudderstack(Segment):
    capabilities = replace(
        Segment.capabilities,
        connection_keys=frozenset({"write_key", "data_plane_url"}),
        optional_connection_keys=Segment.capabilities.optional_connection_keys - {"base_url"},
        max_rows=10_000,
        max_bytes=4_000_000,
        cannot="RudderStack takes nothing back through this call: who leaves an audience, or "
        "withdraws consent, stays as they were told (use its user suppression). It answers 200 to a "
        "message that one of its destinations drops later.",
    )
    address_key = "data_plane_url"

    def check(self) -> str:
        self.request(Call("GET", "health"))
        return "the data plane answers; nothing tells whether a write key is right without writing"
