-- The new side of the demo: a clean schema as one would write it for Supabase today. Run on an empty database; the
-- migration of plan.yaml fills it. Plain SQL in one script without psql commands.
--
-- UUID keys (products keep their integers), enums for codes, timestamptz, numeric money, foreign keys everywhere, row
-- level security on every table. The roles anon, authenticated and service_role are Supabase's; they are made if missing.

do $$
declare
    wanted record;
begin
    for wanted in select * from (values ('anon', 'nobypassrls'), ('authenticated', 'nobypassrls'), ('service_role', 'bypassrls')) as r (name, rls)
    loop
        if not exists (select from pg_roles where rolname = wanted.name) then
            begin
                execute format('create role %I nologin noinherit %s', wanted.name, wanted.rls);
            exception when duplicate_object or unique_violation then
                null;  -- another session was faster: roles belong to the whole server
            end;
        end if;
    end loop;
end
$$;

create type office_region as enum ('midwest', 'south', 'west', 'northeast', 'other');
create type user_role as enum ('admin', 'doctor', 'staff', 'lab');
create type doctor_specialty as enum ('general', 'orthodontics', 'surgery', 'pediatric');
create type patient_sex as enum ('female', 'male', 'other');
create type patient_status as enum ('active', 'inactive', 'deceased', 'archived');
create type product_category as enum ('aligner', 'retainer', 'kit', 'service');
create type order_status as enum ('draft', 'in_production', 'shipped', 'completed', 'cancelled');
create type order_priority as enum ('low', 'normal', 'urgent');
create type comment_kind as enum ('note', 'question', 'system');
create type jaw_side as enum ('upper', 'lower');
create type project_state as enum ('open', 'on_hold', 'closed');
create type member_role as enum ('lead', 'member', 'viewer');
create type plan_phase as enum ('draft', 'active', 'finished');

create table offices (
    id            uuid primary key,
    parent_id     uuid references offices,
    code          text not null unique,
    name          text not null check (name <> ''),
    region        office_region not null,
    phone         text,
    address       text not null,
    opening_hours jsonb,
    tags          text[],
    active        boolean not null default true,
    opened_on     date,
    created_at    timestamptz not null default now(),
    legacy_table  text,                          -- where the row came from
    legacy_id     text,
    imported_at   timestamptz                    -- the start of the run that brought it
);

create table profiles (
    id           uuid primary key,
    email        text unique check (email = lower(email) and email like '_%@_%'),
    display_name text not null,
    role         user_role not null,
    active       boolean not null,
    office_id    uuid references offices,
    locale       text not null default 'en_US',
    preferences  jsonb,
    login_count  integer check (login_count >= 0),
    joined_at    timestamptz not null,
    last_seen_at timestamptz
);

create table doctors (
    id            uuid primary key,
    profile_id    uuid not null unique references profiles,
    office_id     uuid references offices,
    license_no    text not null unique,
    specialty     doctor_specialty not null,
    hourly_rate   numeric(12,2),
    accepts_new   boolean not null,
    languages     text[],
    bio           text,
    created_at    timestamptz not null
);

create table patients (
    id            uuid primary key,
    doctor_id     uuid references doctors,
    created_by    uuid not null references profiles,
    full_name     text not null,
    birth_date    date,
    sex           patient_sex,
    status        patient_status not null,
    contact       text,
    phone         text,
    insurance     jsonb,
    allergies     text[],
    missing_teeth integer[],
    balance       numeric(12,2) not null,
    vip           boolean not null,
    registered_at timestamptz not null,
    updated_at    timestamptz
);

create table products (
    id         bigint primary key,               -- printed on boxes: the integers stay
    sku        text not null unique,
    name       text not null,
    category   product_category not null,
    price      numeric(12,2) not null check (price > 0),
    currency   text not null check (currency ~ '^[A-Z]{3}$'),
    attributes jsonb,
    sizes      integer[] not null,
    active     boolean not null,
    created_at timestamptz not null
);

create table orders (
    id         uuid primary key,
    number     text not null unique,
    patient_id uuid not null references patients,
    product_id bigint references products,
    ordered_by uuid references profiles,
    status     order_status not null,
    priority   order_priority not null,
    rush       boolean not null,
    total      numeric(12,2) not null check (total >= 0),
    discount   numeric(12,2) not null default 0,
    note       text,
    meta       jsonb,
    origin     text not null,                    -- which system took the order
    placed_at  timestamptz not null,
    shipped_at timestamptz
);

create table comments (
    id         uuid primary key,
    author_id  uuid references profiles,         -- NULL: written by the system
    parent_id  uuid references comments,
    topic      text not null,
    kind       comment_kind not null,
    body       text not null check (body <> ''),
    reactions  jsonb,
    created_at timestamptz not null,
    edited_at  timestamptz
);

create table jaws (
    id         uuid primary key,
    order_id   uuid not null references orders,
    side       jaw_side not null,
    patient_id uuid references patients,
    product_id bigint references products,
    teeth      integer[],
    stages     smallint not null,
    chart      jsonb not null,
    scanned_at timestamptz not null,
    unique (order_id, side)
);

create table projects (
    id         uuid primary key,
    title      text not null,
    owner_id   uuid references profiles,
    office_id  uuid references offices,
    state      project_state not null,
    budget     numeric(12,2),
    labels     text[] not null,
    starts_on  date,
    ends_on    date,
    archived   boolean not null,
    created_at timestamptz not null,
    constraint projects_dates_check check (ends_on >= starts_on)
);

create table project_members (
    project_id uuid not null references projects on delete cascade,
    profile_id uuid not null references profiles on delete cascade,
    role       member_role not null,
    joined_at  timestamptz not null,
    primary key (project_id, profile_id)
);

create table treatment_plans (
    id         uuid primary key,
    patient_id uuid not null references patients,
    doctor_id  uuid references doctors,
    title      text not null,
    phase      plan_phase not null,
    goals      jsonb not null,
    steps      text[] not null,
    months     integer not null check (months between 0 and 120),
    fee        numeric(12,2),
    created_at timestamptz not null
);

create index on offices (parent_id);
create index on profiles (office_id);
create index on doctors (office_id);
create index on patients (doctor_id);
create index on patients (created_by);
create index patients_name_idx on patients (lower(full_name));
create index on orders (patient_id, placed_at desc);
create index on orders (product_id);
create index on orders (ordered_by);
create index orders_open_idx on orders (placed_at) where status in ('draft', 'in_production');
create index on comments (author_id, created_at);
create index on comments (parent_id);
create index on jaws (patient_id);
create index on jaws (product_id);
create index on projects (owner_id);
create index on projects (office_id);
create index projects_labels_idx on projects using gin (labels);
create index on project_members (profile_id);
create index on treatment_plans (patient_id);
create index on treatment_plans (doctor_id);

-- Who is asking: the subject of the request's token, as PostgREST passes it on.
create function current_profile_id() returns uuid language sql stable as $$
    select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$$;

alter table offices enable row level security;
alter table profiles enable row level security;
alter table doctors enable row level security;
alter table patients enable row level security;
alter table products enable row level security;
alter table orders enable row level security;
alter table comments enable row level security;
alter table jaws enable row level security;
alter table projects enable row level security;
alter table project_members enable row level security;
alter table treatment_plans enable row level security;

create policy "anyone reads active offices" on offices for select to anon, authenticated using (active);
create policy "members read profiles" on profiles for select to authenticated using (true);
create policy "everyone edits the own profile" on profiles for update to authenticated
    using (id = current_profile_id()) with check (id = current_profile_id());
create policy "members read doctors" on doctors for select to authenticated using (true);
create policy "doctors read their patients" on patients for select to authenticated
    using (exists (select from doctors as d where d.id = doctor_id and d.profile_id = current_profile_id()));
create policy "anyone reads active products" on products for select to anon, authenticated using (active);
create policy "people read what they ordered" on orders for select to authenticated using (ordered_by = current_profile_id());
create policy "members read comments" on comments for select to authenticated using (true);
create policy "authors edit their comments" on comments for update to authenticated
    using (author_id = current_profile_id()) with check (author_id = current_profile_id());
create policy "jaws follow their order" on jaws for select to authenticated
    using (exists (select from orders as o where o.id = order_id));
create policy "owners and members read projects" on projects for select to authenticated
    using (owner_id = current_profile_id()
        or exists (select from project_members as m where m.project_id = projects.id and m.profile_id = current_profile_id()));
create policy "members read their memberships" on project_members for select to authenticated using (profile_id = current_profile_id());
create policy "plans follow their patient" on treatment_plans for select to authenticated
    using (exists (select from patients as p where p.id = patient_id));

grant usage on schema public to anon, authenticated, service_role;
grant select on offices, products to anon;
grant select, insert, update, delete on all tables in schema public to authenticated;
grant all on all tables in schema public to service_role;
