//! Columns of every type, and values that are easy to lose.

/// Column by column: its name, its type, and three values.
pub const COLUMNS: &[(&str, &str, [&str; 3])] = &[
    ("c_mood", "mood", ["'so so'", "'it''s, {ok}'", "null"]),
    (
        "c_moods",
        "mood[]",
        [r#"'{sad,"Very \"happy\"",null}'"#, "'{}'", "null"],
    ),
    ("c_posint", "posint", ["1", "2147483647", "null"]),
    (
        "c_posints",
        "posint[]",
        ["'{1,2,null}'", "'[0:1]={1,2}'", "null"],
    ),
    ("c_code", "code", ["'abc'", "''", "'x'"]),
    ("c_verse", "verse", ["'so so'", "'Very \"happy\"'", "null"]),
    (
        "c_pair",
        "pair",
        [
            r#"row(1, 'a "b" \ ,(', 'so so')"#,
            "row(null, null, null)",
            "null",
        ],
    ),
    (
        "c_pairs",
        "pair[]",
        [
            r#"array[row(1, '', 'sad'), null, row(2, null, 'it''s, {ok}')]::pair[]"#,
            "'{}'",
            "null",
        ],
    ),
    (
        "c_sound",
        "sound_pair",
        ["row(1, 'x', null)", "row(7, '', 'sad')", "null"],
    ),
    (
        "c_nest",
        "nest",
        [
            r#"row(row(1, 'it''s', null), array[row(2, E'\n', 'sad')]::pair[], '2020-01-01 12:00+05', '-1 mon 2 days -03:04:05.678', 'NaN')"#,
            "row(null, '{}', '-infinity', '0', '-0')",
            "null",
        ],
    ),
    (
        "c_floatrange",
        "floatrange",
        ["'[1.5,2)'", "'empty'", "'(,)'"],
    ),
    (
        "c_floatranges",
        "floatranges",
        ["'{[1.5,2),[3,4]}'", "'{}'", "null"],
    ),
    (
        "c_floatrange_list",
        "floatrange[]",
        [r#"'{"[1,2]",empty}'"#, "'{}'", "null"],
    ),
    (
        "c_hstore",
        "{ext}.hstore",
        [r#"'a=>1, "b c"=>NULL, "\"q\""=>""'"#, "''", "null"],
    ),
    (
        "c_hstores",
        "{ext}.hstore[]",
        [r#"array['a=>1', null]::{ext}.hstore[]"#, "'{}'", "null"],
    ),
    ("c_citext", "{ext}.citext", ["'AbC'", "''", "null"]),
    (
        "c_citexts",
        "{ext}.citext[]",
        ["'{AbC,abc}'", "'{}'", "null"],
    ),
    (
        "c_ltree",
        "{ext}.ltree",
        ["'Top.Science.Astronomy'", "''", "null"],
    ),
    (
        "c_lquery",
        "{ext}.lquery",
        ["'*.Astro*@.!pictures'", "'*'", "null"],
    ),
    ("c_cube", "{ext}.cube", ["'(1,2),(3,4.5)'", "'(0)'", "null"]),
    (
        "c_ean13",
        "{ext}.ean13",
        ["'978-0-11-000222-4'", "'220-035630288-1'", "null"],
    ),
    ("c_regclass", "regclass", ["'pg_class'", "'thing'", "null"]),
    (
        "c_regtypes",
        "regtype[]",
        ["'{integer,mood}'", "'{}'", "null"],
    ),
    (
        "c_acl",
        "aclitem",
        ["'=r/postgres'", "'postgres=arwdDxt/postgres'", "null"],
    ),
    ("c_bytea", "bytea", [r"'\x00ff5c27'", "''", "null"]),
    ("c_bit", "bit(5)", ["B'10110'", "B'00000'", "null"]),
    ("c_varbit", "bit varying(9)", ["B'101'", "B''", "null"]),
    (
        "c_inet",
        "inet",
        ["'192.168.0.1/24'", "'::ffff:1.2.3.4/96'", "null"],
    ),
    (
        "c_cidr",
        "cidr",
        ["'10.0.0.0/8'", "'2001:db8::/32'", "null"],
    ),
    (
        "c_macaddr",
        "macaddr",
        ["'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'", "null"],
    ),
    (
        "c_macaddr8",
        "macaddr8",
        [
            "'08:00:2b:01:02:03:04:05'",
            "'00:00:00:00:00:00:00:00'",
            "null",
        ],
    ),
    (
        "c_interval",
        "interval",
        [
            "'1 year -2 mons 3 days -04:05:06.789'",
            "'-178000000 years'",
            "'0'",
        ],
    ),
    (
        "c_money",
        "money",
        ["'-92233720368547758.08'", "'12.34'", "null"],
    ),
    (
        "c_tsvector",
        "tsvector",
        [r#"'fat:2,4A cat:3B ''q x'':1'"#, "''", "null"],
    ),
    (
        "c_tsquery",
        "tsquery",
        ["'fat & (rat:AB* | !cat) <-> x'", "''", "null"],
    ),
    (
        "c_xml",
        "xml",
        [
            r#"'<a b="ü">&amp;<![CDATA[x]]></a>'"#,
            "'text only'",
            "null",
        ],
    ),
    (
        "c_json",
        "json",
        [
            r#"'{"b" :1, "a":[1.10,null], "b":2}'"#,
            "'  1e400'",
            "'null'",
        ],
    ),
    (
        "c_jsonb",
        "jsonb",
        [r#"'{"b":1.10,"a":"\ud83d\ude00"}'"#, "'1e400'", "'null'"],
    ),
    (
        "c_jsons",
        "json[]",
        [r#"array['{ }', null]::json[]"#, "'{}'", "null"],
    ),
    ("c_name", "name", ["'Name with \"quotes\"'", "''", "null"]),
    ("c_oid", "oid", ["4294967295", "0", "null"]),
    ("c_char", "\"char\"", ["'a'", "''", "null"]),
    ("c_int4range", "int4range", ["'[1,5)'", "'empty'", "'(,5)'"]),
    (
        "c_tstzrange",
        "tstzrange",
        ["'[2020-01-01 00:00+05,infinity)'", "'(,)'", "null"],
    ),
    (
        "c_multirange",
        "nummultirange",
        ["'{[1.10,2),(3,)}'", "'{}'", "null"],
    ),
    (
        "c_multiranges",
        "int8multirange[]",
        [r#"'{"{[1,2)}","{}"}'"#, "'{}'", "null"],
    ),
    (
        "c_dateranges",
        "daterange[]",
        [r#"'{"[2020-01-01,2020-01-02)",null}'"#, "'{}'", "null"],
    ),
    (
        "c_lsn",
        "pg_lsn",
        ["'16/B374D848'", "'FFFFFFFF/FFFFFFFF'", "null"],
    ),
    (
        "c_snapshot",
        "pg_snapshot",
        ["'10:20:10,14,15'", "'1:1:'", "null"],
    ),
    (
        "c_point",
        "point",
        ["'(1.5,-0)'", "'(Infinity,NaN)'", "null"],
    ),
    ("c_line", "line", ["'{1,-2,3}'", "'{0,1,0}'", "null"]),
    (
        "c_lseg",
        "lseg",
        ["'[(0,0),(1,1)]'", "'[(0,0),(0,0)]'", "null"],
    ),
    ("c_box", "box", ["'(2,2),(1,1)'", "'(0,0),(0,0)'", "null"]),
    (
        "c_path",
        "path",
        ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'", "null"],
    ),
    (
        "c_polygon",
        "polygon",
        ["'((0,0),(1,1),(2,0))'", "'((0,0))'", "null"],
    ),
    ("c_circle", "circle", ["'<(1,2),3>'", "'<(0,0),0>'", "null"]),
    (
        "c_time",
        "time",
        ["'24:00:00'", "'00:00:00.000001'", "null"],
    ),
    (
        "c_timetz",
        "timetz(3)",
        ["'12:00:00.123-15:59'", "'00:00+00'", "null"],
    ),
    (
        "c_uuid",
        "uuid",
        [
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'00000000-0000-0000-0000-000000000000'",
            "null",
        ],
    ),
    (
        "c_grid",
        "integer[][]",
        ["'{{1,2},{3,null}}'", "'[-1:0][2:3]={{1,2},{3,4}}'", "'{}'"],
    ),
    (
        "c_numerics",
        "numeric(10,2)[]",
        ["'{1.10,NaN,null}'", "'{}'", "null"],
    ),
    (
        "c_varchars",
        "varchar(5)[]",
        ["'{abcde,\"\",NULL,\"null\"}'", "'{}'", "null"],
    ),
    ("c_bpchar", "char(5)", ["'ab'", "''", "null"]),
    ("c_bpchars", "char(3)[]", ["'{a,abc}'", "'{}'", "null"]),
    (
        "c_millis",
        "timestamp(3)",
        ["'2020-01-01 00:00:00.123'", "'infinity'", "null"],
    ),
    (
        "c_stamps",
        "timestamptz[]",
        ["'{2020-01-01 00:00+05,-infinity}'", "'{}'", "null"],
    ),
];
