//! How a server ends before it served: what `--check-config` says, and what wrong settings lead to.

use std::io::{self, Write};
use std::process::ExitCode;

use super::check::Invalid;

/// The end of a process that does not go on: its exit code, and words for stdout where the code is 0, else
/// for stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    /// 0, or 2 for settings that are not valid.
    pub code: u8,
    /// Lines, without the last line end.
    pub words: String,
}

impl Leave {
    /// Prints the words where they belong, and the code to end with.
    pub fn say(&self) -> ExitCode {
        let line = format!("{}\n", self.words);
        // Nobody could be told.
        let _ = match self.code {
            0 => io::stdout().write_all(line.as_bytes()),
            _ => io::stderr().write_all(line.as_bytes()),
        };
        ExitCode::from(self.code)
    }
}

/// The settings to go on with.
///
/// # Errors
/// Where they are not valid, and where they were to be checked only.
pub fn go_on<T>(settings: Result<T, Invalid>, is_check: bool) -> Result<T, Leave> {
    match settings {
        Ok(settings) if !is_check => Ok(settings),
        Ok(_) => Err(Leave {
            code: 0,
            words: "configuration is valid".to_owned(),
        }),
        Err(invalid) => Err(Leave {
            code: 2,
            words: format!("configuration is not valid:\n{invalid}"),
        }),
    }
}
