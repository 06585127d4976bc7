//! From a family to two databases, a plan, and what is expected of them.

use std::collections::BTreeSet;

use super::family::{Column, Family, Outcome, Table};

/// What is expected of one entity.
pub struct Expected<'a> {
    /// Its name.
    pub entity: String,
    /// Its place in the plan.
    pub place: usize,
    /// SELECT of key and value of every row that was written.
    pub select: String,
    /// Its rows.
    pub rows: Vec<Row<'a>>,
}

/// One row.
pub struct Row<'a> {
    /// Its legacy key.
    pub key: String,
    /// The column that the case is about.
    pub column: Option<&'a Column>,
    /// SQL of its value.
    pub value: &'a str,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// Everything that a family is made into.
pub struct Built<'a> {
    /// SQL at the source.
    pub source: String,
    /// SQL at the destination.
    pub destination: String,
    /// The plan behind its head.
    pub plan: String,
    /// What is expected, by entity.
    pub expected: Vec<Expected<'a>>,
}

/// Times are compared as UTC, wherever the machine is.
const UTC: &str = "do $$ begin execute format('alter database %I set timezone to ''UTC''', current_database()); end $$;";

/// Makes a family's databases and plan.
pub fn build(family: &Family) -> Built<'_> {
    let mut built = Built {
        source: format!("{UTC}\n{}\n", family.source),
        destination: format!("{UTC}\n{}\n", family.destination),
        plan: format!(
            "defaults: {{max_quarantined: 1000000{}{}}}\nentities:\n",
            if family.defaults.is_empty() { "" } else { ", " },
            family.defaults
        ),
        expected: Vec::new(),
    };
    for table in &family.table {
        built.own_table(table);
    }
    let shared: BTreeSet<&str> = family.column.iter().map(|c| c.table.as_str()).collect();
    for name in shared {
        let columns: Vec<&Column> = family.column.iter().filter(|c| c.table == name).collect();
        let options = family.options.get(name).map_or("", String::as_str);
        built.shared_table(name, options, &columns);
    }
    built.source.push_str(&family.spoil);
    built
}

impl<'a> Built<'a> {
    fn head(&mut self, entity: &str) -> usize {
        self.plan.push_str(&format!(
            "- entity: {entity}\n  source_entity: src_{entity}\n  destination_entity: dst_{entity}\n  entity_type: {entity}\n"
        ));
        self.expected.len()
    }

    fn own_table(&mut self, table: &'a Table) {
        let place = self.head(&table.entity);
        for line in table.plan.lines() {
            self.plan.push_str(&format!("  {line}\n"));
        }
        self.source.push_str(&format!("{};\n", table.source));
        self.destination
            .push_str(&format!("{};\n", table.destination));
        let written = match &table.foreign {
            Some(condition) => format!(" where ({condition}) is not true"),
            None => String::new(),
        };
        self.expected.push(Expected {
            entity: table.entity.clone(),
            place,
            select: format!(
                "select {} as key, coalesce(({})::text, 'NULL') as value from dst_{}{written}",
                table.key, table.show, table.entity
            ),
            rows: table
                .rows
                .iter()
                .map(|(key, outcome)| Row {
                    key: key.clone(),
                    column: None,
                    value: "",
                    outcome: Outcome::parse(outcome),
                })
                .collect(),
        });
    }

    fn shared_table(&mut self, name: &str, options: &str, columns: &[&'a Column]) {
        let place = self.head(name);
        for line in options.lines() {
            self.plan.push_str(&format!("  {line}\n"));
        }
        let sensitive: Vec<&str> = columns
            .iter()
            .filter(|column| column.sensitive)
            .map(|column| column.name.as_str())
            .collect();
        self.plan.push_str(&format!(
            "  sensitive: [{}]\n  transformation_rules:\n    n: [{{col: id}}]\n",
            sensitive.join(", ")
        ));
        let (mut from, mut to, mut shown) = (String::new(), String::new(), String::new());
        let (mut rows, mut number) = (Vec::new(), 0);
        let mut inserts = String::new();
        for &column in columns {
            let name_of = &column.name;
            from.push_str(&format!(", {name_of} {}", column.source));
            to.push_str(&format!(", {name_of} {}", column.destination));
            let rule = column.rule.replace("$v", name_of);
            self.plan.push_str(&format!("    {name_of}: {rule}\n"));
            let first = number + 1;
            for (value, outcome) in &column.rows {
                number += 1;
                inserts.push_str(&format!(
                    "insert into src_{name} (id, {name_of}) values ({number}, {value});\n"
                ));
                rows.push(Row {
                    key: number.to_string(),
                    column: Some(column),
                    value,
                    outcome: Outcome::parse(outcome),
                });
            }
            shown.push_str(&format!(
                " when n between {first} and {number} then coalesce({name_of}::text, 'NULL')"
            ));
        }
        self.source.push_str(&format!(
            "create table src_{name} (id int primary key{from});\n{inserts}"
        ));
        self.destination.push_str(&format!(
            "create table dst_{name} (id uuid primary key, n int not null unique{to});\n"
        ));
        self.expected.push(Expected {
            entity: name.to_owned(),
            place,
            select: format!("select n::text as key, case{shown} end as value from dst_{name}"),
            rows,
        });
    }
}
