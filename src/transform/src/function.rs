//! The functions of the language by their names, and how many arguments each takes.
//!
//! Functions whose arguments have to be written out (paths, patterns, files) are read by the parser
//! itself and have separate nodes; they are listed here, so that one table names every function.

use dm_dynamodb::value::AttributeType;

/// Functions of values: all arguments are evaluated first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Concat,
    Lower,
    Upper,
    Trim,
    Replace,
    Substring,
    PadLeft,
    RoundTo,
    Floor,
    Ceil,
    Abs,
    Number,
    String,
    List,
    Set,
    Map,
    Json,
    ParseJson,
    ListAppend,
    Union,
    Difference,
    Epoch,
    Iso8601,
    Now,
    Size,
    Hash,
    Uuid5,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Value(Function),
    If,
    IfNotExists,
    Lookup,
    Split,
    Matches,
    Exists,
    NotExists,
    Type,
    BeginsWith,
    Contains,
}

/// A function: its name, what it is, and the fewest and most arguments.
pub(crate) struct Signature {
    pub name: &'static str,
    pub named: Named,
    pub fewest: usize,
    pub most: usize,
}

/// Any number of arguments, which the length of an expression bounds.
const MANY: usize = usize::MAX;

const fn of(name: &'static str, function: Function, fewest: usize, most: usize) -> Signature {
    Signature { name, named: Named::Value(function), fewest, most }
}

const fn special(name: &'static str, named: Named, fewest: usize, most: usize) -> Signature {
    Signature { name, named, fewest, most }
}

/// Every function, in the order of the reference page.
pub(crate) const FUNCTIONS: [Signature; 37] = [
    of("concat", Function::Concat, 1, MANY),
    of("lower", Function::Lower, 1, 1),
    of("upper", Function::Upper, 1, 1),
    of("trim", Function::Trim, 1, 1),
    of("replace", Function::Replace, 3, 3),
    of("substring", Function::Substring, 2, 3),
    of("pad_left", Function::PadLeft, 3, 3),
    special("split", Named::Split, 2, 3),
    special("matches", Named::Matches, 2, 2),
    of("round_to", Function::RoundTo, 2, 2),
    of("floor", Function::Floor, 1, 1),
    of("ceil", Function::Ceil, 1, 1),
    of("abs", Function::Abs, 1, 1),
    of("number", Function::Number, 1, 1),
    of("epoch", Function::Epoch, 1, 2),
    of("iso8601", Function::Iso8601, 1, 2),
    of("now", Function::Now, 0, 0),
    of("string", Function::String, 1, 1),
    of("list", Function::List, 0, MANY),
    of("set", Function::Set, 1, MANY),
    of("list_append", Function::ListAppend, 2, 2),
    of("union", Function::Union, 2, 2),
    of("difference", Function::Difference, 2, 2),
    of("map", Function::Map, 0, MANY),
    of("json", Function::Json, 1, 1),
    of("parse_json", Function::ParseJson, 1, 1),
    special("if", Named::If, 3, 3),
    special("if_not_exists", Named::IfNotExists, 2, 2),
    of("size", Function::Size, 1, 1),
    special("lookup", Named::Lookup, 3, 4),
    of("hash", Function::Hash, 1, 1),
    of("uuid5", Function::Uuid5, 2, 2),
    special("attribute_exists", Named::Exists, 1, 1),
    special("attribute_not_exists", Named::NotExists, 1, 1),
    special("attribute_type", Named::Type, 2, 2),
    special("begins_with", Named::BeginsWith, 2, 2),
    special("contains", Named::Contains, 2, 2),
];

impl Function {
    /// Whether its value has all that its arguments have.
    pub fn keeps_all(self) -> bool {
        matches!(
            self,
            Self::Concat
                | Self::List
                | Self::Set
                | Self::Map
                | Self::Json
                | Self::ListAppend
                | Self::Union
        )
    }

    /// Returns the types that the argument at this place may have; none if any will do.
    pub fn takes(self, at: usize) -> Option<(&'static [AttributeType], &'static str)> {
        const STRING: (&[AttributeType], &str) = (&[AttributeType::S], "a string");
        const NUMBER: (&[AttributeType], &str) = (&[AttributeType::N], "a number");
        const SETS: (&[AttributeType], &str) =
            (&[AttributeType::Ss, AttributeType::Ns, AttributeType::Bs], "a set");
        Some(match (self, at) {
            (Self::Substring, 1 | 2)
            | (Self::PadLeft, 1)
            | (Self::RoundTo | Self::Floor | Self::Ceil | Self::Abs, _)
            | (Self::Iso8601, 0) => NUMBER,
            (Self::Concat, _) => (&[AttributeType::S], "a string (string(a) makes one)"),
            (
                Self::Lower
                | Self::Upper
                | Self::Trim
                | Self::Replace
                | Self::Substring
                | Self::PadLeft
                | Self::ParseJson
                | Self::Epoch
                | Self::Iso8601
                | Self::Uuid5,
                _,
            ) => STRING,
            (Self::Map, at) if at.is_multiple_of(2) => STRING,
            (Self::Number, _) => (&[AttributeType::S, AttributeType::N], "a string or a number"),
            (Self::String, _) => (
                &[AttributeType::S, AttributeType::N, AttributeType::Bool],
                "a string, a number or a truth value",
            ),
            (Self::ListAppend, _) => (&[AttributeType::L], "a list"),
            (Self::Union | Self::Difference, _) => SETS,
            (Self::Set, _) => (
                &[
                    AttributeType::S,
                    AttributeType::N,
                    AttributeType::B,
                    AttributeType::L,
                    AttributeType::Ss,
                    AttributeType::Ns,
                    AttributeType::Bs,
                ],
                "strings, numbers, binaries, a list or a set",
            ),
            (Self::Size, _) => (
                &[
                    AttributeType::S,
                    AttributeType::B,
                    AttributeType::Ss,
                    AttributeType::Ns,
                    AttributeType::Bs,
                    AttributeType::L,
                    AttributeType::M,
                ],
                "a string, a binary, a set, a list or a map",
            ),
            (Self::List | Self::Map | Self::Json | Self::Now | Self::Hash, _) => {
                return None;
            }
        })
    }

    pub fn name(self) -> &'static str {
        let is_it = |signature: &&Signature| signature.named == Named::Value(self);
        FUNCTIONS.iter().find(is_it).map_or("", |signature| signature.name)
    }
}

/// Returns the function of that name, in exactly this spelling.
pub(crate) fn named(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.name == name)
}

/// Returns the function whose name is spelled most like this one, if any is close.
pub(crate) fn similar(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let close = |known: &&str| {
        let begins = known.starts_with(&name) || name.starts_with(*known);
        (begins && known.len().min(name.len()) > 2) || distance(&name, known) <= 2
    };
    let known = FUNCTIONS.iter().map(|signature| signature.name);
    known.filter(|known| close(known)).min_by_key(|known| distance(&name, known))
}

/// How many letters have to be added, removed or replaced.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_one_name() {
        for (at, signature) in FUNCTIONS.iter().enumerate() {
            assert!(signature.fewest <= signature.most, "{}", signature.name);
            let first = FUNCTIONS.iter().position(|other| other.name == signature.name);
            assert_eq!(first, Some(at), "{}", signature.name);
            if let Named::Value(function) = signature.named {
                assert_eq!(function.name(), signature.name);
            }
        }
    }

    #[test]
    fn misspelled_names_have_a_neighbor() {
        for (name, expected) in [
            ("rond_to", Some("round_to")),
            ("UPPER", Some("upper")),
            ("upper_case", Some("upper")),
            ("if_exists", None),
            ("frobnicate", None),
        ] {
            assert_eq!(similar(name), expected, "{name}");
        }
    }
}
