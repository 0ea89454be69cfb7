"""The query behind a plan: who should be at a destination against what the ledger says it has.

It can be asked of a slice of the customers at a time, so that its memory does not grow with them.
"""

from dataclasses import dataclass

from reverse_etl import payload, quoting
from reverse_etl.declarations import GOLDEN, Sync
from reverse_etl.destination import Capabilities
from reverse_etl.payload import Columns

PUBLISHED = "published"
GOLDEN_TABLE = quoting.name(PUBLISHED, "marts", GOLDEN)
CONSENTS_TABLE = quoting.name(PUBLISHED, "marts", "customer_consents")
HISTORY_TABLE = quoting.name(PUBLISHED, "identity", "history")
DEFINITIONS_TABLE = quoting.name(PUBLISHED, "audiences", "definitions")
EXPERIMENTS_TABLE = quoting.name(PUBLISHED, "canonical", "experiments")
ASSIGNMENTS_TABLE = quoting.name(PUBLISHED, "canonical", "experiment_assignments")

GRANTED = f"""SELECT customer_id FROM {CONSENTS_TABLE}
    WHERE purpose = $purpose AND channel = $channel AND status = 'granted'
      AND customer_id IS NOT NULL"""
HELD_OUT = f"""SELECT unit_id FROM {ASSIGNMENTS_TABLE}
    JOIN {EXPERIMENTS_TABLE} USING (experiment_id)
    WHERE variant = 'control' AND is_running AND kind = 'audience_holdout'
      AND experiment_id IN (SELECT experiment_id FROM {DEFINITIONS_TABLE}
                            WHERE audience_id = $audience)"""
# modes in which who leaves the audience leaves the destination
LEAVING_MODES = frozenset({"mirror", "replace"})
# who has to go whatever the guards say, and goes first
MUST_GO = ("no_consent", "deleted")


@dataclass(frozen=True)
class Slice:
    """One of so many parts of the customers, by a hash of their id; who shares a row key with others,
    and who is to leave, are in the first."""

    number: int = 0
    of: int = 1

    def holds(self, customer_id: str) -> str:
        """The condition that an id, as SQL, is in this slice."""
        return f"hash({customer_id}) % {self.of} = {self.number}" if self.of > 1 else "true"


WHOLE = Slice()


def source_table(sync: Sync) -> str:
    """The relation a sync sends, in the published file."""
    return quoting.name(PUBLISHED, sync.audience_schema, sync.audience_table)


def source_join(sync: Sync, part: Slice = WHOLE) -> str:
    golden = GOLDEN_TABLE
    if part.of > 1:
        # both sides are cut, so that neither is whole in memory
        golden = f"(FROM {GOLDEN_TABLE} WHERE {part.holds('customer_id')})"
    return f"""{source_table(sync)} a
    LEFT JOIN {golden} g ON g.customer_id = a.customer_id"""


def given_key(sync: Sync, columns: Columns) -> str:
    return f"nullif({columns.source(sync.row_key)[0]}::VARCHAR, '')"


def shared_keys_sql(sync: Sync, columns: Columns) -> str:
    """The temporary table of row keys that several rows of the source have, or that are missing."""
    return f"""
CREATE OR REPLACE TEMP TABLE shared_keys AS
SELECT {given_key(sync, columns)} AS given_key FROM {source_join(sync)}
GROUP BY ALL HAVING count(*) > 1 OR given_key IS NULL"""


def plan_sql(
    sync: Sync,
    capabilities: Capabilities,
    columns: Columns,
    *,
    any_shared: bool,
    full: bool,
    resumed: bool,
    part: Slice = WHOLE,
) -> str:
    """The rows of the plan (see reverse_etl.plan) of one slice, in the order of sending.

    `class` says what is sent before what (NULL: not sent), `nth` the place among those of the slice.
    """
    by_field = capabilities.changed_fields
    hashes = payload.field_hashes_sql(sync.fields, "w.parts", "w.row_key")
    changed = payload.changed_sql(sync.fields, "parts", "field_hashes", "known_hashes")
    # a session that replaces sends everyone, so a row that is unchanged needs its payload too
    # where customers are their own row keys, the ledger can be cut as they are
    is_own_key = sync.row_key == "customer_id" and not any_shared
    known_here = part.holds("row_key") if is_own_key else "true"
    sent_kinds = "('add', 'update'" + (", 'unchanged')" if sync.mode == "replace" else ")")
    return f"""
WITH {members_sql(sync, capabilities, columns, any_shared=any_shared, part=part)},
{wanted_sql(any_shared, part)},
hashed AS (
    SELECT w.*, md5(payload) AS new_hash,
        {hashes if by_field else "NULL::MAP(VARCHAR, UBIGINT)"} AS field_hashes
    FROM wanted w
),
known AS (
    SELECT row_key, customer_id, payload_hash AS known_hash, status, is_held, remote_id,
        attempts, last_error_code, field_hashes
    FROM sync_state WHERE sync_name = $name AND {known_here}
),
compared AS (
    SELECT
        w.row_key, w.customer_id, w.payload, {_PAYLOAD_HASH} AS payload_hash, w.parts,
        w.field_hashes,
        coalesce(k.is_held, false) AS is_held, k.remote_id,
        {_kind_sql(sync, full)} AS kind,
        CASE WHEN NOT w.is_granted THEN 'no_consent'
             WHEN w.is_held_out THEN 'holdout'
             WHEN w.missing IS NOT NULL THEN w.missing
             WHEN k.status IN ('parked', 'suppressed') THEN k.last_error_code END AS reason,
        k.status AS known_status, k.known_hash, k.last_error_code AS known_error,
        k.customer_id AS known_customer, k.field_hashes AS known_hashes
    FROM hashed w LEFT JOIN known k ON k.row_key = w.row_key
    {_LEAVERS if part.number == 0 else ""}
),
due AS (
    SELECT
        row_key, customer_id, kind, reason,
        CASE WHEN kind = 'remove' THEN '{{}}'
             WHEN {by_field and not full} AND kind = 'update' AND known_status = 'synced'
                  AND known_hashes IS NOT NULL THEN {changed if by_field else "payload"}
             WHEN kind IN {sent_kinds} THEN payload END AS payload,
        CASE WHEN kind <> 'remove' THEN payload_hash END AS payload_hash,
        CASE WHEN kind <> 'remove' THEN field_hashes END AS field_hashes,
        CASE WHEN kind <> 'remove' THEN 2 WHEN reason IN {MUST_GO} THEN 0 ELSE 1 END AS phase,
        remote_id, is_held,
        CASE WHEN kind IN ('add', 'update', 'remove')
             -- what was refused before comes last, so that it cannot keep the others from going
             THEN phase * 4 + if(known_status IS NOT DISTINCT FROM 'rejected', 2, 0)
                + if(kind = 'add', 1, 0) END::UTINYINT AS class,
        CASE
            WHEN kind = 'invalid' THEN known_status IS DISTINCT FROM 'parked'
                OR known_error IS DISTINCT FROM reason OR known_hash IS DISTINCT FROM payload_hash
            WHEN kind = 'unchanged' THEN known_customer IS DISTINCT FROM customer_id
            WHEN kind = 'suppressed' AND is_held AND {not capabilities.removal}
                THEN known_status IS DISTINCT FROM 'suppressed'
            ELSE false
        END AS is_news
    FROM (
        SELECT c.* {_without_removal(capabilities)}
        FROM compared c {_NOT_ANSWERED if resumed else ""}
    )
)
SELECT *, {part.number}::INTEGER AS slice,
    CASE WHEN class IS NOT NULL THEN row_number() OVER () END AS nth
FROM (FROM due ORDER BY class NULLS LAST, row_key)"""


# ledgers of before December 2026 have SHA-256: a row they know keeps it until it is sent again
_PAYLOAD_HASH = """CASE WHEN k.known_hash <> w.new_hash
                  AND k.known_hash = left(sha256(w.payload), 32)
             THEN k.known_hash ELSE w.new_hash END"""
_LEAVERS = """UNION ALL BY NAME
    SELECT row_key, customer_id, true AS is_held, remote_id, reason,
        'remove' AS kind, status AS known_status, payload_hash AS known_hash,
        last_error_code AS known_error, customer_id AS known_customer
    FROM leavers"""
# a run that goes on after a kill does not count again what it has been answered about
_NOT_ANSWERED = """LEFT JOIN (
            SELECT DISTINCT row_key, status FROM sync_log
            WHERE sync_run_id = $run AND status IN ('ok', 'rejected', 'suppressed')
        ) d ON d.row_key = c.row_key
        WHERE NOT coalesce(
            (d.status = 'ok' AND c.kind IN ('unchanged', 'suppressed'))
            OR (d.status <> 'ok' AND c.known_status IN ('rejected', 'parked', 'suppressed')
                AND c.payload_hash IS NOT DISTINCT FROM c.known_hash), false)"""


def members_sql(
    sync: Sync,
    capabilities: Capabilities,
    columns: Columns,
    *,
    any_shared: bool,
    part: Slice = WHOLE,
) -> str:
    """The rows of the source as they would be sent, and whether they may be: those of a slice
    (`members`), and of all slices those that share a row key or have none (`sharing`)."""
    by_field = capabilities.changed_fields

    def members(part: Slice, condition: str) -> str:
        granted = f"{GRANTED} AND {part.holds('customer_id')}" if part.of > 1 else GRANTED
        return f"""
    SELECT
        a.customer_id::VARCHAR AS customer_id,
        {given_key(sync, columns)} AS given_key,
        {payload.payload_sql(sync.fields, columns)} AS payload,
        {payload.parts_sql(sync.fields, columns) if by_field else "NULL::VARCHAR[]"} AS parts,
        {payload.missing_sql(sync, capabilities, columns)} AS missing,
        coalesce(a.customer_id IN ({granted}), false) AS is_granted,
        coalesce(a.customer_id IN ({HELD_OUT}), false) AS is_held_out
    FROM {source_join(sync, part)}
    WHERE {part.holds("a.customer_id") if part.of > 1 else "true"} AND {condition}"""

    if not any_shared:
        return f"members AS ({members(part, 'true')})"
    key = given_key(sync, columns)
    alone = f"{key} IS NOT NULL AND {key} NOT IN (FROM shared_keys WHERE given_key IS NOT NULL)"
    sharing = f"({key} IS NULL OR {key} IN (FROM shared_keys))"
    return f"""members AS ({members(part, alone)}),
sharing AS ({members(WHOLE, sharing)})"""


def wanted_sql(any_shared: bool, part: Slice = WHOLE) -> str:
    """Who should be there, one row a row key: of several with one key, one may have it."""
    alone = "SELECT given_key AS row_key, * EXCLUDE (given_key) FROM members"
    if not any_shared or part.number > 0:
        return f"wanted AS ({alone})"
    return f"""
sharers AS (
    -- of several rows with one key one that may be sent owns it, then the smallest id
    SELECT *, row_number() OVER (
        PARTITION BY given_key
        ORDER BY is_granted AND NOT is_held_out DESC, is_granted DESC, customer_id, payload) AS nth
    FROM sharing
),
wanted AS (
    {alone}
    UNION ALL
    SELECT
        CASE WHEN given_key IS NOT NULL AND nth = 1 THEN given_key
             ELSE concat('customer_id=', customer_id, '#', nth) END AS row_key,
        customer_id, payload, parts,
        CASE WHEN given_key IS NULL THEN 'no_row_key'
             WHEN nth > 1 THEN 'duplicate_row_key' ELSE missing END AS missing,
        is_granted, is_held_out
    FROM sharers
)"""


def _kind_sql(sync: Sync, full: bool) -> str:
    """What is to be done about a row, by the sync's mode; `w` is wanted, `k` is known."""
    again = "false" if full else "true"
    same = f"{again} AND k.known_hash = {_PAYLOAD_HASH}"
    may_send = """
            WHEN NOT w.is_granted OR w.is_held_out THEN 'suppressed'
            WHEN w.missing IS NOT NULL THEN 'invalid'"""
    parked = f"""
            WHEN k.status = 'parked' AND k.attempts > 0 AND {same} THEN 'parked'"""
    if sync.mode == "events":
        return f"""CASE
            WHEN k.is_held AND k.status IN ('synced', 'suppressed') THEN 'unchanged'{may_send}{parked}
            WHEN k.is_held THEN 'update' ELSE 'add'
        END"""
    leaves = "true" if sync.mode in LEAVING_MODES else "false"
    by_mode = {
        "add_only": f"WHEN k.is_held AND k.status IN ('synced', 'suppressed') AND {again} "
        "THEN 'unchanged'",
        "update_only": f"WHEN k.status = 'suppressed' AND k.last_error_code = 'not_there' "
        f"AND k.attempts >= {sync.max_attempts} AND {same} THEN 'suppressed'",
    }.get(sync.mode, "")
    new = "update" if sync.mode == "update_only" else "add"
    return f"""CASE
            WHEN NOT w.is_granted AND k.is_held THEN 'remove'
            WHEN w.is_held_out AND k.is_held AND {leaves} THEN 'remove'{may_send}{parked}
            {by_mode}
            WHEN k.status = 'synced' AND k.is_held AND {same} THEN 'unchanged'
            WHEN k.row_key IS NULL OR NOT k.is_held THEN '{new}'
            ELSE 'update'
        END"""


def _without_removal(capabilities: Capabilities) -> str:
    """Where nothing can be removed, who has to go is suppressed: kept, and never sent again."""
    if capabilities.removal:
        return ""
    return "REPLACE (CASE WHEN c.kind = 'remove' THEN 'suppressed' ELSE c.kind END AS kind)"
