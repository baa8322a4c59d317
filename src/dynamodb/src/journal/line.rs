//! Records as lines of JSON, so that people can read a journal with ordinary tools. What is not
//! understood is refused: a field that this version does not know may change what the others mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    After, ControlEntry, Entry, ItemDigest, Record, Sequence, Settled, TransactionMark, ValueDigest,
};
use crate::value::{Item, ItemText, item_from_json};

/// Why a line is no record. Never shows the line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Its JSON is not a record's.
    #[error("reading a journal's line")]
    Json(#[source] serde_json::Error),
    /// An image in it is not an item.
    #[error("reading an image of a journal's entry: {0}")]
    Image(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
// Nearly every line is an entry, so a box would cost an allocation for each.
#[allow(clippy::large_enum_variant)]
enum Line<'a, I> {
    Entry(EntryLine<'a, I>),
    Settled(SettledLine),
    UnderWay(Vec<u32>),
    Control(ControlLine),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ControlLine {
    sequence: u64,
    operation: String,
    tables: Vec<String>,
}

/// An entry with its images: text to be written, or JSON that was read.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EntryLine<'a, I> {
    sequence: u64,
    table: Cow<'a, str>,
    key: I,
    // Null says that there is no item; a line that says nothing is no record.
    #[serde(deserialize_with = "Option::deserialize")]
    before: Option<I>,
    #[serde(deserialize_with = "Option::deserialize")]
    after: Option<ItemDigest>,
    changed: Cow<'a, BTreeMap<String, Option<ValueDigest>>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unverified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionMark>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SettledLine {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    written: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<u64>,
}

impl Record {
    /// Appends its line, with the line's end.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let line = match self {
            Self::Entry(entry) => Line::Entry(EntryLine {
                sequence: entry.sequence.0,
                table: Cow::Borrowed(&entry.table),
                key: ItemText(&entry.key),
                before: entry.before.as_ref().map(ItemText),
                after: entry.after.item,
                changed: Cow::Borrowed(&entry.after.attributes),
                unverified: entry.unverified,
                transaction: entry.transaction,
            }),
            Self::Settled(settled) => Line::Settled(SettledLine {
                written: settled.written.iter().map(|sequence| sequence.0).collect(),
                refused: settled.refused.iter().map(|sequence| sequence.0).collect(),
            }),
            Self::UnderWay(segments) => Line::UnderWay(segments.clone()),
            Self::Control(control) => Line::Control(ControlLine {
                sequence: control.sequence.0,
                operation: control.operation.clone(),
                tables: control.tables.clone(),
            }),
        };
        // Strings, numbers and maps with text keys: nothing here that JSON cannot hold, and nothing
        // fails to be written into memory.
        let _ = serde_json::to_writer(&mut *out, &line);
        out.push(b'\n');
    }

    pub fn read_line(line: &[u8]) -> Result<Self, LineError> {
        match serde_json::from_slice::<Line<'_, Value>>(line).map_err(LineError::Json)? {
            Line::Entry(line) => Ok(Self::Entry(Entry {
                sequence: Sequence(line.sequence),
                table: line.table.into_owned(),
                key: image(&line.key, "its key")?,
                before: line.before.map(|json| image(&json, "its before-image")).transpose()?,
                after: After { item: line.after, attributes: line.changed.into_owned() },
                unverified: line.unverified,
                transaction: line.transaction,
            })),
            Line::Settled(line) => Ok(Self::Settled(Settled {
                written: line.written.into_iter().map(Sequence).collect(),
                refused: line.refused.into_iter().map(Sequence).collect(),
            })),
            Line::UnderWay(segments) => Ok(Self::UnderWay(segments)),
            Line::Control(ControlLine { sequence, operation, tables }) => {
                let sequence = Sequence(sequence);
                Ok(Self::Control(ControlEntry { sequence, operation, tables }))
            }
        }
    }
}

fn image(json: &Value, what: &'static str) -> Result<Item, LineError> {
    item_from_json(json).map_err(|_| LineError::Image(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RequestDigest;
    use serde_json::json;

    const GOLDEN: &str = include_str!("golden.ndjson");

    fn records() -> Vec<Record> {
        let item = |json: &Value| item_from_json(json).unwrap();
        let key = item(&json!({"id": {"S": "audi-1970-1"}}));
        let before = item(&json!({
            "id": {"S": "audi-1970-1"},
            "color": {"S": "red"},
            "old": {"L": [{"NULL": true}, {"BOOL": false}]},
            "raw": {"B": "AAEC"},
        }));
        let after = item(&json!({
            "id": {"S": "audi-1970-1"},
            "color": {"S": "red"},
            "price": {"N": "1200.5"},
            "raw": {"B": "AAEC"},
        }));
        let entry = |record, before: Option<&Item>, after: Option<&Item>| {
            Record::Entry(Entry {
                sequence: Sequence::new(1, record),
                table: "cars".into(),
                key: key.clone(),
                before: before.cloned(),
                after: After::of(before, after),
                unverified: record == 3,
                transaction: (record == 4)
                    .then(|| TransactionMark::of("a-token", RequestDigest::from_bytes([7; 32]))),
            })
        };
        vec![
            entry(0, Some(&before), Some(&after)),
            entry(1, Some(&after), None),
            entry(2, None, Some(&before)),
            entry(3, Some(&after), None),
            entry(4, Some(&before), None),
            Record::Settled(Settled {
                written: vec![Sequence::new(1, 0), Sequence::new(1, 1)],
                refused: vec![Sequence::new(1, 2)],
            }),
            Record::UnderWay(vec![3, 4]),
            Record::Control(ControlEntry {
                sequence: Sequence::new(1, 6),
                operation: "CreateTable".into(),
                tables: vec!["prices".into()],
            }),
        ]
    }

    #[test]
    fn the_lines_are_those_of_the_golden_file_and_read_back_the_same() {
        let mut lines = Vec::new();
        for record in records() {
            record.write_line(&mut lines);
        }
        assert_eq!(String::from_utf8(lines).unwrap(), GOLDEN);
        let read: Vec<Record> =
            GOLDEN.lines().map(|line| Record::read_line(line.as_bytes()).unwrap()).collect();
        assert_eq!(read, records());
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_shown() {
        let entry = GOLDEN.lines().next().unwrap();
        for wrong in [
            entry.replace("\"table\"", "\"tables\""),
            entry.replace("\"cars\"", "\"cars\",\"new\":1"),
            entry.replace("sha256:", "md5:"),
            entry.replace("{\"S\":\"red\"}", "{\"S\":1}"),
            entry.replace("\"entry\"", "\"entree\""),
            entry.replace("\"before\"", "\"key\""),
            entry[..entry.len() - 1].to_owned(),
            String::new(),
        ] {
            let error = Record::read_line(wrong.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("red"), "{error}");
        }
    }
}
