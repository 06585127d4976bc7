//! Arguments of the steps that have several.

use super::declare::{choice, object, plain_choice};
use super::name::{Decimal, EntityRef, Name, Sql};
use super::ordered::{Ordered, Several};
use super::scalar::Value;
use super::step::Pipeline;
use super::vocabulary::{Ambiguous, MapElse, Unfit};

object! {
    /// Columns joined by a separator.
    pub struct Concat {
        /// Between two columns; empty where it is left out.
        "sep" sep: Option<String>,
        /// The columns.
        "cols" cols: Several<Name>,
    }
}

object! {
    /// Values and what they become.
    pub struct MapRule {
        /// Old value, read as text, to new value.
        "table" table: Ordered<Value>,
        /// What happens to a value that is not listed; default: the entity's `on_row_error`.
        "else" otherwise: Option<MapElse>,
    }
}

object! {
    /// A reference to a row of another entity, or of this one.
    pub struct Fk {
        /// The entity it refers to.
        "entity" entity: EntityRef,
        /// The referencing columns, for a composite key; then `fk` is the first step.
        "cols" cols: Option<Several<Name>>,
        /// What happens where the row it refers to does not exist or is filtered out.
        "orphan" orphan: Option<Unfit>,
        /// The entity it refers to may come later: both ends are looked at again once they are loaded.
        "deferred" deferred: Option<bool>,
        /// Unique columns that are not the key of the other entity.
        #[schemars(default)]
        "by" by: Vec<Name>,
        /// Every element of an array is a reference.
        "each" each: Option<bool>,
        /// Where it stands inside JSON, for instance `$.items[*].office_id`.
        "path" path: Option<String>,
    }
}

object! {
    /// From local time to a moment.
    pub struct Tz {
        /// Time zone of the local time; default: `timezone` of the entity or of `defaults`.
        "from" from: Option<Name>,
        /// A local time that came twice.
        "ambiguous" ambiguous: Option<Ambiguous>,
        /// A local time that never was.
        "gap" gap: Option<Unfit>,
    }
}

object! {
    /// Arithmetic on a number.
    pub struct Unit {
        /// Factor.
        "mul" mul: Option<Decimal>,
        /// Added after the factor.
        "add" add: Option<Decimal>,
        /// Digits behind the point to round to, half away from zero.
        "round" round: Option<u32>,
        /// Digits behind the point of the result; a value with more does not fit.
        "scale" scale: Option<u32>,
    }
}

object! {
    /// A condition and its pipeline.
    pub struct WhenCase {
        /// SQL condition over the source row; NULL does not hold.
        "if" condition: Sql,
        /// What the column becomes.
        "then" then: Pipeline,
    }
}

choice! {
    /// Part of a polymorphic reference.
    pub enum PolymorphicPart {
        /// The new id.
        Id = "id";
        /// The entity type.
        Type = "type";
    }
}

choice! {
    /// A side of a text.
    pub enum Side {
        /// At its begin.
        Left = "left";
        /// At its end.
        Right = "right";
    }
}

plain_choice!(PolymorphicPart, Side);

object! {
    /// Filling up to a length; a text that is longer stays whole.
    pub struct Pad {
        /// The length in characters.
        "to" to: u32,
        /// What fills; a space where it is left out.
        "with" with: Option<String>,
        /// Where it is put; left where it is left out.
        "side" side: Option<Side>,
    }
}

object! {
    /// One text for another.
    pub struct Replace {
        /// What is replaced.
        "from" from: String,
        /// What takes its place.
        "to" to: String,
    }
}

object! {
    /// A replacement by regular expression, as PostgreSQL reads it.
    pub struct Regex {
        /// The expression.
        "pattern" pattern: Name,
        /// What takes the place of every match; `\1` is the first group.
        "replace" replace: String,
    }
}

object! {
    /// A telephone number.
    pub struct Phone {
        /// Country of a number without a country code.
        "region" region: Option<Name>,
        /// Form of the result.
        "out" out: Option<PhoneForm>,
    }
}

choice! {
    /// Form of a telephone number.
    pub enum PhoneForm {
        /// `+` and digits.
        E164 = "e164";
    }
}

choice! {
    /// Algorithm of a hash.
    pub enum HashAlgorithm {
        /// SHA-256.
        Sha256 = "sha256";
        /// SHA-512.
        Sha512 = "sha512";
    }
}

plain_choice!(PhoneForm, HashAlgorithm);

object! {
    /// A part of a text, by its number or from a number on; empty where there is none.
    pub struct Split {
        /// Separator.
        "sep" sep: Name,
        /// Which part, from 0.
        "index" index: Option<u32>,
        /// Everything from this part on, separators included.
        "rest" rest: Option<u32>,
    }
}

object! {
    /// A value from a small table.
    pub struct Lookup {
        /// A source table.
        "table" table: Option<Name>,
        /// Or an entity.
        "entity" entity: Option<EntityRef>,
        /// The column that is compared.
        "by" by: Name,
        /// The column that is taken.
        "take" take: Name,
        /// What happens to a value that finds no row; default: the entity's `on_row_error`.
        "else" otherwise: Option<Unfit>,
    }
}

object! {
    /// An array of values of child rows.
    pub struct ArrayAgg {
        /// Table of the child rows.
        "source" source: Name,
        /// Its column that refers to this row.
        "by" by: Name,
        /// The value of one element.
        "value" value: Pipeline,
        /// Order of the elements.
        "order_by" order_by: Option<Sql>,
        /// Which child rows.
        "where" filter: Option<Sql>,
        /// Every value once.
        "distinct" distinct: Option<bool>,
    }
}

object! {
    /// A hash.
    pub struct Hash {
        /// Algorithm; SHA-256 where it is left out.
        "algorithm" algorithm: Option<HashAlgorithm>,
    }
}

object! {
    /// A keyed hash.
    pub struct Hmac {
        /// Algorithm; SHA-256 where it is left out.
        "algorithm" algorithm: Option<HashAlgorithm>,
        /// Where the agent finds the key: `env:NAME`, a variable of its own environment.
        "key_from" key_from: Name,
    }
}

object! {
    /// Hiding all but an end.
    pub struct Mask {
        /// How many characters stay.
        "keep_last" keep_last: u32,
    }
}
