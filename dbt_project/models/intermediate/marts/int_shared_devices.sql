{# Whose a device was when, where several people logged in on it. A table: it is small, and every audience
   that asks for events asks for it. #}
{{ config(materialized='table') }}
with parts as (
    select * from {{ ref('int_visits') }}
    where anonymous_id is not null
),

-- Few devices saw more than one login: whose they were is asked for those alone.
doubtful as (
    select anonymous_id from parts
    where user_id is not null
    group by anonymous_id
    having min(user_id) <> max(user_id)
),

logins as (
    select
        parts.anonymous_id,
        parts.session_id,
        coalesce(owners.customer_id, lower(trim(parts.user_id))) as person,
        min(owners.customer_id) as customer_id,
        min(parts.first_event_at) as logged_in_at
    from parts
    inner join doubtful on parts.anonymous_id = doubtful.anonymous_id
    left join {{ ref('int_login_customers') }} as owners on lower(trim(parts.user_id)) = owners.login_id
    where parts.user_id is not null
    group by
        parts.anonymous_id,
        parts.session_id,
        coalesce(owners.customer_id, lower(trim(parts.user_id)))
),

shared as (
    select anonymous_id from logins
    group by anonymous_id
    having count(distinct person) > 1
),

visits as (
    select
        parts.anonymous_id,
        parts.session_id,
        min(parts.first_event_at) as started_at
    from parts
    inner join shared on parts.anonymous_id = shared.anonymous_id
    group by parts.anonymous_id, parts.session_id
),

-- What happened earlier in a visit is of who logs in in it first.
beginnings as (
    select
        logins.anonymous_id,
        logins.person,
        logins.customer_id,
        case
            when row_number() over (
                partition by logins.anonymous_id, logins.session_id order by logins.logged_in_at, logins.person
            ) = 1 then visits.started_at
            else logins.logged_in_at
        end as valid_from
    from logins
    inner join visits on logins.anonymous_id = visits.anonymous_id and logins.session_id = visits.session_id
),

marked as (
    select
        *,
        lag(person) over (partition by anonymous_id order by valid_from, person) as person_before
    from beginnings
),

changes as (
    select * from marked
    where person_before is null or person_before <> person
),

intervals as (
    select
        anonymous_id,
        customer_id,
        case when person_before is not null then valid_from end as valid_from,
        lead(valid_from) over (partition by anonymous_id order by valid_from, person) as valid_to
    from changes
)

select * from intervals
where valid_from is null or valid_to is null or valid_from < valid_to
