//! Settings from a TOML file, over it from the environment, over that from flags; every problem at once.
//!
//! Nothing here repeats a value: it may be a secret. Where each setting came from is kept, for what is
//! found out about it later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::Environment;
use super::check::{Check, Origin, Read, SettingProblem};
use super::database_url::holds_password;
use super::shape::{Kind, Shape};

/// The layers that were laid so far; later ones win.
pub struct Layers {
    shape: Shape,
    prefix: &'static str,
    values: Table,
    origins: BTreeMap<String, Origin>,
    broken: BTreeSet<String>,
    problems: Vec<SettingProblem>,
}

impl Layers {
    /// No layer yet. `T` says which settings there are, `prefix` begins their variables: `DROVER_AGENT` has
    /// `DROVER_AGENT__ETCD__PREFIX` for `etcd.prefix`.
    pub fn new<T: JsonSchema>(prefix: &'static str) -> Self {
        Self {
            shape: Shape::of::<T>(),
            prefix,
            values: Table::new(),
            origins: BTreeMap::new(),
            broken: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// A TOML file.
    pub fn file(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.file_text(path, &text),
            Err(error) => self.problem(path.display().to_string(), error.to_string()),
        }
    }

    /// The text of a TOML file. The parser's own words are not repeated: they quote the line.
    pub fn file_text(&mut self, path: &Path, text: &str) {
        match text.parse::<Table>() {
            Ok(table) => self.table(&Origin::File(path.to_owned()), table, ""),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
                let place = path.display().to_string();
                self.problem(place, format!("line {line} is not TOML"));
            }
        }
    }

    /// A setting out of a variable of another name, if that is set.
    pub fn alias(&mut self, environment: &Environment, variable: &str, name: &str) {
        if let Some(text) = environment.get(variable) {
            self.text(Origin::Variable(variable.to_owned()), name, text);
        }
    }

    /// Every variable that begins with the prefix and `__`; those that are no setting are problems.
    pub fn environment(&mut self, environment: &Environment) {
        let before = format!("{}__", self.prefix);
        for (variable, text) in environment.iter() {
            let Some(rest) = variable.strip_prefix(&before) else {
                continue;
            };
            let name = rest.to_lowercase().replace("__", ".");
            let origin = Origin::Variable(variable.to_owned());
            if rest == rest.to_uppercase() {
                self.text(origin, &name, text);
            } else {
                self.problem(variable.to_owned(), "is no setting: upper case is missing");
            }
        }
    }

    /// A flag that was given, as it is shown. A password is refused: every process can see flags.
    pub fn flag(&mut self, flag: &str, name: &str, text: &str) {
        if holds_password(text) {
            let words = "holds a password, which everybody on this machine can see; use a file";
            self.broken.insert(name.to_owned());
            return self.problem(flag.to_owned(), words);
        }
        self.text(Origin::Flag(flag.to_owned()), name, text);
    }

    /// `name=value` of the flag `--set`.
    pub fn set(&mut self, assignment: &str) {
        match assignment.split_once('=') {
            Some((name, text)) => {
                let name = name.trim();
                self.flag(&format!("--set {name}"), name, text);
            }
            None => self.problem("--set".to_owned(), "must be like name=value"),
        }
    }

    /// The settings, to be checked further; see [`Read`].
    pub fn read<T: DeserializeOwned>(mut self) -> Read<T> {
        let raw = Value::Table(std::mem::take(&mut self.values)).try_into();
        if raw.is_err() && self.problems.is_empty() {
            // The shape admits what the struct does not hold: the struct is wrong, not its user.
            let words = "these settings do not fit together";
            self.problem(self.prefix.to_owned(), words);
        }
        Read {
            raw: raw.ok(),
            check: Check::new(self.prefix, self.origins, self.broken, self.problems),
        }
    }

    fn table(&mut self, origin: &Origin, table: Table, before: &str) {
        for (key, value) in table {
            let name = match before {
                "" => key,
                before => format!("{before}.{key}"),
            };
            match (self.shape.kind(&name), value) {
                (Some(kind), value) if fits(kind, &value) => {
                    self.insert(origin.clone(), &name, value);
                }
                (Some(kind), _) => self.refuse(origin, &name, kind.words()),
                (None, Value::Table(below)) if self.shape.is_section(&name) => {
                    self.table(origin, below, &name);
                }
                (None, _) if self.shape.is_section(&name) => {
                    self.refuse(origin, &name, "must be a table");
                }
                (None, _) => self.refuse(origin, &name, "is no setting"),
            }
        }
    }

    fn text(&mut self, origin: Origin, name: &str, text: &str) {
        let Some(kind) = self.shape.kind(name) else {
            return self.refuse(&origin, name, "is no setting");
        };
        let value = match kind {
            Kind::Text => Some(Value::from(text)),
            Kind::Number => text.trim().parse::<i64>().ok().map(Value::from),
            Kind::Switch => switch(text).map(Value::from),
            Kind::List => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty()).map(Value::from);
                Some(Value::Array(items.collect()))
            }
            Kind::Texts | Kind::Free => None,
        };
        match value {
            Some(value) => self.insert(origin, name, value),
            None => self.refuse(&origin, name, kind.words()),
        }
    }

    fn insert(&mut self, origin: Origin, name: &str, value: Value) {
        let (map, rest) = self.shape.map_of(name).unwrap_or((name, ""));
        let mut keys: Vec<&str> = map.split('.').collect();
        if !rest.is_empty() {
            keys.push(rest);
        }
        let Some((last, above)) = keys.split_last() else {
            return;
        };
        let mut table = &mut self.values;
        for key in above {
            let below = table
                .entry(*key)
                .or_insert_with(|| Value::Table(Table::new()));
            // Nothing but tables stands above a setting.
            let Value::Table(below) = below else { return };
            table = below;
        }
        table.insert((*last).to_owned(), value);
        self.broken.remove(name);
        self.origins.insert(name.to_owned(), origin);
    }

    fn refuse(&mut self, origin: &Origin, name: &str, message: &str) {
        self.broken.insert(name.to_owned());
        self.problem(origin.place(name), message);
    }

    fn problem(&mut self, place: String, message: impl Into<String>) {
        self.problems.push(SettingProblem {
            place,
            message: message.into(),
        });
    }
}

/// Names only.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.origins.keys()).finish()
    }
}

fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Text, Value::String(_))
        | (Kind::Number, Value::Integer(_))
        | (Kind::Switch, Value::Boolean(_))
        | (Kind::Free, Value::Table(_)) => true,
        (Kind::List, Value::Array(items)) => items.iter().all(Value::is_str),
        (Kind::Texts, Value::Table(entries)) => entries.values().all(Value::is_str),
        _ => false,
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The configuration file to read: the one that was named by flag or variable, else the usual one where it
/// is there.
pub fn choose_file(
    flag: Option<&Path>,
    environment: &Environment,
    variable: &str,
    usual: &Path,
) -> Option<PathBuf> {
    let named = flag
        .map(Path::to_path_buf)
        .or_else(|| environment.get(variable).map(PathBuf::from));
    named.or_else(|| usual.exists().then(|| usual.to_path_buf()))
}
