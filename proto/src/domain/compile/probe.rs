//! What the databases must be asked before a plan can be compiled.

use std::collections::BTreeSet;

use super::super::catalog::{Probe, TableName};
use super::super::plan::{ArrayAgg, Ordered, Pipeline, Plan, Step};
use super::super::rules::{regex_probe, zone_probe};
use super::{gather, joins, matching, needs};

/// Tables of the source and of the destination that the plan names, in plan order.
pub fn tables(plan: &Plan) -> (Vec<TableName>, Vec<TableName>) {
    let (mut source, mut destination) = (Vec::new(), Vec::new());
    let add = |tables: &mut Vec<TableName>, table: TableName| {
        if !tables.contains(&table) {
            tables.push(table);
        }
    };
    for entity in plan.entities.iter() {
        add(&mut source, TableName::parse(&entity.source_entity));
        add(
            &mut destination,
            TableName::parse(&entity.destination_entity),
        );
        for table in needs::beside(entity).0 {
            add(&mut source, table);
        }
    }
    (source, destination)
}

/// Free SQL and time zones that the source must judge. Describe each as
/// `SELECT {rules::free_sql} FROM {Probe::rows}`.
pub fn probes(plan: &Plan) -> Vec<Probe> {
    let mut probes = BTreeSet::new();
    for entity in plan.entities.iter() {
        let table = TableName::parse(&entity.source_entity);
        let default = plan
            .defaults
            .as_ref()
            .and_then(|defaults| defaults.timezone.as_ref());
        probes.extend(joins::probes(entity));
        let mut found = Found {
            zone: entity
                .timezone
                .as_ref()
                .or(default)
                .map(|zone| zone.0.as_str()),
            table: &table,
            joins: joins::sql_of_all(entity),
            probes: &mut probes,
        };
        if let Some(filter) = &entity.filter {
            found.sql(filter);
        }
        let matched = matching::pipelines(entity)
            .into_iter()
            .flat_map(Ordered::iter);
        for (_, pipeline) in entity.transformation_rules.iter().chain(matched) {
            found.pipeline(pipeline);
        }
    }
    probes.into_iter().collect()
}

struct Found<'a> {
    table: &'a TableName,
    joins: String,
    zone: Option<&'a str>,
    probes: &'a mut BTreeSet<Probe>,
}

impl Found<'_> {
    fn sql(&mut self, sql: &str) {
        self.probes.insert(Probe {
            table: self.table.clone(),
            joins: self.joins.clone(),
            sql: sql.to_owned(),
        });
    }

    /// What stands in `array_agg` is about the child's row.
    fn children(&mut self, rule: &ArrayAgg) {
        let table = TableName::parse(&rule.source);
        let mut inner = Found {
            table: &table,
            joins: String::new(),
            zone: self.zone,
            probes: &mut *self.probes,
        };
        if let Some(filter) = &rule.filter {
            inner.sql(filter);
        }
        if let Some(by) = &rule.order_by {
            inner.sql(&gather::ordering(by).0);
        }
        inner.pipeline(&rule.value);
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        for entry in &pipeline.0 {
            match &entry.step {
                Step::Sql(sql) => self.sql(sql),
                Step::When(cases) => {
                    for case in cases.iter() {
                        self.sql(&case.condition);
                        self.pipeline(&case.then);
                    }
                }
                Step::ArrayAgg(rule) => self.children(rule),
                Step::Tz(tz) => {
                    let own = tz.from.as_ref().map(|zone| zone.0.as_str());
                    if let Some(zone) = own.or(self.zone) {
                        self.probes.insert(zone_probe(self.table, zone));
                    }
                }
                Step::Regex(regex) => {
                    self.probes.insert(regex_probe(self.table, regex));
                }
                Step::JsonBuild(members) => {
                    members
                        .iter()
                        .for_each(|(_, pipeline)| self.pipeline(pipeline));
                }
                _ => {}
            }
            if let Some(otherwise) = &entry.otherwise {
                self.pipeline(otherwise);
            }
        }
    }
}
