//! What is shown while a migration is followed: bars on a terminal, lines elsewhere, JSON for
//! programs.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::progress::{EntityProgress, ProgressView};
use proto::domain::record::{EntityMigrationStatus, EntityStatus, Event};
use proto::runtime::clock;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::picture::Picture;
use crate::context::Context;
use crate::progress::{Bars, words};
use crate::remote::Update;
use crate::render::Format;
use crate::render::migration::{Report, state};
use crate::render::record::entity::eta_seconds;
use crate::screen::Screen;

/// Time between two lines about how far it is.
const LINES_EVERY: Duration = Duration::from_secs(10);
/// Events that the lines of entities and migration tell already.
const TOLD: [&str; 3] = ["migration_progress", "entity_progress", "batch_completed"];

/// Shows updates in one of four ways.
pub struct Painter {
    screen: Screen,
    way: Way,
    ticks: Interval,
    last: Option<Report>,
    is_lost: bool,
}

enum Way {
    /// A terminal: bars on stderr, events above them.
    Bars(Bars),
    /// Lines on stdout.
    Lines(Lines),
    /// One JSON object per update on stdout.
    Jsonl,
    /// Only that a stream was lost.
    Quiet,
}

/// What lines were said so far.
#[derive(Default)]
struct Lines {
    state: String,
    statuses: BTreeMap<String, EntityStatus>,
    overall: String,
}

impl Painter {
    /// As the context asks for it.
    pub fn of(context: &Context) -> Self {
        let way = match context.output {
            Format::Jsonl => Way::Jsonl,
            Format::Json | Format::Name => Way::Quiet,
            Format::Table | Format::Wide if context.screen.has_bars(&context.environment) => {
                Way::Bars(Bars::new(context.screen.clone()))
            }
            Format::Table | Format::Wide => Way::Lines(Lines::default()),
        };
        Self::new(context, way)
    }

    /// Says nothing but that a stream was lost.
    pub fn quiet(context: &Context) -> Self {
        Self::new(context, Way::Quiet)
    }

    fn new(context: &Context, way: Way) -> Self {
        let mut ticks = interval_at(Instant::now() + LINES_EVERY, LINES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self {
            screen: context.screen.clone(),
            way,
            ticks,
            last: None,
            is_lost: false,
        }
    }

    /// Returns when it is time for a line.
    pub async fn tick(&mut self) {
        self.ticks.tick().await;
    }

    /// Says how far it is, if that has changed since the last line.
    pub fn refresh(&mut self, picture: &Picture) {
        if let (Way::Lines(lines), Some(report)) = (&mut self.way, picture.report()) {
            let line = words::overall(&view(report));
            if line != lines.overall {
                self.screen.print(&line);
                lines.overall = line;
            }
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, update: &Update, picture: &Picture) {
        match update {
            Update::Lost(why) if !self.is_lost => {
                self.is_lost = true;
                let line = format!("the controller is lost ({why}); looking for it again");
                self.screen.say(&line);
            }
            Update::Snapshot(_) if self.is_lost => {
                self.is_lost = false;
                self.screen.say("connected again");
            }
            _ => {}
        }
        let Some(report) = picture.report() else {
            return;
        };
        match &mut self.way {
            Way::Bars(bars) => {
                if let Some(line) = told(update) {
                    self.screen.say(&line);
                }
                bars.draw(&view(report));
            }
            Way::Lines(lines) => lines.show(&self.screen, update, report),
            Way::Jsonl => {
                if let Some(line) = line(update) {
                    self.screen.print(&line.to_string());
                }
            }
            Way::Quiet => {}
        }
        self.last = Some(report.clone());
    }

    /// Clears the bars; the last that was known.
    pub fn finish(self) -> Option<Report> {
        if let Way::Bars(bars) = self.way {
            bars.clear();
        }
        self.last
    }
}

impl Lines {
    /// The first snapshot as a table; then a line for each thing that is no mere progress.
    fn show(&mut self, screen: &Screen, update: &Update, report: &Report) {
        if self.state.is_empty() {
            screen.print(&report.render(clock::now()));
        }
        let state = state(&report.migration);
        if !self.state.is_empty() && self.state != state {
            screen.print(&format!("{}  {state}", report.migration.name));
        }
        self.state = state;
        for entity in &report.entities {
            let before = self.statuses.insert(entity.entity.clone(), entity.status);
            if before.is_some_and(|before| before != entity.status) {
                let line = match entity.status {
                    EntityStatus::Running => Some(format!("{} running", entity.entity)),
                    _ => words::ended(&progress(entity)),
                };
                line.iter().for_each(|line| screen.print(line));
            }
        }
        told(update).iter().for_each(|line| screen.print(line));
    }
}

/// The line of an event that nothing else tells.
fn told(update: &Update) -> Option<String> {
    let Update::Event(Event {
        event_type,
        timestamp,
        data,
        ..
    }) = update
    else {
        return None;
    };
    if TOLD.contains(&event_type.as_str()) {
        return None;
    }
    let about = match data.entity.as_str() {
        "" | "*" => String::new(),
        entity => format!("  {entity}"),
    };
    let time = timestamp.format("%H:%M:%SZ");
    Some(format!(
        "{time}  {event_type}{about}  {:.1}%",
        data.progress_percentage
    ))
}

/// An update as one JSON object with one member, named as in the protocol.
fn line(update: &Update) -> Option<Value> {
    match update {
        Update::Snapshot(report) => Some(json!({"snapshot": report})),
        Update::Migration(migration) => Some(json!({"migration": migration})),
        Update::Entity(entity) => Some(json!({"entity": entity})),
        Update::Event(event) => Some(json!({"event": event})),
        Update::Ended => Some(json!({"end": {"reason": "ended"}})),
        Update::Deleted => Some(json!({"end": {"reason": "deleted"}})),
        Update::Lost(_) => None,
    }
}

/// What the bars draw.
fn view(report: &Report) -> ProgressView {
    let migration = &report.migration;
    ProgressView {
        name: migration.name.clone(),
        migration_id: Some(migration.id),
        phase: migration
            .activity
            .map_or(migration.status.as_str(), |activity| activity.as_str()),
        progress_percentage: migration.progress_percentage,
        entities: report.entities.iter().map(progress).collect(),
        notes: Vec::new(),
        waits_for: migration.activity_reason.clone(),
        throttled: None,
    }
}

fn progress(entity: &EntityMigrationStatus) -> EntityProgress {
    let rate = entity.throughput_per_second;
    EntityProgress {
        entity: entity.entity.clone(),
        status: entity.status,
        step: "",
        records_total: entity.records_total,
        is_exact: entity.records_total_exact,
        records_processed: entity.records_processed,
        records_failed: entity.records_failed,
        records_filtered: entity.records_filtered,
        in_flight: 0,
        throughput_per_second: (rate > 0.0).then_some(rate),
        eta_seconds: eta_seconds(entity),
        waits_on: Vec::new(),
    }
}
