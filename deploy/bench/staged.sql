-- The demo's migration as it is often written by hand, for the benchmark: the legacy tables, staged in schema `stage` of the target's
-- database, become the target's rows by INSERT … SELECT with an id map as a plain table. The same values as Drover's, but rows that do
-- not fit are left out without a word. The target's keys are in place, as its schema has them.

create extension "uuid-ossp" with schema public;
create table public.id_map (entity text, legacy_key text, id uuid not null, primary key (entity, legacy_key));

create function pg_temp.new_id(entity_key text) returns uuid language sql immutable strict as $$
    select uuid_generate_v5('6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11', entity_key)
$$;
create function pg_temp.moment(local timestamp) returns timestamptz language sql immutable strict as $$
    select least(local at time zone 'America/Chicago', (local - interval '1 hour') at time zone 'America/Chicago' + interval '1 hour')
$$;
create function pg_temp.tidy(value text) returns text language sql immutable strict as $$
    select trim(regexp_replace(value, '\s+', ' ', 'g'))
$$;

analyze;
insert into id_map select 'offices', id, pg_temp.new_id('offices:' || id) from stage.dispatch_office where deleted_at is null;
insert into id_map select 'profiles', id, pg_temp.new_id('profiles:' || id) from stage.dispatch_user;
insert into id_map select 'doctors', id, pg_temp.new_id('doctors:' || id) from stage.dispatch_doctor;
insert into id_map select 'patients', id, pg_temp.new_id('patients:' || id) from stage.dispatch_patient where deleted_at is null;
insert into id_map select 'orders', id, pg_temp.new_id('orders:' || id) from stage.orders_order where deleted_at is null;
insert into id_map select 'comments', id, pg_temp.new_id('comments:' || id) from stage.dispatch_comment where not is_removed;
insert into id_map select 'jaws', order_id || ':' || side, pg_temp.new_id('jaws:' || order_id || ':' || side)
    from stage.orders_jaw where voided = 0;
insert into id_map select 'projects', id, pg_temp.new_id('projects:' || id) from stage.orders_case;
insert into id_map select 'treatment_plans', id, pg_temp.new_id('treatment_plans:' || id)
    from stage.dispatch_treatmentplan where is_deleted = 'N';
analyze id_map;

insert into products
select id, upper(trim(sku)), pg_temp.tidy(title), lower(trim(category))::product_category, price_cents * 0.01, upper(currency),
       attributes, sizes, active = 1, pg_temp.moment(created)
from stage.catalog_product
where lower(trim(category)) in ('aligner', 'retainer', 'kit', 'service')
on conflict do nothing;

insert into offices
select m.id, p.id, o.code, pg_temp.tidy(o.name),
       coalesce((array['midwest', 'south', 'west', 'northeast'])[o.region_code], 'other')::office_region,
       nullif(trim(o.phone), ''), o.street || ', ' || o.city, o.opening_hours::jsonb, o.tags, o.is_active = 'Y', o.opened,
       pg_temp.moment(o.created), 'dispatch_office', o.id::text, now()
from stage.dispatch_office as o
join id_map as m on m.entity = 'offices' and m.legacy_key = o.id::text
left join id_map as p on p.entity = 'offices' and p.legacy_key = o.parent_id::text
where o.deleted_at is null and pg_temp.tidy(o.name) <> ''
on conflict do nothing;

insert into profiles
select m.id, nullif(lower(trim(u.email)), ''), coalesce(nullif(pg_temp.tidy(u.first_name || ' ' || u.last_name), ''), 'Unnamed'),
       coalesce((array['admin', 'doctor', 'staff', 'lab'])[u.role], 'staff')::user_role, u.is_active, o.id,
       coalesce(u.locale, 'en_US'), u.preferences::jsonb,
       case when trim(u.login_count) ~ '^[+]?[0-9]{1,9}$' then trim(u.login_count)::integer end, pg_temp.moment(u.date_joined),
       pg_temp.moment(u.last_login)
from stage.dispatch_user as u
join id_map as m on m.entity = 'profiles' and m.legacy_key = u.id::text
left join id_map as o on o.entity = 'offices' and o.legacy_key = u.office_id::text
where u.email is null or trim(u.email) = '' or trim(u.email) ~ '^[^@]+@[^@]+$'
on conflict do nothing;

insert into doctors
select m.id, p.id, o.id, upper(trim(d.license_no)),
       (case upper(d.specialty) when 'GP' then 'general' when 'ORTHO' then 'orthodontics' when 'PEDO' then 'pediatric'
            when 'SURG' then 'surgery' end)::doctor_specialty,
       d.hourly_rate_cents * 0.01, d.accepts_new = 'Y', d.languages, d.bio, pg_temp.moment(d.created)
from stage.dispatch_doctor as d
join id_map as m on m.entity = 'doctors' and m.legacy_key = d.id::text
join id_map as pm on pm.entity = 'profiles' and pm.legacy_key = d.user_id::text
join profiles as p on p.id = pm.id
left join id_map as o on o.entity = 'offices' and o.legacy_key = d.office_id::text
where upper(d.specialty) in ('GP', 'ORTHO', 'PEDO', 'SURG')
on conflict do nothing;

insert into patients
select m.id, d.id, c.id, pg_temp.tidy(p.first_name || ' ' || p.last_name), p.dob,
       (case p.sex when 'F' then 'female' when 'M' then 'male' when 'X' then 'other' end)::patient_sex,
       (array['active', 'inactive', 'deceased', 'archived'])[1 + p.status]::patient_status,
       nullif(lower(trim(p.contact)), ''), coalesce(p.mobile, p.phone), p.insurance::jsonb, p.allergies, p.missing_teeth,
       p.balance_cents * 0.01, p.vip = 'Y', pg_temp.moment(p.registered), pg_temp.moment(p.updated)
from stage.dispatch_patient as p
join id_map as m on m.entity = 'patients' and m.legacy_key = p.id::text
join id_map as cm on cm.entity = 'profiles' and cm.legacy_key = p.created_by_id::text
join profiles as c on c.id = cm.id
left join id_map as dm on dm.entity = 'doctors' and dm.legacy_key = p.doctor_id::text
left join doctors as d on d.id = dm.id
where p.deleted_at is null and p.status between 0 and 3
on conflict do nothing;

insert into orders
select m.id, o.number, p.id, c.id, u.id,
       (case upper(o.status) when 'NEW' then 'draft' when 'PROD' then 'in_production' when 'SHIP' then 'shipped'
            when 'DONE' then 'completed' when 'CANC' then 'cancelled' end)::order_status,
       (array['low', 'normal', 'urgent'])[1 + o.priority]::order_priority, o.rush = 1, o.total_cents * 0.01,
       coalesce(o.discount_cents, 0) * 0.01, nullif(trim(o.notes), ''), o.meta, 'legacy', pg_temp.moment(o.placed),
       pg_temp.moment(o.shipped)
from stage.orders_order as o
join id_map as m on m.entity = 'orders' and m.legacy_key = o.id::text
join id_map as pm on pm.entity = 'patients' and pm.legacy_key = o.patient_id::text
join patients as p on p.id = pm.id
left join products as c on c.id = o.product_id
left join id_map as um on um.entity = 'profiles' and um.legacy_key = o.ordered_by_id::text
left join profiles as u on u.id = um.id
where o.deleted_at is null and o.priority between 0 and 2 and o.total_cents between 0 and 999999999999
  and upper(o.status) in ('NEW', 'PROD', 'SHIP', 'DONE', 'CANC')
on conflict do nothing;

insert into comments
select m.id, a.id, null, c.topic, coalesce((array['note', 'question', 'system'])[c.kind], 'note')::comment_kind, c.body,
       c.reactions::jsonb, pg_temp.moment(c.created), pg_temp.moment(c.edited)
from stage.dispatch_comment as c
join id_map as m on m.entity = 'comments' and m.legacy_key = c.id::text
left join id_map as am on am.entity = 'profiles' and am.legacy_key = c.author_id::text
left join profiles as a on a.id = am.id
where not c.is_removed and c.body <> '' and (c.author_id is null or a.id is not null)
on conflict do nothing;
update comments as c set parent_id = p.id
from stage.dispatch_comment as s
join id_map as m on m.entity = 'comments' and m.legacy_key = s.id::text
join id_map as pm on pm.entity = 'comments' and pm.legacy_key = s.parent_id::text
join comments as p on p.id = pm.id
where c.id = m.id;

insert into jaws
select m.id, o.id, (case j.side when 'L' then 'lower' when 'U' then 'upper' end)::jaw_side, p.id, c.id, j.teeth,
       j.stage_count, j.chart::jsonb, j.scanned at time zone 'UTC'
from stage.orders_jaw as j
join id_map as m on m.entity = 'jaws' and m.legacy_key = j.order_id || ':' || j.side
join id_map as om on om.entity = 'orders' and om.legacy_key = j.order_id::text
join orders as o on o.id = om.id
left join id_map as pm on pm.entity = 'patients' and pm.legacy_key = j.patient_id::text
left join patients as p on p.id = pm.id
left join products as c on c.id = j.product_id
where j.voided = 0 and j.side in ('L', 'U') and j.stage_count between -32768 and 32767
on conflict do nothing;

insert into projects
select m.id, pg_temp.tidy(c.title), u.id, o.id,
       (case c.state when 'closed' then 'closed' when 'hold' then 'on_hold' when 'open' then 'open' end)::project_state,
       c.budget_cents * 0.01, c.labels, c.starts, c.ends, c.archived = 'Y', pg_temp.moment(c.created)
from stage.orders_case as c
join id_map as m on m.entity = 'projects' and m.legacy_key = c.id::text
left join id_map as um on um.entity = 'profiles' and um.legacy_key = c.owner_id::text
left join profiles as u on u.id = um.id
left join id_map as o on o.entity = 'offices' and o.legacy_key = c.office_id::text
where c.state in ('closed', 'hold', 'open') and coalesce(c.budget_cents, 0) < 1000000000000 and (c.ends is null or c.starts is null or c.ends >= c.starts)
on conflict do nothing;

insert into project_members
select p.id, u.id, lower(x.role)::member_role, pg_temp.moment(x.joined)
from stage.orders_case_members as x
join id_map as pm on pm.entity = 'projects' and pm.legacy_key = x.case_id::text
join projects as p on p.id = pm.id
join id_map as um on um.entity = 'profiles' and um.legacy_key = x.user_id::text
join profiles as u on u.id = um.id
where lower(x.role) in ('lead', 'member', 'viewer')
on conflict do nothing;

insert into treatment_plans
select m.id, p.id, d.id, t.title,
       (case when t.finished is not null then 'finished' when t.approved = 'Y' then 'active' else 'draft' end)::plan_phase,
       t.goals::jsonb, t.steps, trim(t.est_months)::integer, t.fee_cents * 0.01, pg_temp.moment(t.created)
from stage.dispatch_treatmentplan as t
join id_map as m on m.entity = 'treatment_plans' and m.legacy_key = t.id::text
join id_map as pm on pm.entity = 'patients' and pm.legacy_key = t.patient_id::text
join patients as p on p.id = pm.id
left join id_map as dm on dm.entity = 'doctors' and dm.legacy_key = t.doctor_id::text
left join doctors as d on d.id = dm.id
where t.is_deleted = 'N' and trim(t.est_months) ~ '^[0-9]{1,3}$' and trim(t.est_months)::integer <= 120
on conflict do nothing;
