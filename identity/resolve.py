from types import SimpleNamespace
def resolve(con, rules, *, run_id, now, progress=None):
    con.execute("create schema if not exists identity")
    con.execute("""create or replace table identity.crosswalk as select node_key, 'cus_'||left(sha256(node_key),16) as customer_id, 'cus_'||left(sha256(node_key),16) as strict_customer_id, 'x' as method, 1.0 as confidence from (select contact_key as node_key from canonical.contacts union select node_key from canonical.identifiers)""")
    con.execute("""create or replace table identity.identifiers as select *, identifier_value as given_value, false as is_blocked from canonical.identifiers""")
    con.execute("""create or replace table identity.normalised_values as select distinct identifier_type, identifier_value as given_value, identifier_value from canonical.consents""")
    for t in ("edges","history","held_clusters","overrides"): con.execute(f"create table if not exists identity.{t}(a int)")
    con.execute("create or replace table identity.runs as select 'r' as run_id, now()::timestamp as finished_at")
    return SimpleNamespace(unchanged=False)
