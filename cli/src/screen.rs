//! The two streams of the terminal: data on stdout, talk on stderr, lines above a progress bar.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressDrawTarget};
use proto::runtime::settings::Environment;
use proto::runtime::telemetry::LogSink;

/// Where a command talks to. Clones are the same screen.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    out: Sink,
    talk: Sink,
}

/// Takes bytes as they are to be seen.
pub type Sink = Arc<dyn Fn(&[u8]) + Send + Sync>;

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// The screen of this process; four redraws a second are enough for a bar.
    pub fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4));
        Self {
            bars,
            out: Arc::new(|bytes| {
                let mut stdout = io::stdout().lock();
                let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
            }),
            talk: Arc::new(|bytes| {
                let _ = io::stderr().lock().write_all(bytes);
            }),
        }
    }

    /// A screen without a terminal: results and talk go to whoever takes them.
    #[cfg(test)]
    pub fn into(out: Sink, talk: Sink) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Self { bars, out, talk }
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
        let end = if data.ends_with('\n') { "" } else { "\n" };
        let text = format!("{data}{end}");
        self.bars.suspend(|| (self.out)(text.as_bytes()));
    }

    /// Where log lines go.
    pub fn log_sink(&self) -> LogSink {
        let screen = self.clone();
        Arc::new(move |line| screen.write(line))
    }

    fn write(&self, bytes: &[u8]) {
        self.bars.suspend(|| (self.talk)(bytes));
    }
}
