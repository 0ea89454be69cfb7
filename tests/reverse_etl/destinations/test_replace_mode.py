"""A session that replaces an audience, through a whole sync: who is missing from it has left."""

import test_meta_audiences
from conformance import SECRET, Request, Response, serve

from reverse_etl.members import sha256


class Replacing(test_meta_audiences.Graph):
    """Meta's `usersreplace`: what a session brought takes effect with its last batch."""

    def __init__(self) -> None:
        super().__init__()
        self.staged: list[dict[str, str]] = []

    def answer(self, request: Request) -> Response:
        if not request.path.endswith("usersreplace"):
            return super().answer(request)
        body = request.json()
        if body["session"]["batch_seq"] == 1:
            self.staged = []
        schema = body["payload"]["schema"]
        self.staged += [dict(zip(schema, row, strict=True)) for row in body["payload"]["data"]]
        if body["session"]["last_batch_flag"]:
            self.people = self.staged
        return Response(200, {"num_received": 1, "num_invalid_entries": 0})


def test_who_left_or_withdrew_is_missing_and_settled(new_sync, run, warehouse) -> None:
    vendor = Replacing()
    for customer in "abcde":
        warehouse.add(customer)
    with serve(vendor) as address:
        sync = new_sync(
            destination="meta_audiences",
            mode="replace",
            fields=(("email", "email"),),
            connection={"access_token": SECRET, "audience_id": "23850", "base_url": address},
        )
        assert run(sync).rows_added == 5
        assert _emails(vendor) == {sha256(f"{c}@example.com") for c in "abcde"}
        warehouse.people["a"]["consent"] = "withdrawn"
        warehouse.people["b"]["in_audience"] = False
        result = run(sync)
        assert (result.status, result.rows_removed, result.rows_pending) == ("succeeded", 2, 0)
        assert _emails(vendor) == {sha256(f"{c}@example.com") for c in "cde"}
        # what is known of who has gone is not kept
        gone = run.rows("SELECT DISTINCT remote_id FROM sync_state WHERE row_key IN ('a', 'b')")
        assert set(gone) <= {(None,), ("",)}
        sent = len(vendor.requests)
        run(sync)
        assert len(vendor.requests) == sent


def _emails(vendor: Replacing) -> set[str]:
    return {person["EMAIL"] for person in vendor.people}
