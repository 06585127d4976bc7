//! A small clinic on both sides.

use std::collections::BTreeMap;

use crate::domain::catalog::*;

/// A built-in type by the name that `format_type` gives it; enums as `enum:a,b`.
pub(super) fn ty(name: &str) -> ColumnType {
    if let Some(labels) = name.strip_prefix("enum:") {
        return ColumnType {
            sql: "public.an_enum".to_owned(),
            base: "public.an_enum".to_owned(),
            typmod: -1,
            kind: TypeKind::Enum,
            enum_labels: labels.split(',').map(str::to_owned).collect(),
            is_deterministic: true,
        };
    }
    let (base, arguments) = match name.split_once('(') {
        Some((base, rest)) => (base, rest.trim_end_matches(')')),
        None => (name, ""),
    };
    let numbers: Vec<i32> = arguments
        .split(',')
        .filter_map(|text| text.parse().ok())
        .collect();
    let typmod = match (base, numbers.as_slice()) {
        ("numeric", [precision, scale]) => ((precision << 16) | scale) + 4,
        ("character varying" | "character", [length]) => length + 4,
        (_, [precision]) => *precision,
        _ => -1,
    };
    let kind = match base {
        "citext" | "geometry" => TypeKind::Other,
        array if array.ends_with("[]") => TypeKind::BuiltinArray,
        _ => TypeKind::Builtin,
    };
    ColumnType {
        sql: name.to_owned(),
        base: base.to_owned(),
        typmod,
        kind,
        enum_labels: Vec::new(),
        is_deterministic: base != "citext",
    }
}

/// A column: `name type`, with `!` behind a NOT NULL, `=` behind a default, `*` behind a generated
/// one.
fn column(text: &str) -> Column {
    let (name, rest) = text.split_once(' ').unwrap();
    let type_name = rest.trim_end_matches(['!', '=', '*']);
    Column {
        name: name.to_owned(),
        ty: ty(type_name),
        not_null: rest.contains('!'),
        has_default: rest.contains('='),
        is_generated: rest.contains('*'),
    }
}

/// A table whose primary key is `key`.
pub(super) fn table(name: &str, key: &[&str], columns: &[&str]) -> Table {
    let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
    Table {
        name: TableName::parse(name),
        columns: columns.iter().map(|text| column(text)).collect(),
        unique_keys: if key.is_empty() {
            Vec::new()
        } else {
            vec![key.clone()]
        },
        primary_key: key,
        foreign_keys: Vec::new(),
        estimated_rows: 0,
        bytes: 0,
        has_rows: false,
        hazards: Vec::new(),
    }
}

fn foreign_key(column: &str, target: &str) -> ForeignKey {
    ForeignKey {
        name: format!("{column}_fkey"),
        columns: vec![column.to_owned()],
        target: TableName::parse(target),
        target_columns: vec!["id".to_owned()],
        is_validated: true,
    }
}

/// The legacy side, with the answers to the probes of the small clinic's plan.
pub(super) fn source() -> Catalog {
    let mut orders = table(
        "orders",
        &["id"],
        &[
            "id bigint!",
            "user_id integer",
            "product_id smallint",
            "total numeric",
            "placed text",
        ],
    );
    orders.foreign_keys = vec![foreign_key("user_id", "staff.users")];
    let mut jaw = table(
        "jaw",
        &["order_id", "side"],
        &["order_id bigint!", "side character(1)!"],
    );
    jaw.foreign_keys = vec![foreign_key("order_id", "orders")];
    let mut catalog = Catalog {
        server_version: 150_000,
        tables: vec![
            table(
                "office",
                &["id"],
                &[
                    "id integer!",
                    "name text!",
                    "parent_id integer",
                    "opened timestamp without time zone",
                    "deleted_at date",
                ],
            ),
            table(
                "staff.users",
                &["id"],
                &[
                    "id integer!",
                    "email character varying(254)",
                    "first_name text!",
                    "last_name text",
                    "office_id bigint",
                    "is_staff boolean!",
                    "password text",
                ],
            ),
            table(
                "product",
                &["id"],
                &[
                    "id integer!",
                    "price_cents integer!",
                    "meta json",
                    "stock character varying(9)",
                ],
            ),
            orders,
            jaw,
            table(
                "member",
                &["id"],
                &[
                    "id integer!",
                    "user_id integer",
                    "order_id bigint",
                    "side text",
                    "extra text",
                ],
            ),
            table("bare", &[], &["a integer!", "b text"]),
        ],
        expressions: BTreeMap::new(),
    };
    answer(
        &mut catalog,
        "office",
        "deleted_at is null -- soft",
        "boolean",
    );
    answer(&mut catalog, "staff.users", "is_staff", "boolean");
    answer(
        &mut catalog,
        "staff.users",
        "users.last_name is null",
        "boolean",
    );
    catalog
}

/// The source's answer to a probe.
pub(super) fn answer(catalog: &mut Catalog, table: &str, sql: &str, type_name: &str) {
    let probe = Probe::new(TableName::parse(table), sql.to_owned());
    catalog
        .expressions
        .insert(probe, Probed::Type(ty(type_name)));
}

/// The new side.
pub(super) fn destination() -> Catalog {
    Catalog {
        server_version: 150_000,
        tables: vec![
            table(
                "offices",
                &["id"],
                &[
                    "id uuid!",
                    "parent_id uuid",
                    "name text!",
                    "opened_at timestamp with time zone",
                    "imported_at timestamp with time zone!=",
                    "slug text*",
                ],
            ),
            table(
                "users",
                &["id"],
                &[
                    "id uuid!",
                    "email text",
                    "full_name character varying(100)",
                    "office_id uuid",
                    "kind enum:staff,user,guest!",
                ],
            ),
            table(
                "products",
                &["id"],
                &[
                    "id bigint!",
                    "price numeric(12,2)!",
                    "meta jsonb",
                    "stock integer",
                ],
            ),
            table(
                "orders",
                &["id"],
                &[
                    "id uuid!",
                    "user_id uuid!",
                    "product_id bigint",
                    "total numeric(10,2)",
                    "placed_on date",
                ],
            ),
            table(
                "jaws",
                &["id"],
                &["id uuid!", "order_id uuid!", "side enum:upper,lower!"],
            ),
            table(
                "members",
                &["user_id", "jaw_id"],
                &["user_id uuid!", "jaw_id uuid!"],
            ),
        ],
        expressions: BTreeMap::new(),
    }
}
