//! Declares the types of the language: `object!` for mappings, `choice!` for words.
//!
//! One declaration gives the type, its reader and its JSON Schema, so that the three cannot differ.

use super::decode::At;
use super::document::NodeKind;
use super::suggest;

/// A choice of words, some with arguments.
pub(super) trait Choice: Sized {
    /// Every word.
    const WORDS: &'static [&'static str];

    /// Reads the arguments of a word.
    fn decode_word(word: &str, arguments: &At<'_>) -> Option<Self>;

    /// The word here and its arguments.
    fn decode_choice(at: &At<'_>) -> Option<Self> {
        match &at.node.kind {
            NodeKind::Scalar { text, .. } => match Self::known(text) {
                Some(word) => {
                    let bare = At {
                        is_bare: true,
                        ..at.clone()
                    };
                    Self::decode_word(word, &bare)
                }
                None => unknown_word(at, text, Self::WORDS),
            },
            NodeKind::Mapping(pairs) => match pairs.as_slice() {
                [(key, node)] => match Self::known(&key.text) {
                    Some(word) => {
                        let arguments = at.child(word, node);
                        match &node.kind {
                            NodeKind::Mapping(pairs) if pairs.is_empty() => {
                                arguments.wrong("no arguments: the bare word")
                            }
                            NodeKind::Mapping(_) | NodeKind::List(_) | NodeKind::Scalar { .. } => {
                                Self::decode_word(word, &arguments)
                            }
                        }
                    }
                    None => unknown_word(at, &key.text, Self::WORDS),
                },
                _ => at.wrong(&format!("one of {}", Self::WORDS.join(", "))),
            },
            NodeKind::List(_) => at.wrong(&format!("one of {}", Self::WORDS.join(", "))),
        }
    }

    /// The word as the language has it.
    fn known(text: &str) -> Option<&'static str> {
        Self::WORDS.iter().copied().find(|word| *word == text)
    }
}

fn unknown_word<T>(at: &At<'_>, text: &str, words: &[&str]) -> Option<T> {
    let hint = suggest::hint(text, words.iter().copied());
    at.problem(format!(
        "unknown word \"{text}\"{hint} (known: {})",
        words.join(", ")
    ));
    None
}

/// Declares a mapping: its struct, its reader and its schema. A field after `beside` is filled by
/// code, not by the document.
macro_rules! object {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $key:literal $field:ident : $ty:ty, )*
            $( beside $(#[$beside_meta:meta])* $beside:ident : $beside_ty:ty, )?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name {
            $( $(#[$field_meta])* #[schemars(rename = $key)] pub $field: $ty, )*
            $( $(#[$beside_meta])* #[schemars(skip)] pub $beside: $beside_ty, )?
        }

        impl $name {
            /// Keys of the mapping.
            #[allow(dead_code)]
            pub(in crate::domain::plan) const KEYS: &'static [&'static str] = &[$($key),*];
        }

        impl $crate::domain::plan::decode::Decode for $name {
            fn decode(at: &$crate::domain::plan::decode::At<'_>) -> Option<Self> {
                let fields = $crate::domain::plan::decode::Fields::open(at, Self::KEYS)?;
                $( let $field = fields.take::<$ty>($key); )*
                Some(Self { $( $field: $field?, )* $( $beside: Default::default(), )? })
            }
        }
    };
}

/// Declares a choice of words: its enum, its reader and its schema. `(later)` behind a word means
/// that it is not supported yet.
macro_rules! choice {
    (
        $(#[doc = $about:literal])*
        pub enum $name:ident {
            $( $(#[doc = $doc:literal])* $variant:ident $(($ty:ty))? = $word:literal $(, $later:ident)?; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $( $(#[doc = $doc])* $variant $(($ty))?, )*
        }

        impl $crate::domain::plan::declare::Choice for $name {
            const WORDS: &'static [&'static str] = &[$($word),*];

            fn decode_word(
                word: &str,
                arguments: &$crate::domain::plan::decode::At<'_>,
            ) -> Option<Self> {
                match word {
                    $( $word => {
                        let decoded = $crate::domain::plan::declare::variant!(
                            arguments, $name, $variant $(, $ty)?
                        );
                        $( $crate::domain::plan::declare::later!(arguments, $later); )?
                        decoded
                    } )*
                    _ => None,
                }
            }
        }

        impl $name {
            /// The word of a value.
            #[allow(dead_code)]
            pub fn word(&self) -> &'static str {
                match self {
                    $( Self::$variant { .. } => $word, )*
                }
            }

            /// Every word with what a schema says of it.
            pub(in crate::domain::plan) fn schema_words(
                generator: &mut schemars::SchemaGenerator,
            ) -> Vec<$crate::domain::plan::schema::Word> {
                let _ = &generator;
                vec![ $( $crate::domain::plan::schema::Word {
                    word: $word,
                    about: concat!($($doc),*).trim().to_owned(),
                    arguments: $crate::domain::plan::declare::arguments!(generator $(, $ty)?),
                    is_supported: $crate::domain::plan::declare::supported!($($later)?),
                } ),* ]
            }
        }
    };
}

/// Reads one variant of a choice.
macro_rules! variant {
    ($at:expr, $name:ident, $variant:ident) => {
        $at.no_arguments().map(|()| $name::$variant)
    };
    ($at:expr, $name:ident, $variant:ident, $ty:ty) => {
        <$ty as $crate::domain::plan::decode::Decode>::decode($at).map($name::$variant)
    };
}

/// Notes a word that is not supported yet.
macro_rules! later {
    ($at:expr, later) => {
        $at.not_yet()
    };
}

/// The schema of a variant's arguments.
macro_rules! arguments {
    ($generator:expr) => {
        None
    };
    ($generator:expr, $ty:ty) => {
        Some($generator.subschema_for::<$ty>())
    };
}

/// Whether a word is supported.
macro_rules! supported {
    () => {
        true
    };
    (later) => {
        false
    };
}

/// Makes a `choice!` readable and describable as a plain value (steps have their own form).
macro_rules! plain_choice {
    ($($name:ident),*) => { $(
        impl $crate::domain::plan::decode::Decode for $name {
            fn decode(at: &$crate::domain::plan::decode::At<'_>) -> Option<Self> {
                <Self as $crate::domain::plan::declare::Choice>::decode_choice(at)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::domain::plan::schema::one_of_words(Self::schema_words(generator))
            }
        }
    )* };
}

pub(super) use {arguments, choice, later, object, plain_choice, supported, variant};
