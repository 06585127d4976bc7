-- Fills the legacy clinic of legacy.sql: run once, after it. The session setting demo.scale says how much:
--     set demo.scale = '1';      -- about 250,000 rows; 4 is about a million; below 0.01 nothing gets smaller
-- The same scale gives the same rows on every run and every machine: no random(), no clock, no hash of the server's.
--
-- Everything happens in daylight (8:00 to 18:00) except where a row is made to fall into a clock change, so the hours
-- that daylight saving time skips (2019-03-10 02:30) or doubles (2019-11-03 01:30) occur exactly where a comment says so.
-- "bad" marks rows that the migration must set aside; all others go through.

set jit = off;  -- compiling these statements takes longer than running them

create temp table demo_size as
select greatest(12, (200 * s)::int)   as offices,
       greatest(120, (12000 * s)::int) as users,
       greatest(20, (2000 * s)::int)   as doctors,
       greatest(400, (40000 * s)::int) as patients,
       greatest(40, (300 * s)::int)    as products,
       greatest(600, (60000 * s)::int) as orders,
       greatest(550, (55000 * s)::int) as comments,
       greatest(40, (4000 * s)::int)   as cases,
       greatest(150, (15000 * s)::int) as plans
from (select current_setting('demo.scale')::numeric as s) as setting;

-- A number in [0, below) that looks random and depends on n and salt alone.
create function pg_temp.pick(n bigint, salt int, below int) returns int language sql immutable as $$
    select (((((((n * 1640531527 + salt * 40503) & 2147483647) # (((n * 1640531527 + salt * 40503) & 2147483647) >> 15))
        * 1103515245) & 281474976710655) >> 16) % below)::int
$$;

-- A moment between 8:00 and 18:00 of a day in 2012 to 2022.
create function pg_temp.moment(n bigint, salt int) returns timestamp language sql immutable as $$
    select timestamp '2012-01-02 08:00' + pg_temp.pick(n, salt, 3900) * interval '1 day'
        + pg_temp.pick(n, salt + 1, 36000) * interval '1 second'
$$;

create function pg_temp.first_name(n bigint, salt int) returns text language sql immutable as $$
    select ('{Anna,José,Łukasz,Zoë,Mary Ann,李,Søren,Ayşe,Michał,Renée,Olga,Nguyễn,James,Ana-Lucía,Björn,Fatima,伸子,Chloé,Dwayne,Siobhán}'::text[])
        [1 + pg_temp.pick(n, salt, 20)]
$$;

create function pg_temp.last_name(n bigint, salt int) returns text language sql immutable as $$
    select ('{Nowak,García,Wójcik,O''Brien,van der Berg,漢字,Müller,Smith,Yılmaz,Nguyễn,Dubois,Żółć,Johnson,Ångström,Peña,Kowalski,Lee,Ferreira,D''Angelo,Ivanova,Schmidt,Núñez,Washington}'::text[])
        [1 + pg_temp.pick(n, salt, 23)]
$$;

insert into dispatch_office
select n,
       case when n <= 4 then null when n % 12 = 0 then 7 else 1 + n % 4 end,      -- office 7 is deleted below
       'OFF-' || lpad(n::text, 5, '0'),
       case n % 5 when 0 then '  Clinic  ' when 1 then 'Dental Studio ' else 'Orthodontics ' end
           || (array['Łódź Street', 'Lakeside', 'São Paulo Ave', 'Oak Park', 'Niño''s', '東京 Plaza', 'Old Town'])[1 + n % 7] || ' ' || n,
       nullif(n % 6, 5),
       case when n % 9 = 0 then '' else '(312) 555-' || lpad((n % 10000)::text, 4, '0') end,
       '',
       (100 + n) || ' Main St',
       (array['Chicago', 'Austin', 'Denver', 'Boston'])[1 + n % 4],
       case when n % 8 <> 0 then (array['IL', 'TX', 'CO', 'MA'])[1 + n % 4] end,
       case when n % 4 <> 0 then json_build_object('mon', '8-18', 'sat', case when n % 2 = 0 then '9-13' end) end,
       case when n % 3 <> 0 then array['tag ' || n % 7, 'ünïcode', null] end,
       case when n % 11 = 0 then 'N' else 'Y' end,
       case when n % 10 <> 0 then date '1999-05-01' + n * 13 % 5000 end,
       pg_temp.moment(n, 10),
       case when n % 12 = 7 then timestamp '2020-06-30 12:00' end      -- soft-deleted: the plan leaves these behind
from demo_size, generate_series(1, offices) as n;

insert into dispatch_user
select n,
       'pbkdf2_sha256$150000$' || md5(n::text),
       'user' || n,
       pg_temp.first_name(n, 20),
       case when n % 211 = 5 then '' else pg_temp.last_name(n, 21) end,
       case
           when n = 7 then 'not-an-email'                                         -- bad: no @
           when n = 9 then 'dr.smith at clinic.example'                           -- bad, and a doctor: see held rows below
           when n % 3003 = 22 then 'two@signs' || n || '@clinic.example'          -- bad: two @
           when n % 50 = 11 then null
           when n % 50 = 12 then '   '
           when n % 7 = 0 then '  User.' || n || '@Clinic.Example '
           when n % 5 = 0 then 'USER.' || n || '@CLINIC.EXAMPLE'
           else 'user.' || n || '@clinic.example'
       end,
       n % 13 <> 0, n % 20 = 0, n = 1,
       case when n % 3 = 0 then 2 when n % 500 = 1 then 1 when n % 701 = 2 then 9 when n % 4 = 1 then 4 else 3 end,
       case when n % 17 = 0 then null
            when n % 401 = 3 then 900000 + n                                      -- an office that never was
            else 1 + pg_temp.pick(n, 22, offices) end,                            -- some of them deleted
       (array['en_US', 'es_MX', 'pl_PL'])[1 + n % 3],
       case when n % 6 <> 0 then json_build_object('theme', case n % 2 when 0 then 'dark' else 'light' end,
           'signature', pg_temp.first_name(n, 20) || ' 🦷', 'inbox', json_build_array(n % 9, null, true)) end,
       case when n % 31 = 0 then '' when n % 307 = 4 then 'n/a' when n % 10 = 0 then ' ' || n % 977 else (n % 977)::text end,
       case when n % 997 = 30 then timestamp '2019-11-03 01:30'                   -- twice on that night's clocks
            else pg_temp.moment(n, 23) end,
       case when n % 4 = 0 then null
            when n % 1501 = 41 then timestamp '2020-03-08 02:15'                  -- not on that night's clocks
            when n % 1499 = 42 then timestamp '2020-11-01 01:05'
            else pg_temp.moment(n, 25) end
from demo_size, generate_series(1, users) as n;

insert into dispatch_doctor
select n,
       n * 3,
       case when n % 20 = 0 then null when n % 211 = 6 then 800000 + n else 1 + pg_temp.pick(n, 30, offices) end,
       case when n % 9 = 0 then ' il-' else 'IL-' end || lpad(n::text, 6, '0') || case when n % 9 = 0 then ' ' else '' end,
       (array['GP', 'ORTHO', 'SURG', 'PEDO', 'ortho'])[1 + n % 5],
       case when n % 14 <> 0 then 9000 + n * 37 % 20001 end,
       case when n % 3 = 0 then 'N' else 'Y' end,
       case n % 4 when 0 then null when 1 then '{}' when 2 then '{English,Español}' else '{English,Polski,中文}' end::text[],
       case when n % 5 <> 0 then 'Dr. ' || pg_temp.last_name(n * 3, 21) || E' studied in Kraków.\nLoves "quotes", commas\tand tabs \\ 😀.' end,
       case when n % 1009 = 8 then timestamp '2018-11-04 01:45' else pg_temp.moment(n, 31) end
from demo_size, generate_series(1, doctors) as n;

insert into dispatch_patient
select n,
       case when n % 29 = 0 then null
            when n % 499 = 12 then 700000 + n                                     -- a doctor that never was
            else 1 + pg_temp.pick(n, 40, doctors) end,                            -- children of doctor 3 are held, see user 9
       1 + pg_temp.pick(n, 41, users),
       case when n % 19 = 0 then ' ' || pg_temp.first_name(n, 42) || ' ' else pg_temp.first_name(n, 42) end,
       pg_temp.last_name(n, 43),
       case when n % 33 <> 0 then date '1940-01-01' + pg_temp.pick(n, 44, 27000) end,
       case n % 15 when 0 then ' ' when 1 then null when 2 then 'X' else case n % 2 when 0 then 'F' else 'M' end end,
       case when n % 40 = 0 then 3 when n % 111 = 0 then 2 when n % 10 = 0 then 1 else 0 end,
       case when n % 6 = 0 then '' when n % 37 = 0 then 'call his MOTHER' when n % 4 = 0 then ' P' || n || '@Mail.Example ' else 'p' || n || '@mail.example' end,
       case when n % 3 <> 0 then '+1 312 555 ' || lpad((n % 10000)::text, 4, '0') end,
       case when n % 5 <> 0 then '312-555-' || lpad((n * 7 % 10000)::text, 4, '0') end,
       case when n % 2 = 0 then lpad((n % 900)::text, 3, '0') || '-00-' || lpad((n % 10000)::text, 4, '0') end,
       case when n % 4 <> 0 then json_build_object('payer', (array['Aetna', 'Delta Dental', 'ŻUS'])[1 + n % 3], 'member', 'M' || n, 'max', n % 2000) end,
       case n % 6 when 0 then null when 1 then '{latex}' when 2 then '{penicillin,"a, \"quoted\" one"}' else '{}' end::text[],
       case when n % 8 = 0 then array[18, 28, 38, 48] when n % 8 = 1 then '{}'::int[] when n % 8 = 2 then array[11 + n % 8] end,
       pg_temp.pick(n, 45, 500000) - 20000,
       case when n % 25 = 0 then 'Y' else 'N' end,
       case when n = 13 or n % 8009 = 101 then timestamp '2019-03-10 02:30'       -- bad: not on that night's clocks
            when n % 1000 = 77 then timestamp '2019-11-03 01:30' + n * interval '1 microsecond'
            else pg_temp.moment(n, 46) end,
       case when n % 3 = 0 then null
            when n % 1200 = 79 then timestamp '2021-03-14 02:59:59.999999'        -- a gap that the plan sets to NULL
            when n % 1100 = 80 then timestamp '2021-11-07 01:00'
            else pg_temp.moment(n, 48) end,
       case when n % 97 = 50 then timestamp '2021-01-15 09:00' end
from demo_size, generate_series(1, patients) as n;

insert into catalog_product
select n,
       upper(substr(md5(n::text), 1, 4)) || '-' || n,
       case when n % 3 = 0 then ' Clear  aligner ' when n % 3 = 1 then 'Night guard ' else 'Whitening kit ✨ ' end || n,
       (array[' Aligner', 'RETAINER', 'kit', 'Service '])[1 + n % 4],
       500 + n * 7919 % 250000,
       case when n % 5 = 0 then 'usd' else 'USD' end,
       case when n % 7 <> 0 then jsonb_build_object('shade', 'A' || n % 4, 'weight', round(n * 0.37, 2), 'parts', jsonb_build_array(n, null)) end,
       case n % 3 when 0 then '{}' when 1 then '{1,2,3}' else '{10,NULL,30}' end::int[],
       case when n % 10 = 0 then 0 else 1 end,
       pg_temp.moment(n, 50)
from demo_size, generate_series(1, products) as n;

insert into orders_order
select n,
       'A' || lpad(n::text, 8, '0'),
       patient_id,
       case when n % 12 = 0 then null when n % 1999 = 7 then 60000 + n else 1 + pg_temp.pick(n, 61, products) end,
       case when n % 6 = 0 then null when n % 2503 = 9 then 500000 + n else 1 + pg_temp.pick(n, 62, users) end,
       (array['NEW', 'PROD', 'SHIP', 'DONE', 'CANC', 'done'])[1 + pg_temp.pick(n, 63, 6)],
       case when n % 10 = 0 then 2 when n % 3 = 0 then 0 else 1 end,
       case when n % 20 = 0 then 1 else 0 end,
       10000 + pg_temp.pick(n, 64, 900000),
       case when n % 4 = 0 then pg_temp.pick(n, 65, 10000) end,
       case when n % 3 <> 0 then '' when n % 2 = 0 then ' ships to   the "back door" – 50 % off ' else E'naïve café\nsecond line ' || n end,
       case when n % 5 <> 0 then jsonb_build_object('channel', (array['web', 'fax', 'téléphone'])[1 + n % 3], 'attempts', n % 4,
           'coupon', case when n % 7 = 0 then 'ŻÓŁW' || n end) end,
       case when n = 18 or n % 12007 = 203 then timestamp '2018-03-11 02:05' + n % 50 * interval '1 minute'   -- bad: a gap
            when n % 1300 = 87 then timestamp '2017-11-05 01:59:59'
            else pg_temp.moment(n, 66) end,
       case when n % 3 = 0 then null
            when n % 1700 = 89 then timestamp '2016-03-13 02:00'                  -- a gap that the plan sets to NULL
            when n % 1600 = 91 then timestamp '2016-11-06 01:20'
            else pg_temp.moment(n, 68) end,
       -- Deleting a patient deleted the orders, except for one now and then.
       case when n % 20011 <> 41 and patient_id % 97 = 50 and patient_id <= patients then timestamp '2021-01-15 09:00' end
from demo_size,
     lateral (select n,
                     case when n = 29 or n % 15013 = 331 then 600000000 + n       -- bad: a patient that never was
                          when n % 20011 = 41 then 50                             -- bad: a patient that was deleted
                          else 1 + pg_temp.pick(n, 60, patients) end as patient_id
              from generate_series(1, orders) as n) as o;

insert into dispatch_comment
select n,
       case when n = 19 or n % 11003 = 301 then 400000000 + n                     -- bad: an author that never was
            when n % 15 = 0 then null
            else 1 + pg_temp.pick(n, 70, users) end,
       case when n = 20 then 19                                                   -- held: the answer to a bad one
            when n % 503 = 101 then n - 1                                         -- the answer to a removed one
            when n > 10 and n % 3 = 0 then n - 1 - pg_temp.pick(n, 71, 9) end,
       'order ' || 1 + pg_temp.pick(n, 72, orders),
       1 + n % 3,
       (array['Please call back', 'Scan is blurry 😕', 'Zażółć gęślą jaźń', 'approved', '請確認', E'multi\nline\ttext'])[1 + n % 6]
           || ' #' || n || repeat(' and so on', pg_temp.pick(n, 73, 12)),
       case when n % 4 = 0 then json_build_object('👍', n % 5, 'seen_by', json_build_array(n % 11)) end,
       n % 503 = 100,                                                             -- removed: the plan leaves these behind
       case when n = 31 or n % 18013 = 409 then timestamp '2015-03-08 02:45'      -- bad: a gap
            when n % 1801 = 99 then timestamp '2015-11-01 01:15'
            else pg_temp.moment(n, 74) end,
       case when n % 9 = 0 then pg_temp.moment(n, 76) + interval '400 days' end
from demo_size, generate_series(1, comments) as n;

insert into orders_jaw
select o.id, side,
       case when o.id % 10 <> 3 then o.patient_id end,
       case when o.id % 4 <> 1 then 1 + pg_temp.pick(o.id, 80 + ascii(side), products) end,
       case when o.id % 11 = 0 then null when side = 'U' then '{11,12,13,21,22}' else '{31,32,41}' end::int[],
       case when side = 'U' and o.id % 20014 = 24 or side = 'L' and o.id = 36 then 99999   -- bad: does not fit a smallint
            else 4 + pg_temp.pick(o.id, 82, 40) end,
       json_build_object('arch', side, 'notes', pg_temp.first_name(o.id, 83), 'ratio', o.id % 100 / 8.0),
       '/var/scans/' || o.id || '-' || side || '.stl',
       o.placed + interval '30 hours',
       case when o.deleted_at is null then 0 else 1 end
from demo_size, orders_order as o, (values ('U', 2), ('L', 3)) as sides (side, every)
where o.id % every = 0
order by o.id, side;

insert into orders_case
select n,
       case when n % 4 = 0 then '  Case ' else 'Case ' end || (array['smile', 'façade', '改善', 'retreat'])[1 + n % 4] || ' ' || n,
       case when n % 8 = 0 then null when n % 301 = 10 then 300000 + n else 1 + pg_temp.pick(n, 90, users) end,
       case when n % 9 = 0 then null else 1 + pg_temp.pick(n, 91, offices) end,
       (array['open', 'hold', 'closed', 'closed'])[1 + n % 4],
       case when n % 5 <> 0 then n::bigint * 104729 % 90000000 end,
       case n % 3 when 0 then '{}' when 1 then '{urgent,"two words"}' else '{ś,urgent}' end::text[],
       date '2014-01-01' + n % 3000,
       case when n in (5, 11) then date '2013-06-01'                              -- bad: ends before it starts
            when n % 3 <> 0 then date '2014-02-01' + n % 3000 + n % 400 end,
       case when n % 7 = 0 then 'Y' else 'N' end,
       '#' || substr(md5(n::text), 1, 6),
       n % 50,
       pg_temp.moment(n, 92)
from demo_size, generate_series(1, cases) as n;

-- Three different members for each case.
insert into orders_case_members
select (c - 1) * 3 + k, c, 1 + (pg_temp.pick(c, 95, users) + k * 7) % users,
       (array['LEAD', 'MEMBER', 'VIEWER'])[k],
       pg_temp.moment(c * 3 + k, 96)
from demo_size, generate_series(1, cases) as c, generate_series(1, 3) as k;

insert into dispatch_treatmentplan
select n,
       1 + pg_temp.pick(n, 100, patients),
       case when n % 7 = 0 then null when n % 601 = 8 then 200000 + n else 1 + pg_temp.pick(n, 101, doctors) end,
       (array['Crowding', 'Open bite', 'Überbiss', 'Diastema'])[1 + n % 4] || ' – plan ' || n,
       json_build_array(json_build_object('goal', 'align', 'priority', n % 3), json_build_object('goal', 'przód')),
       array['scan', 'stage ' || n % 30, 'retain'],
       case when n = 23 or n % 5003 = 61 then 'a year'                            -- bad: not a number
            when n % 4 = 0 then ' ' || 3 + n % 33 else (3 + n % 33)::text end,
       case when n % 10 <> 0 then 50000 + pg_temp.pick(n, 102, 600000) end,
       case when n % 3 = 0 then 'N' else 'Y' end,
       case when n % 6 = 1 then date '2015-03-03' + n % 2500 end,
       pg_temp.moment(n, 103),
       'N'
from demo_size, generate_series(1, plans) as n;

-- Deleting a patient deleted the plans too.
update dispatch_treatmentplan as t set is_deleted = 'Y'
from dispatch_patient as p where p.id = t.patient_id and p.deleted_at is not null;

insert into django_migrations (app, name, applied)
values ('contenttypes', '0001_initial', '2012-01-02 08:00'), ('dispatch', '0001_initial', '2012-01-02 08:00'),
       ('orders', '0001_initial', '2012-01-02 08:01'), ('dispatch', '0002_soft_delete', '2016-05-09 17:40');
insert into django_content_type (app_label, model)
values ('dispatch', 'office'), ('dispatch', 'user'), ('dispatch', 'patient'), ('orders', 'order'), ('orders', 'case');

-- The rows above named their keys; the sequences follow.
select setval('dispatch_office_id_seq', offices), setval('dispatch_user_id_seq', users), setval('dispatch_doctor_id_seq', doctors),
       setval('dispatch_patient_id_seq', patients), setval('catalog_product_id_seq', products), setval('orders_order_id_seq', orders),
       setval('dispatch_comment_id_seq', comments), setval('orders_case_id_seq', cases),
       setval('orders_case_members_id_seq', cases * 3), setval('dispatch_treatmentplan_id_seq', plans)
from demo_size;

drop table demo_size;
drop function pg_temp.pick, pg_temp.moment, pg_temp.first_name, pg_temp.last_name;

-- The foreign keys that somebody did declare, as Django declares them.
alter table dispatch_office add constraint dispatch_office_parent_id_fk foreign key (parent_id) references dispatch_office deferrable initially deferred;
alter table dispatch_doctor add constraint dispatch_doctor_user_id_fk foreign key (user_id) references dispatch_user deferrable initially deferred;
alter table dispatch_patient add constraint dispatch_patient_created_by_id_fk foreign key (created_by_id) references dispatch_user deferrable initially deferred;
alter table dispatch_comment add constraint dispatch_comment_parent_id_fk foreign key (parent_id) references dispatch_comment deferrable initially deferred;
alter table orders_jaw add constraint orders_jaw_order_id_fk foreign key (order_id) references orders_order deferrable initially deferred;
alter table orders_jaw add constraint orders_jaw_product_id_fk foreign key (product_id) references catalog_product deferrable initially deferred;
alter table orders_case_members add constraint orders_case_members_case_id_fk foreign key (case_id) references orders_case deferrable initially deferred;
alter table orders_case_members add constraint orders_case_members_user_id_fk foreign key (user_id) references dispatch_user deferrable initially deferred;

-- And the indexes that its models ask for.
create index dispatch_patient_doctor_id_idx on dispatch_patient (doctor_id);
create index orders_order_patient_id_idx on orders_order (patient_id);
create index dispatch_comment_author_id_idx on dispatch_comment (author_id);
create index dispatch_treatmentplan_patient_id_idx on dispatch_treatmentplan (patient_id);

reset jit;
analyze;
