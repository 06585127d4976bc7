//! The two streams of the terminal: data on stdout, talk on stderr, lines above a progress bar.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressDrawTarget};
use proto::runtime::settings::Environment;
use proto::runtime::telemetry::LogSink;

/// Where a command talks to. Clones are the same screen.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: MultiProgress,
}

impl Screen {
    /// The screen of this process; four redraws a second are enough for a bar.
    pub fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4));
        Self { bars }
    }

    /// The bars at the bottom of stderr.
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Whether bars can be drawn.
    pub fn has_bars(&self, environment: &Environment) -> bool {
        io::stderr().is_terminal() && environment.get("TERM").is_some_and(|term| term != "dumb")
    }

    /// A line of talk on stderr.
    pub fn say(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// A result on stdout, with a line end.
    ///
    /// A reader that has seen enough (`| head`) is no error. Of nothing there is no line.
    pub fn print(&self, data: &str) {
        if data.is_empty() {
            return;
        }
        self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            let end = if data.ends_with('\n') { "" } else { "\n" };
            let _ = write!(stdout, "{data}{end}").and_then(|()| stdout.flush());
        });
    }

    /// Where log lines go.
    pub fn log_sink(&self) -> LogSink {
        let screen = self.clone();
        Arc::new(move |line| screen.write(line))
    }

    fn write(&self, bytes: &[u8]) {
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(bytes);
        });
    }
}
