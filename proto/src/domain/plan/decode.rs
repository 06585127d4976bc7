//! From document nodes to typed values, noting every problem on the way.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::document::{Key, Node, NodeKind, join};
use super::problem::{Positions, ProblemLog};
use super::scalar::{Value, resolve};
use super::suggest;
use crate::domain::key::{MIGRATION_ID, RUN_NOW};

/// What everything that reads one plan shares.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// Problems so far.
    pub log: ProblemLog,
    /// Where paths stand.
    pub positions: RefCell<Positions>,
    /// Names of the plan's entities.
    pub entities: BTreeSet<String>,
}

/// A node, its path and the context.
#[derive(Clone)]
pub(super) struct At<'a> {
    pub node: &'a Node,
    pub path: String,
    pub context: &'a Context,
    /// A word without arguments stands here; the node is the word itself.
    pub is_bare: bool,
}

impl<'a> At<'a> {
    pub(super) fn new(node: &'a Node, path: String, context: &'a Context) -> Self {
        context.positions.borrow_mut().note(&path, node.position);
        Self {
            node,
            path,
            context,
            is_bare: false,
        }
    }

    /// Notes a problem here.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.context
            .log
            .add_at(&self.path, Some(self.node.position), message);
    }

    /// Notes that something else stands here.
    pub(super) fn wrong<T>(&self, expected: &str) -> Option<T> {
        if self.is_bare {
            self.problem(format!("needs an argument: {expected}"));
        } else {
            self.problem(format!(
                "expected {expected}, found {}",
                describe(self.node)
            ));
        }
        None
    }

    /// Notes that what stands here is part of the language but not of this version.
    pub(super) fn not_yet(&self) {
        self.problem("not supported yet");
    }

    /// The value of a key below this node.
    pub(super) fn child(&self, key: &str, node: &'a Node) -> Self {
        Self::new(node, join(&self.path, key), self.context)
    }

    /// The item of a list.
    fn item(&self, index: usize, node: &'a Node) -> Self {
        Self::new(node, format!("{}[{index}]", self.path), self.context)
    }

    /// The same node seen as a bare word of that name.
    pub(super) fn bare(&self, word: &str) -> Self {
        Self {
            is_bare: true,
            ..Self::new(self.node, join(&self.path, word), self.context)
        }
    }

    pub(super) fn pairs(&self) -> Option<&'a [(Key, Node)]> {
        match &self.node.kind {
            _ if self.is_bare => Some(&[]),
            NodeKind::Mapping(pairs) => Some(pairs),
            NodeKind::Scalar { .. } | NodeKind::List(_) => self.wrong("a mapping"),
        }
    }

    pub(super) fn items(&self) -> Option<Vec<Self>> {
        match &self.node.kind {
            NodeKind::List(items) if !self.is_bare => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, node)| self.item(i, node))
                    .collect(),
            ),
            NodeKind::Scalar { .. } | NodeKind::List(_) | NodeKind::Mapping(_) => {
                self.wrong("a list")
            }
        }
    }

    /// The scalar here, if it is one.
    pub(super) fn scalar(&self) -> Option<Value> {
        match &self.node.kind {
            NodeKind::Scalar { text, is_plain } if !self.is_bare => Some(resolve(text, *is_plain)),
            NodeKind::Scalar { .. } | NodeKind::List(_) | NodeKind::Mapping(_) => None,
        }
    }

    /// Refuses what would be taken for a placeholder of compiled SQL, and NUL, which no SQL holds.
    pub(super) fn checked_text(&self, text: &str) -> Option<()> {
        for placeholder in [RUN_NOW, MIGRATION_ID] {
            if text.contains(placeholder) {
                self.problem(format!(
                    "\"{placeholder}\" is reserved; use the steps now, source_meta"
                ));
                return None;
            }
        }
        if text.contains('\0') {
            self.problem("a NUL character cannot stand in a plan");
            return None;
        }
        Some(())
    }

    /// Nothing but `{}` may stand here.
    pub(super) fn no_arguments(&self) -> Option<()> {
        match &self.node.kind {
            _ if self.is_bare => Some(()),
            NodeKind::Mapping(pairs) if pairs.is_empty() => Some(()),
            NodeKind::Scalar { .. } | NodeKind::List(_) | NodeKind::Mapping(_) => {
                self.wrong("no arguments: the bare word or {}")
            }
        }
    }
}

/// What stands at a node, in words.
fn describe(node: &Node) -> &'static str {
    match &node.kind {
        NodeKind::Scalar { text, is_plain } => resolve(text, *is_plain).kind(),
        NodeKind::List(_) => "a list",
        NodeKind::Mapping(_) => "a mapping",
    }
}

/// A type that can be read from a document.
pub(super) trait Decode: Sized {
    /// The value, or `None` with a problem noted.
    fn decode(at: &At<'_>) -> Option<Self>;

    /// The value when its key is not there; `None` makes the key required.
    fn absent() -> Option<Self> {
        None
    }
}

/// A mapping being read: unknown keys are noted once, when it is opened.
pub(super) struct Fields<'a> {
    at: At<'a>,
    pairs: &'a [(Key, Node)],
}

impl<'a> Fields<'a> {
    pub(super) fn open(at: &At<'a>, known: &[&str]) -> Option<Self> {
        let pairs = at.pairs()?;
        for (key, node) in pairs {
            if !known.contains(&key.text.as_str()) {
                let hint = suggest::hint(&key.text, known.iter().copied());
                at.context.log.add_at(
                    at.child(&key.text, node).path,
                    Some(key.position),
                    format!("unknown key{hint}"),
                );
            }
        }
        Some(Self {
            at: at.clone(),
            pairs,
        })
    }

    pub(super) fn take<T: Decode>(&self, key: &str) -> Option<T> {
        match self.pairs.iter().find(|(name, _)| name.text == key) {
            Some((_, node)) => T::decode(&self.at.child(key, node)),
            None => T::absent().or_else(|| {
                let path = join(&self.at.path, key);
                self.at
                    .context
                    .log
                    .add_at(path, Some(self.at.node.position), "missing");
                None
            }),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(at: &At<'_>) -> Option<Self> {
        if at.scalar() == Some(Value::Null) {
            at.problem("null means nothing here; leave the key out");
            return None;
        }
        T::decode(at).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(at: &At<'_>) -> Option<Self> {
        let items: Vec<Option<T>> = at.items()?.iter().map(T::decode).collect();
        items.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(at: &At<'_>) -> Option<Self> {
        T::decode(at).map(Box::new)
    }
}

impl Decode for bool {
    fn decode(at: &At<'_>) -> Option<Self> {
        match at.scalar() {
            Some(Value::Bool(value)) => Some(value),
            _ => at.wrong("true or false"),
        }
    }
}

impl Decode for u32 {
    fn decode(at: &At<'_>) -> Option<Self> {
        match at.scalar() {
            Some(Value::Integer(value)) if Self::try_from(value).is_ok() => {
                Self::try_from(value).ok()
            }
            _ => at.wrong("a whole number from 0 on"),
        }
    }
}
