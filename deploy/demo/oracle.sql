-- What plain SQL makes of two of the demo's entities: the rows that plan.yaml must write, computed without Drover, for tests to
-- compare byte by byte. Run on the legacy database after legacy_data.sql; needs the contrib extension uuid-ossp. The views
-- oracle.oracle_patients and oracle.oracle_orders have the columns of the destination tables in their order.
--
-- What the plan does not write is left out here: filtered rows, rows quarantined for a moment that never was or a missing
-- parent, and rows held because a parent (at any distance) is quarantined, even where the reference could be NULL.

create schema oracle;
create extension "uuid-ossp" with schema oracle;

create function oracle.id(entity_key text) returns uuid language sql immutable strict as $$
    select oracle.uuid_generate_v5('6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11', entity_key)
$$;

-- Chicago wall-clock time to a moment. PostgreSQL reads a doubled hour as the later one and moves a missing hour forward.
create function oracle.latest(local timestamp) returns timestamptz language sql immutable as $$
    select local at time zone 'America/Chicago'
$$;
create function oracle.earliest(local timestamp) returns timestamptz language sql immutable as $$
    select least(local at time zone 'America/Chicago', (local - interval '1 hour') at time zone 'America/Chicago' + interval '1 hour')
$$;
create function oracle.is_gap(local timestamp) returns boolean language sql immutable as $$
    select (local at time zone 'America/Chicago') at time zone 'America/Chicago' <> local
$$;

create view oracle.oracle_patients as
with quarantined_profile as (
    select id from dispatch_user where trim(email) <> '' and trim(email) !~ '^[^@]+@[^@]+$'
), held_doctor as (
    select d.id from dispatch_doctor as d where d.user_id in (select id from quarantined_profile)
)
select oracle.id('patients:' || p.id) as id,
       oracle.id('doctors:' || d.id) as doctor_id,                 -- a doctor that never was: NULL
       oracle.id('profiles:' || p.created_by_id) as created_by,
       trim(regexp_replace(p.first_name || ' ' || p.last_name, '\s+', ' ', 'g')) as full_name,
       p.dob as birth_date,
       case p.sex when 'F' then 'female' when 'M' then 'male' when 'X' then 'other' end as sex,
       (array['active', 'inactive', 'deceased', 'archived'])[1 + p.status] as status,
       nullif(lower(trim(p.contact)), '') as contact,
       coalesce(p.mobile, p.phone)::text as phone,
       p.insurance::jsonb as insurance,
       p.allergies,
       p.missing_teeth,
       (p.balance_cents * 0.01)::numeric(12,2) as balance,
       p.vip = 'Y' as vip,
       oracle.earliest(p.registered) as registered_at,
       case when not oracle.is_gap(p.updated) then oracle.latest(p.updated) end as updated_at
from dispatch_patient as p
left join dispatch_doctor as d on d.id = p.doctor_id
where p.deleted_at is null
  and not oracle.is_gap(p.registered)
  and p.created_by_id not in (select id from quarantined_profile)
  and (d.id is null or d.id not in (select id from held_doctor));

create view oracle.oracle_orders as
with quarantined_profile as (
    select id from dispatch_user where trim(email) <> '' and trim(email) !~ '^[^@]+@[^@]+$'
)
select oracle.id('orders:' || o.id) as id,
       o.number::text as number,
       oracle.id('patients:' || o.patient_id) as patient_id,
       c.id::bigint as product_id,                                 -- a product that never was: NULL
       oracle.id('profiles:' || u.id) as ordered_by,
       case upper(o.status) when 'NEW' then 'draft' when 'PROD' then 'in_production' when 'SHIP' then 'shipped'
           when 'DONE' then 'completed' when 'CANC' then 'cancelled' end as status,
       (array['low', 'normal', 'urgent'])[1 + o.priority] as priority,
       o.rush = 1 as rush,
       (o.total_cents * 0.01)::numeric(12,2) as total,
       (coalesce(o.discount_cents, 0) * 0.01)::numeric(12,2) as discount,
       nullif(trim(o.notes), '') as note,
       o.meta,
       'legacy' as origin,
       oracle.earliest(o.placed) as placed_at,
       case when not oracle.is_gap(o.shipped) then oracle.latest(o.shipped) end as shipped_at
from orders_order as o
-- A patient that is missing, filtered, quarantined or held is not among the patients written, and its orders are not either.
join oracle.oracle_patients as p on p.id = oracle.id('patients:' || o.patient_id)
left join catalog_product as c on c.id = o.product_id
left join dispatch_user as u on u.id = o.ordered_by_id
where o.deleted_at is null
  and not oracle.is_gap(o.placed)
  and (u.id is null or u.id not in (select id from quarantined_profile));
