//! The text of a plan file.

use std::io::Read;
use std::path::Path;

use crate::stop::Stop;

/// Largest plan that a controller takes, in bytes.
const LIMIT: usize = 4 << 20;

/// Reads a file; `-` is stdin.
pub fn text(path: &Path) -> Result<String, Stop> {
    let mut text = String::new();
    let result = if path == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    result.map_err(|error| Stop::usage(format!("cannot read plan {}: {error}", path.display())))?;
    Ok(text)
}

/// Reads a plan for a controller, which is the one to judge it.
pub fn for_controller(path: &Path) -> Result<String, Stop> {
    let text = text(path)?;
    match text.len() {
        0 => Err(Stop::usage(format!("plan {} is empty", path.display()))),
        length if length > LIMIT => Err(Stop::usage(format!(
            "plan {} has {length} bytes; a controller takes at most {LIMIT}",
            path.display()
        ))),
        _ => Ok(text),
    }
}
