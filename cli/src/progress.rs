//! Progress on stderr: bars on a terminal, elsewhere one plain line every ten seconds and one for
//! every entity that is done.
//!
//! It only looks at what the controller shows; it never slows or stops the work.

pub mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use controller::progress::{EntityProgress, ProgressView};
use indicatif::{ProgressBar, ProgressStyle};
use proto::domain::record::EntityStatus;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::screen::Screen;

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Time between two looks while bars are drawn, so that ETAs move.
const BARS_EVERY: Duration = Duration::from_secs(1);

/// Shows what comes in until its sender is gone.
pub async fn show(mut views: watch::Receiver<ProgressView>, screen: Screen, has_bars: bool) {
    let every = if has_bars { BARS_EVERY } else { PLAIN_EVERY };
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut painter = Painter::new(screen, has_bars);
    loop {
        let is_open = tokio::select! {
            biased;
            changed = views.changed() => {
                let view = views.borrow_and_update().clone();
                painter.update(&view);
                changed.is_ok()
            }
            _ = ticks.tick() => {
                let view = views.borrow().clone();
                painter.tick(&view);
                true
            }
        };
        if !is_open {
            return painter.finish();
        }
    }
}

struct Painter {
    screen: Screen,
    bars: Option<Bars>,
    said_notes: usize,
    statuses: BTreeMap<String, EntityStatus>,
}

impl Painter {
    fn new(screen: Screen, has_bars: bool) -> Self {
        let bars = has_bars.then(|| Bars::new(screen.clone()));
        Self {
            screen,
            bars,
            said_notes: 0,
            statuses: BTreeMap::new(),
        }
    }

    fn update(&mut self, view: &ProgressView) {
        for note in view.notes.iter().skip(self.said_notes) {
            self.screen.say(note);
        }
        self.said_notes = self.said_notes.max(view.notes.len());
        for entity in &view.entities {
            let before = self.statuses.insert(entity.entity.clone(), entity.status);
            // What was over before this process looked is in the final table.
            if self.bars.is_none() && before.is_some_and(|before| before != entity.status) {
                words::ended(entity)
                    .iter()
                    .for_each(|line| self.screen.say(line));
            }
        }
        if let Some(bars) = &mut self.bars {
            bars.draw(view);
        }
    }

    fn tick(&mut self, view: &ProgressView) {
        match &mut self.bars {
            Some(bars) => bars.draw(view),
            None if !view.name.is_empty() => self.screen.say(&words::overall(view)),
            None => {}
        }
    }

    fn finish(self) {
        if let Some(bars) = self.bars {
            bars.clear();
        }
    }
}

/// One bar for the whole and one for every entity.
pub struct Bars {
    screen: Screen,
    style: ProgressStyle,
    head: Option<ProgressBar>,
    entities: Vec<(String, ProgressBar)>,
}

impl Bars {
    /// No bar yet.
    pub fn new(screen: Screen) -> Self {
        let style = ProgressStyle::with_template("{prefix} [{bar:20}] {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        Self {
            screen,
            style,
            head: None,
            entities: Vec::new(),
        }
    }

    /// Draws what is known now.
    pub fn draw(&mut self, view: &ProgressView) {
        if view.name.is_empty() {
            return;
        }
        let wide = view
            .entities
            .iter()
            .map(|entity| entity.entity.len())
            .max()
            .unwrap_or(0)
            .max(8);
        let head = self
            .head
            .get_or_insert_with(|| self.screen.bars().add(ProgressBar::new_spinner()));
        head.set_style(line_style());
        head.set_message(words::overall(view));
        for entity in &view.entities {
            self.draw_entity(entity, wide);
        }
    }

    fn draw_entity(&mut self, entity: &EntityProgress, wide: usize) {
        let known = self
            .entities
            .iter()
            .position(|(name, _)| *name == entity.entity);
        let at = known.unwrap_or_else(|| {
            let bar = self.screen.bars().add(ProgressBar::new(0));
            bar.set_style(self.style.clone());
            self.entities.push((entity.entity.clone(), bar));
            self.entities.len() - 1
        });
        let Some((_, bar)) = self.entities.get(at) else {
            return;
        };
        let (done, total) = words::position(entity);
        bar.set_prefix(format!("{:<wide$}", entity.entity));
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(words::state(entity));
    }

    /// Takes every bar away.
    pub fn clear(self) {
        let _ = self.screen.bars().clear();
    }
}

fn line_style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
