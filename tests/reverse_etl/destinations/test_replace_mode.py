import test_meta_audiences, test_segment
from conformance import Response, Request, serve, SECRET
from reverse_etl.members import sha256
import json


class Replacing(test_meta_audiences.Graph):
    def __init__(self):
        super().__init__()
        self.session = None
        self.staged = []

    def answer(self, request):
        if request.path.endswith("usersreplace"):
            b = request.json()
            s = b["session"]
            if s["batch_seq"] == 1:
                self.staged = []
            self.staged += [dict(zip(b["payload"]["schema"], r)) for r in b["payload"]["data"]]
            if s["last_batch_flag"]:
                self.people = self.staged
            return Response(200, {"num_received": 1, "num_invalid_entries": 0})
        return super().answer(request)


def test_replace(new_sync, run, warehouse):
    vendor = Replacing()
    for c in "abcde":
        warehouse.add(c)
    with serve(vendor) as address:
        sync = new_sync(
            destination="meta_audiences",
            mode="replace",
            fields=(("email", "email"),),
            connection={"access_token": SECRET, "audience_id": "23850", "base_url": address},
        )
        r = run(sync)
        print(r)
        assert {p["EMAIL"] for p in vendor.people} == {sha256(f"{c}@example.com") for c in "abcde"}
        warehouse.people["a"]["consent"] = "withdrawn"
        warehouse.people["b"]["in_audience"] = False
        r = run(sync)
        print(r)
        assert {p["EMAIL"] for p in vendor.people} == {sha256(f"{c}@example.com") for c in "cde"}
        print(run.rows("select row_key,status,remote_id from sync_state"))
        n = len(vendor.requests)
        run(sync)
        assert len(vendor.requests) == n


def test_events(new_sync, run, warehouse):
    vendor = test_segment.Users()
    got = []

    def answer(request):
        got.extend(request.json()["batch"])
        return Response(200, {"success": True})

    vendor.answer = answer
    for c in "abc":
        warehouse.add(c)
    with serve(vendor) as address:
        sync = new_sync(
            destination="segment",
            mode="events",
            fields=(("user_id", "customer_id"), ("email", "email")),
            connection={"write_key": SECRET, "base_url": address, "event": "Entered"},
        )
        r = run(sync)
        print(r)
        r = run(sync)
        print(r)
        print(got)
        assert len(got) == 3
