//! The plan as a document: nodes of text, lists and mappings, each with its position.
//!
//! Reads YAML (JSON is YAML) event by event, so that the text of every scalar stays as it was
//! written (`007` is a map key, not seven) and size, depth and aliases are bounded before anything
//! is built.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::Value as Json;

use super::problem::{Position, ProblemLog, Problems};
use super::scalar;

/// Largest document in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 48;
/// Most nodes of a document, aliases written out.
const MAX_NODES: usize = 1_000_000;

/// A node and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it begins.
    pub position: Position,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A text; `is_plain` when it was written without quotes, so that it may be a number, a boolean
    /// or null.
    Scalar {
        /// The text as written.
        text: String,
        /// Without quotes and without a tag that says text.
        is_plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the document, every key a text.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its text as written.
    pub text: String,
    /// Where it stands.
    pub position: Position,
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            NodeKind::Mapping(pairs) => pairs
                .iter()
                .find(|(name, _)| name.text == key)
                .map(|(_, node)| node),
            NodeKind::Scalar { .. } | NodeKind::List(_) => None,
        }
    }

    /// The items, where this is a list.
    pub fn items(&self) -> &[Self] {
        match &self.kind {
            NodeKind::List(items) => items,
            NodeKind::Scalar { .. } | NodeKind::Mapping(_) => &[],
        }
    }

    /// The text, where this is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            NodeKind::List(_) | NodeKind::Mapping(_) => None,
        }
    }
}

/// Reads a document.
pub fn read(text: &str) -> Result<Node, Problems> {
    let log = ProblemLog::default();
    let root = Reader::new(text, &log).document();
    log.finish(root)
}

/// The document as JSON, scalars read as YAML's core schema says.
pub fn to_json(node: &Node) -> Json {
    match &node.kind {
        NodeKind::Scalar { text, is_plain } => scalar::to_json(text, *is_plain),
        NodeKind::List(items) => Json::Array(items.iter().map(to_json).collect()),
        NodeKind::Mapping(pairs) => Json::Object(
            pairs
                .iter()
                .map(|(key, value)| (key.text.clone(), to_json(value)))
                .collect(),
        ),
    }
}

/// Something that is being filled while its events arrive.
enum Open {
    List(Vec<Node>),
    Mapping(OpenMapping),
}

#[derive(Default)]
struct OpenMapping {
    pairs: Vec<(Key, Node)>,
    /// The key whose value comes next.
    key: Option<Key>,
    /// Line of each key so far.
    lines: BTreeMap<String, usize>,
}

/// What is wrong with a mapping.
enum Fault {
    KeyIsNoText(Position),
    Duplicate { key: Key, first_line: usize },
}

impl OpenMapping {
    /// Takes a key or the value of the last one.
    fn take(&mut self, node: Node) -> Option<Fault> {
        let Some(key) = self.key.take() else {
            return match node.kind {
                NodeKind::Scalar { text, .. } => {
                    self.key = Some(Key {
                        text,
                        position: node.position,
                    });
                    None
                }
                NodeKind::List(_) | NodeKind::Mapping(_) => Some(Fault::KeyIsNoText(node.position)),
            };
        };
        if let Some(&first_line) = self.lines.get(&key.text) {
            return Some(Fault::Duplicate { key, first_line });
        }
        self.lines.insert(key.text.clone(), key.position.line);
        self.pairs.push((key, node));
        None
    }
}

struct Frame {
    open: Open,
    position: Position,
    anchor: usize,
}

struct Reader<'a> {
    text: &'a str,
    log: &'a ProblemLog,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    node_count: usize,
    root: Option<Node>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, log: &'a ProblemLog) -> Self {
        let (stack, anchors) = (Vec::new(), BTreeMap::new());
        Self {
            text,
            log,
            stack,
            anchors,
            node_count: 0,
            root: None,
        }
    }

    /// The one document of the text; `None` with a problem in the log.
    fn document(mut self) -> Option<Node> {
        if self.text.len() > MAX_BYTES {
            self.log.add(
                "",
                format!("the plan is larger than {} MiB", MAX_BYTES >> 20),
            );
            return None;
        }
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => self.on_event(event, span)?,
                Err(error) => {
                    let position = position(*error.marker());
                    self.refuse(position, format!("not YAML or JSON: {}", error.info()));
                    return None;
                }
            }
        }
        if self.root.is_none() {
            self.log.add("", "the plan is empty");
        }
        self.root
    }

    /// Takes one event in; `None` ends the reading.
    fn on_event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let position = position(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) => self.on_document(position),
            Event::Alias(anchor) => self.on_alias(anchor, position),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text_tag = tag.as_ref().is_some_and(|tag| tag.suffix == "str");
                if tag.is_some() && !is_text_tag {
                    return self.refuse(position, "tags are not used in a plan");
                }
                let is_plain = style == ScalarStyle::Plain && !is_text_tag;
                let kind = NodeKind::Scalar {
                    text: text.into_owned(),
                    is_plain,
                };
                self.take(Node { kind, position }, anchor)
            }
            Event::SequenceStart(anchor, None) => self.open(Frame {
                open: Open::List(Vec::new()),
                position,
                anchor,
            }),
            Event::MappingStart(anchor, None) => self.open(Frame {
                open: Open::Mapping(OpenMapping::default()),
                position,
                anchor,
            }),
            Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                self.refuse(position, "tags are not used in a plan")
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn on_document(&mut self, position: Position) -> Option<()> {
        match self.root {
            None => Some(()),
            Some(_) => self.refuse(position, "a plan is one document"),
        }
    }

    fn on_alias(&mut self, anchor: usize, position: Position) -> Option<()> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return self.refuse(position, "an alias cannot stand inside its own anchor");
        };
        // What an alias repeats counts as if it were written out: a bomb of aliases ends here.
        self.node_count = self.node_count.saturating_add(count(&node));
        if self.stack.len() + depth(&node) > MAX_DEPTH {
            return self.refuse(position, format!("nested deeper than {MAX_DEPTH}"));
        }
        self.take(Node { position, ..node }, 0)
    }

    fn open(&mut self, frame: Frame) -> Option<()> {
        if self.stack.len() >= MAX_DEPTH {
            return self.refuse(frame.position, format!("nested deeper than {MAX_DEPTH}"));
        }
        self.stack.push(frame);
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let frame = self.stack.pop()?;
        let kind = match frame.open {
            Open::List(items) => NodeKind::List(items),
            Open::Mapping(mapping) => NodeKind::Mapping(mapping.pairs),
        };
        self.take(
            Node {
                kind,
                position: frame.position,
            },
            frame.anchor,
        )
    }

    /// Puts a finished node where it belongs.
    fn take(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.node_count += 1;
        if self.node_count > MAX_NODES {
            return self.refuse(
                node.position,
                "the plan is too large once aliases are written out",
            );
        }
        if anchor > 0 {
            // The copy counts too: an anchor on every level would else cost depth times size.
            self.node_count = self.node_count.saturating_add(count(&node));
            self.anchors.insert(anchor, node.clone());
        }
        let fault = match self.stack.last_mut() {
            None => {
                self.root = Some(node);
                None
            }
            Some(Frame {
                open: Open::List(items),
                ..
            }) => {
                items.push(node);
                None
            }
            Some(Frame {
                open: Open::Mapping(mapping),
                ..
            }) => mapping.take(node),
        };
        match fault {
            None => Some(()),
            Some(Fault::KeyIsNoText(position)) => self.refuse(position, "a key must be a text"),
            Some(Fault::Duplicate { key, first_line }) => {
                let message = format!("written twice, first in line {first_line}");
                self.log
                    .add_at(join(&self.path(), &key.text), Some(key.position), message);
                Some(())
            }
        }
    }

    /// The path of what is open now.
    fn path(&self) -> String {
        let mut path = String::new();
        let inner = self.stack.len().saturating_sub(1);
        for frame in &self.stack[..inner] {
            match &frame.open {
                Open::List(items) => path.push_str(&format!("[{}]", items.len())),
                Open::Mapping(mapping) => {
                    path = join(
                        &path,
                        mapping.key.as_ref().map_or("?", |key| key.text.as_str()),
                    );
                }
            }
        }
        path
    }

    fn refuse(&self, position: Position, message: impl Into<String>) -> Option<()> {
        self.log.add_at(self.path(), Some(position), message);
        None
    }
}

/// `path.key`, or the key alone at the top.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn position(mark: saphyr_parser::Marker) -> Position {
    Position {
        line: mark.line(),
        column: mark.col() + 1,
    }
}

/// Nodes in a tree; depth is bounded by [`MAX_DEPTH`], so recursion is safe.
fn count(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Scalar { .. } => 1,
        NodeKind::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        NodeKind::Mapping(pairs) => 1 + pairs.iter().map(|(_, node)| count(node)).sum::<usize>(),
    }
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Scalar { .. } => 0,
        NodeKind::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeKind::Mapping(pairs) => {
            1 + pairs.iter().map(|(_, node)| depth(node)).max().unwrap_or(0)
        }
    }
}
