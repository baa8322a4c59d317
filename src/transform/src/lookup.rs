//! The files of lookups: read and checked once, then columns by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use dm_dynamodb::value::AttributeValue;
use sha2::{Digest as _, Sha256};

use crate::error::Cause;
use crate::error::Result;
use crate::limits::LOOKUP_ROWS_MAX;
use crate::text::hex;
use crate::{json_text, number};

/// The lookup files of a transform.
#[derive(Clone, Debug, Default)]
pub struct Files {
    tables: BTreeMap<String, std::result::Result<Table, String>>,
    digests: BTreeMap<String, String>,
}

/// The columns of one file.
#[derive(Clone, Debug, Default)]
struct Table {
    columns: BTreeMap<String, Arc<Column>>,
}

/// One column of a file, by the key of its rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    /// The file's name.
    pub file: String,
    cells: BTreeMap<String, AttributeValue>,
}

/// Why there is no such column, and whether the column is to blame instead of the file.
pub(crate) struct NoColumn {
    pub of_column: bool,
    pub message: String,
}

impl Files {
    /// Reads files by their names: `.csv` with a header, whose first column is the key, and
    /// `.json`, an object of objects. What is wrong with one is a mistake of the lookup that names
    /// it.
    pub fn read<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Self {
        let (mut tables, mut digests) = (BTreeMap::new(), BTreeMap::new());
        for (name, bytes) in files {
            let table = match name.rsplit_once('.') {
                Some((_, suffix)) if suffix.eq_ignore_ascii_case("csv") => csv(name, bytes),
                Some((_, suffix)) if suffix.eq_ignore_ascii_case("json") => json(name, bytes),
                _ => continue,
            };
            tables.insert(name.to_owned(), table);
            digests.insert(name.to_owned(), hex(&Sha256::digest(bytes)));
        }
        Self { tables, digests }
    }

    /// Returns the SHA-256 of each file's bytes.
    pub(crate) fn digests(&self) -> &BTreeMap<String, String> {
        &self.digests
    }

    pub(crate) fn column(
        &self,
        file: &str,
        column: &str,
    ) -> std::result::Result<Arc<Column>, NoColumn> {
        let list = |names: Vec<&String>| match names.as_slice() {
            [] => "there are none".to_owned(),
            names => {
                let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                format!("there are {}", names.join(", "))
            }
        };
        let Some(table) = self.tables.get(file) else {
            return Err(NoColumn {
                of_column: false,
                message: format!(
                    "there is no file {file} in configMap ({}); lookup files end with .csv or \
                     .json",
                    list(self.tables.keys().collect())
                ),
            });
        };
        let table = table.as_ref().map_err(|why| NoColumn {
            of_column: false,
            message: format!("{file} cannot be looked up: {why}"),
        })?;
        table.columns.get(column).cloned().ok_or_else(|| NoColumn {
            of_column: true,
            message: format!(
                "{file} has no column {column}; {}",
                list(table.columns.keys().collect())
            ),
        })
    }
}

impl Column {
    /// Returns the cell of the row with this key, a string or a number.
    pub fn get(&self, key: &AttributeValue) -> Result<Option<&AttributeValue>> {
        Ok(match key {
            AttributeValue::S(text) => self.cells.get(text),
            AttributeValue::N(number) => self.cells.get(&number.to_string()),
            other => {
                return Err(Cause::wrong_type(
                    "lookup",
                    "a string or a number",
                    number::kind(other),
                ));
            }
        })
    }
}

fn table(file: &str, cells: BTreeMap<String, BTreeMap<String, AttributeValue>>) -> Table {
    let column = |(name, cells)| (name, Arc::new(Column { file: file.to_owned(), cells }));
    Table { columns: cells.into_iter().map(column).collect() }
}

fn csv(file: &str, bytes: &[u8]) -> std::result::Result<Table, String> {
    // Spreadsheets write a byte order mark.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    if header.len() < 2 {
        return Err("a lookup file has a header with a key and at least one column".into());
    }
    let mut cells: BTreeMap<String, BTreeMap<String, AttributeValue>> = BTreeMap::new();
    for (at, name) in header.iter().enumerate().skip(1) {
        if header.iter().skip(1).take(at - 1).any(|earlier| earlier == name) {
            return Err(format!("the header has the column {name} twice"));
        }
        cells.insert(name.to_owned(), BTreeMap::new());
    }
    let mut keys = std::collections::BTreeSet::new();
    for (at, row) in reader.records().enumerate() {
        // The header is line 1; rows with line breaks inside move the number, which csv knows.
        let row = row.map_err(|error| error.to_string())?;
        let line = row.position().map_or(0, csv::Position::line);
        if at >= LOOKUP_ROWS_MAX {
            return Err(format!("a lookup file has at most {LOOKUP_ROWS_MAX} rows"));
        }
        let key = row.get(0).unwrap_or_default();
        if !keys.insert(key.to_owned()) {
            return Err(format!("line {line} has a key that an earlier line has"));
        }
        for (name, cell) in header.iter().zip(&row).skip(1) {
            // An empty cell is no value, so that a default applies.
            if let (Some(column), false) = (cells.get_mut(name), cell.is_empty()) {
                column.insert(key.to_owned(), AttributeValue::from(cell));
            }
        }
    }
    Ok(table(file, cells))
}

fn json(file: &str, bytes: &[u8]) -> std::result::Result<Table, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let AttributeValue::M(rows) = json_text::read(text).map_err(|cause| cause.to_string())? else {
        return Err("it is not an object of rows by their keys".into());
    };
    let mut cells: BTreeMap<String, BTreeMap<String, AttributeValue>> = BTreeMap::new();
    for (key, row) in rows {
        let AttributeValue::M(row) = row else {
            return Err("each row is an object of columns".into());
        };
        for (name, value) in row {
            cells.entry(name).or_default().insert(key.clone(), value);
        }
    }
    Ok(table(file, cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &str) {
        let files = Files::read([(name, text.as_bytes())]);
        let Err(no) = files.column(name, "v") else { panic!("{name} {text} has the column") };
        assert_eq!(no.message, format!("{name} cannot be looked up: {expected}"));
    }

    #[test]
    fn files_that_cannot_be_looked_up_are_named() {
        check("a.csv", "key\n", "a lookup file has a header with a key and at least one column");
        check("a.csv", "k,v,v\n", "the header has the column v twice");
        check("a.csv", "k,v\nx,1\nx,2\n", "line 3 has a key that an earlier line has");
        check("a.json", "[]", "it is not an object of rows by their keys");
        check("a.json", "{\"x\": 1}", "each row is an object of columns");
        check("a.json", "{", "the string is not JSON: an object does not end");
        let uneven = Files::read([("a.csv", b"k,v\nx\n".as_slice())]);
        let Err(no) = uneven.column("a.csv", "v") else { panic!("an uneven file is read") };
        assert!(no.message.starts_with("a.csv cannot be looked up: CSV error"), "{}", no.message);
    }

    fn cell(name: &str, bytes: &[u8], key: &str, column: &str) -> Option<AttributeValue> {
        let files = Files::read([(name, bytes)]);
        let Ok(column) = files.column(name, column) else { panic!("{name} has no {column}") };
        column.get(&key.into()).unwrap().cloned()
    }

    #[test]
    fn files_of_spreadsheets_are_read() {
        let csv = "\u{feff}key,\"the name\",note\r\n\"a,1\",\"says \"\"hi\"\"\",\"two\r\nlines\"\r\nb, x ,\r\n";
        let cell = |key, column| cell("a.csv", csv.as_bytes(), key, column);
        assert_eq!(cell("a,1", "the name"), Some("says \"hi\"".into()));
        assert_eq!(cell("a,1", "note"), Some("two\r\nlines".into()));
        assert_eq!(cell("b", "the name"), Some(" x ".into()), "spaces belong to the cell");
        assert_eq!(cell("b", "note"), None, "an empty cell is absent");
        assert_eq!(cell("c", "note"), None);
    }

    #[test]
    fn cells_of_json_files_keep_their_type_and_depth() {
        let json = br#"{"a": {"v": {"list": [1.50, null], "m": {"x": true}}}, "b": {"w": 1}}"#;
        let cell = |key, column| cell("a.json", json, key, column).map(|value| value.to_json());
        assert_eq!(
            cell("a", "v"),
            Some(serde_json::json!({"M": {
                "list": {"L": [{"N": "1.5"}, {"NULL": true}]}, "m": {"M": {"x": {"BOOL": true}}},
            }}))
        );
        assert_eq!(cell("b", "v"), None, "rows need not have all columns");
    }

    #[test]
    fn other_files_are_not_read() {
        let files = Files::read([("README.md", b"x".as_slice()), ("a.CSV", b"k,v\n".as_slice())]);
        assert_eq!(files.tables.keys().collect::<Vec<_>>(), ["a.CSV"]);
    }
}
