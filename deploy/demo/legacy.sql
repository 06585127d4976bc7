-- The legacy side of the demo: the tables of a dental-aligner clinic as a Django application of the 2010s leaves them.
-- Run first, on an empty database; legacy_data.sql fills the tables and then adds foreign keys and secondary indexes.
-- Plain SQL in one script without psql commands, so that any client can send it in one piece.
--
-- What makes it legacy: integer keys, timestamps without a time zone (Chicago wall-clock time), status codes, 'Y'/'N'
-- flags, money in cents, numbers kept as text, e-mails as they were typed, references nobody enforces, soft deletes.

create table dispatch_office (
    id            serial primary key,
    parent_id     integer,                       -- head office or region; dispatch_office
    code          varchar(16) not null unique,
    name          varchar(120) not null,
    region_code   smallint,                      -- 1 midwest, 2 south, 3 west, 4 northeast
    phone         varchar(40) not null,          -- Django: '' instead of NULL
    fax           varchar(40) not null,
    street        varchar(120) not null,
    city          varchar(80) not null,
    state         varchar(2),
    opening_hours json,
    tags          text[],
    is_active     char(1) not null,              -- 'Y' or 'N'
    opened        date,
    created       timestamp not null,
    deleted_at    timestamp                      -- soft delete
);

create table dispatch_user (
    id           serial primary key,
    password     varchar(128) not null,
    username     varchar(150) not null unique,
    first_name   varchar(80) not null,
    last_name    varchar(80) not null,
    email        varchar(254),
    is_active    boolean not null,
    is_staff     boolean not null,
    is_superuser boolean not null,
    role         smallint not null,              -- 1 admin, 2 doctor, 3 staff, 4 lab; 9 was used by an import
    office_id    integer,                        -- dispatch_office; never enforced
    locale       varchar(10) not null,
    preferences  json,
    login_count  varchar(12) not null,           -- a number, or '', or 'n/a'
    date_joined  timestamp not null,
    last_login   timestamp
);

create table dispatch_doctor (
    id                serial primary key,
    user_id           integer not null unique,   -- dispatch_user; enforced
    office_id         integer,                   -- dispatch_office; never enforced
    license_no        varchar(32) not null,
    specialty         varchar(8) not null,       -- GP, ORTHO, SURG, PEDO, sometimes in lower case
    hourly_rate_cents integer,
    accepts_new       char(1) not null,
    languages         text[],
    bio               text,
    created           timestamp not null
);

create table dispatch_patient (
    id              serial primary key,
    doctor_id       integer,                     -- dispatch_doctor; never enforced
    created_by_id   integer not null,            -- dispatch_user; enforced
    first_name      varchar(80) not null,
    last_name       varchar(80) not null,
    dob             date,
    sex             char(1),                     -- F, M, X, blank or NULL
    status          smallint not null,           -- 0 active, 1 inactive, 2 deceased, 3 archived
    contact         varchar(254) not null,       -- an e-mail or whatever was typed
    mobile          varchar(40),
    phone           varchar(40),
    ssn             varchar(11),
    insurance       json,
    allergies       text[],
    missing_teeth   integer[],
    balance_cents   integer not null,
    vip             char(1) not null,
    registered      timestamp not null,
    updated         timestamp,
    deleted_at      timestamp
);

create table catalog_product (
    id          serial primary key,
    sku         varchar(40) not null unique,
    title       varchar(200) not null,
    category    varchar(20) not null,            -- ' Aligner', 'RETAINER', 'kit', …
    price_cents integer not null,
    currency    varchar(3) not null,             -- 'usd' or 'USD'
    attributes  jsonb,
    sizes       integer[] not null,
    active      smallint not null,
    created     timestamp not null
);

create table orders_order (
    id             bigserial primary key,
    number         varchar(20) not null unique,
    patient_id     integer not null,             -- dispatch_patient; never enforced
    product_id     integer,                      -- catalog_product; never enforced
    ordered_by_id  integer,                      -- dispatch_user; never enforced
    status         varchar(8) not null,          -- NEW, PROD, SHIP, DONE, CANC, sometimes in lower case
    priority       smallint not null,            -- 0 low, 1 normal, 2 urgent
    rush           smallint not null,
    total_cents    bigint not null,
    discount_cents integer,
    notes          text not null,
    meta           jsonb,
    placed         timestamp not null,
    shipped        timestamp,
    deleted_at     timestamp
);

create table dispatch_comment (
    id         serial primary key,
    author_id  integer,                          -- dispatch_user; never enforced; NULL: written by the system
    parent_id  integer,                          -- dispatch_comment; enforced
    topic      varchar(40) not null,             -- 'order 123'
    kind       smallint not null,                -- 1 note, 2 question, 3 system
    body       text not null,
    reactions  json,
    is_removed boolean not null,
    created    timestamp not null,
    edited     timestamp
);

-- The key is (order, side): a table that was not made by Django.
create table orders_jaw (
    order_id    bigint not null,                 -- orders_order; enforced
    side        varchar(1) not null,             -- 'U' or 'L'
    patient_id  integer,                         -- dispatch_patient; never enforced
    product_id  integer,                         -- catalog_product; enforced
    teeth       integer[],
    stage_count integer not null,
    chart       json not null,
    scan_path   varchar(200) not null,
    scanned     timestamp not null,              -- the scanner writes UTC, unlike everything else
    voided      smallint not null,
    primary key (order_id, side)
);

-- "Projects" on the screen.
create table orders_case (
    id           serial primary key,
    title        varchar(200) not null,
    owner_id     integer,                        -- dispatch_user; never enforced
    office_id    integer,                        -- dispatch_office; never enforced
    state        varchar(10) not null,           -- open, hold, closed
    budget_cents bigint,
    labels       text[] not null,
    starts       date,
    ends         date,
    archived     char(1) not null,
    color        varchar(7) not null,            -- of the old screen
    sort_order   integer not null,               -- of the old screen
    created      timestamp not null
);

create table orders_case_members (
    id      serial primary key,
    case_id integer not null,                    -- orders_case; enforced
    user_id integer not null,                    -- dispatch_user; enforced
    role    varchar(10) not null,                -- LEAD, MEMBER, VIEWER
    joined  timestamp not null,
    unique (case_id, user_id)
);

create table dispatch_treatmentplan (
    id         serial primary key,
    patient_id integer not null,                 -- dispatch_patient; never enforced
    doctor_id  integer,                          -- dispatch_doctor; never enforced
    title      varchar(120) not null,
    goals      json not null,
    steps      text[] not null,
    est_months varchar(8) not null,              -- a number, mostly
    fee_cents  integer,
    approved   char(1) not null,
    finished   date,
    created    timestamp not null,
    is_deleted char(1) not null
);

-- What every Django database also has; nobody migrates it.
create table django_migrations (
    id      serial primary key,
    app     varchar(255) not null,
    name    varchar(255) not null,
    applied timestamp not null
);

create table django_content_type (
    id        serial primary key,
    app_label varchar(100) not null,
    model     varchar(100) not null,
    unique (app_label, model)
);
