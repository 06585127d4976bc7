//! Types as far as rules tell them apart.

use std::fmt;

use crate::domain::catalog::{ColumnType, TypeKind};
use crate::domain::plan::CastType;

/// Types whose binary form is an object's number in one database, that have none, or whose binary form
/// PostgreSQL does not always take back (an empty `tsquery`).
const TEXT_ONLY: [&str; 14] = [
    "tsquery",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regclass",
    "regcollation",
    "regtype",
    "regrole",
    "regnamespace",
    "regconfig",
    "regdictionary",
    "aclitem",
    "gtsvector",
];

/// The name of `varchar` without its length.
const VARCHAR: &str = "character varying";

/// A type of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ty {
    /// NULL without a type (`const: null`).
    Null,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `numeric`; with bounds where they are known: precision and scale.
    Numeric(Option<(u16, i16)>),
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `boolean`.
    Bool,
    /// `text` and `varchar(n)`, with the longest length in characters where it is known.
    Text(Option<u32>),
    /// `char(n)`.
    Char(Option<u32>),
    /// An enum: its labels.
    Enum(Vec<String>),
    /// `citext`, whose binary form is text.
    Citext,
    /// `uuid`.
    Uuid,
    /// `date`.
    Date,
    /// `timestamp`, with its precision where it is less than microseconds.
    Timestamp(Option<u8>),
    /// `timestamptz`, likewise.
    Timestamptz(Option<u8>),
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
    /// An array of a built-in type.
    Array(Box<Self>),
    /// Another built-in type: the same in every database. Name without and with arguments.
    Builtin {
        /// `format_type(oid, NULL)`.
        base: String,
        /// `format_type(oid, typmod)`.
        full: String,
    },
    /// A type of one database only, or without a binary form that means the same in another: it
    /// travels as text.
    User(String),
}

impl Ty {
    /// The type of a column or an expression.
    pub fn of(column: &ColumnType) -> Self {
        match column.kind {
            TypeKind::Builtin => Self::builtin(&column.base, column.typmod, &column.sql),
            TypeKind::BuiltinArray => {
                let element = column.base.strip_suffix("[]").unwrap_or(&column.base);
                match Self::builtin(element, column.typmod, element) {
                    Self::User(_) => Self::User(column.sql.clone()),
                    Self::Text(_) if element == VARCHAR => Self::Array(Box::new(Self::varchar())),
                    element => Self::Array(Box::new(element)),
                }
            }
            TypeKind::Enum => Self::Enum(column.enum_labels.clone()),
            TypeKind::Other if is_citext(&column.base) => Self::Citext,
            TypeKind::Other => Self::User(column.sql.clone()),
        }
    }

    /// `varchar` as an element: an array says in its binary form that it is not `text`.
    fn varchar() -> Self {
        Self::Builtin {
            base: VARCHAR.to_owned(),
            full: VARCHAR.to_owned(),
        }
    }

    /// The type of an element outside of its array.
    pub fn alone(&self) -> Self {
        match self.is_varchar_element() {
            true => Self::Text(None),
            false => self.clone(),
        }
    }

    /// Whether it is a `varchar` as an element.
    pub fn is_varchar_element(&self) -> bool {
        matches!(self, Self::Builtin { base, .. } if base == VARCHAR)
    }

    fn builtin(base: &str, typmod: i32, full: &str) -> Self {
        let length = || u32::try_from(typmod - 4).ok();
        let precision = || u8::try_from(typmod).ok().filter(|precision| *precision < 6);
        match base {
            "smallint" => Self::Int2,
            "integer" => Self::Int4,
            "bigint" => Self::Int8,
            "numeric" => Self::Numeric(numeric_bounds(typmod)),
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "boolean" => Self::Bool,
            "text" => Self::Text(None),
            "character varying" => Self::Text(length()),
            "character" | "bpchar" => Self::Char(length()),
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "timestamp without time zone" => Self::Timestamp(precision()),
            "timestamp with time zone" => Self::Timestamptz(precision()),
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            _ if TEXT_ONLY.contains(&base) => Self::User(full.to_owned()),
            _ => Self::Builtin {
                base: base.to_owned(),
                full: full.to_owned(),
            },
        }
    }

    /// The type that a `cast` names.
    pub fn of_cast(cast: CastType) -> Self {
        match cast {
            CastType::Smallint => Self::Int2,
            CastType::Integer => Self::Int4,
            CastType::Bigint => Self::Int8,
            CastType::Numeric(bounds) => Self::Numeric(bounds),
            CastType::Real => Self::Float4,
            CastType::Double => Self::Float8,
            CastType::Boolean => Self::Bool,
            CastType::Text => Self::Text(None),
            CastType::Varchar(length) => Self::Text(length),
            CastType::Char(length) => Self::Char(Some(length)),
            CastType::Uuid => Self::Uuid,
            CastType::Date => Self::Date,
            CastType::Timestamp => Self::Timestamp(None),
            CastType::Timestamptz => Self::Timestamptz(None),
            CastType::Json => Self::Json,
            CastType::Jsonb => Self::Jsonb,
        }
    }

    /// How SQL names the type, in any database; arrays and built-in types by their own name.
    pub fn sql(&self) -> String {
        match self {
            Self::Null | Self::Text(_) | Self::Enum(_) | Self::Citext => "text".to_owned(),
            Self::Int2 => "smallint".to_owned(),
            Self::Int4 => "integer".to_owned(),
            Self::Int8 => "bigint".to_owned(),
            Self::Numeric(_) => "numeric".to_owned(),
            Self::Float4 => "real".to_owned(),
            Self::Float8 => "double precision".to_owned(),
            Self::Bool => "boolean".to_owned(),
            Self::Char(Some(length)) => format!("character({length})"),
            Self::Char(None) => "bpchar".to_owned(),
            Self::Uuid => "uuid".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Timestamp(None) => "timestamp".to_owned(),
            Self::Timestamp(Some(precision)) => format!("timestamp({precision})"),
            Self::Timestamptz(None) => "timestamptz".to_owned(),
            Self::Timestamptz(Some(precision)) => format!("timestamptz({precision})"),
            Self::Json => "json".to_owned(),
            Self::Jsonb => "jsonb".to_owned(),
            Self::Array(element) => format!("{}[]", element.sql()),
            Self::Builtin { full, .. } => full.clone(),
            Self::User(name) => name.clone(),
        }
    }

    /// Whether it is text: something that `lower` and its like work on.
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Text(_) | Self::Char(_) | Self::Enum(_) | Self::Citext
        )
    }

    /// Whether it is an integer.
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
    }

    /// Bounds of an exact number: digits before the point and scale.
    pub fn exact_bounds(&self) -> Option<(i32, i32)> {
        match self {
            Self::Int2 => Some((5, 0)),
            Self::Int4 => Some((10, 0)),
            Self::Int8 => Some((19, 0)),
            Self::Numeric(Some((precision, scale))) => {
                Some((i32::from(*precision) - i32::from(*scale), i32::from(*scale)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(Some(length)) => write!(f, "varchar({length})"),
            Self::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            Self::Enum(_) => f.write_str("enum"),
            Self::Citext => f.write_str("citext"),
            Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Numeric(None)
            | Self::Float4
            | Self::Float8
            | Self::Bool
            | Self::Text(None)
            | Self::Char(_)
            | Self::Uuid
            | Self::Date
            | Self::Timestamp(_)
            | Self::Timestamptz(_)
            | Self::Json
            | Self::Jsonb
            | Self::Array(_)
            | Self::Builtin { .. }
            | Self::User(_) => f.write_str(&self.sql()),
        }
    }
}

/// Precision and scale of a numeric's type modifier; the scale has 11 bits and may be negative.
fn numeric_bounds(typmod: i32) -> Option<(u16, i16)> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = u16::try_from(packed >> 16).ok()?;
    let scale = i16::try_from(((packed & 0x7ff) ^ 1024) - 1024).ok()?;
    Some((precision, scale))
}

/// `citext`, in whatever schema the extension lives.
fn is_citext(base: &str) -> bool {
    base == "citext" || base.ends_with(".citext")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_varchar_and_of_text_differ() {
        let column = |base: &str| ColumnType {
            sql: base.to_owned(),
            base: base.to_owned(),
            typmod: -1,
            kind: TypeKind::BuiltinArray,
            enum_labels: Vec::new(),
            is_deterministic: true,
        };
        let varchars = Ty::of(&column("character varying[]"));
        assert_eq!(varchars.sql(), "character varying[]");
        assert_ne!(varchars, Ty::of(&column("text[]")));
        assert_eq!(
            Ty::of(&column("regclass[]")),
            Ty::User("regclass[]".to_owned())
        );
    }

    #[test]
    fn type_modifiers_are_read_as_postgres_packs_them() {
        let cases = [
            ("numeric", ((12 << 16) | 2) + 4, Ty::Numeric(Some((12, 2)))),
            (
                "numeric",
                ((5 << 16) | (-2i32 & 0x7ff)) + 4,
                Ty::Numeric(Some((5, -2))),
            ),
            ("numeric", -1, Ty::Numeric(None)),
            ("character varying", 44, Ty::Text(Some(40))),
            ("character varying", -1, Ty::Text(None)),
            ("character", 5, Ty::Char(Some(1))),
            ("timestamp without time zone", 0, Ty::Timestamp(Some(0))),
            ("timestamp without time zone", 6, Ty::Timestamp(None)),
            ("timestamp with time zone", -1, Ty::Timestamptz(None)),
            ("regclass", -1, Ty::User("regclass".to_owned())),
        ];
        for (base, typmod, expected) in cases {
            assert_eq!(Ty::builtin(base, typmod, base), expected, "{base} {typmod}");
        }
    }
}
