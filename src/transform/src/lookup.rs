//! The files of lookups: read and checked once, then columns by key.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use dm_dynamodb::value::AttributeValue;
use sha2::{Digest as _, Sha256};

use crate::error::Cause;
use crate::error::Result;
use crate::limits::LOOKUP_ROWS_MAX;
use crate::{json_text, number};

/// What a file's bytes are, or why they are no table.
type Read = std::result::Result<Table, String>;

/// The lookup files of a transform. A file is read when a lookup names it.
#[derive(Clone, Debug, Default)]
pub struct Files<'f> {
    files: BTreeMap<&'f str, (&'f [u8], OnceCell<Read>)>,
}

/// The columns of one file.
#[derive(Clone, Debug, Default)]
struct Table {
    columns: BTreeMap<String, Arc<Column>>,
}

/// One column of a file, by the key of its rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub file: String,
    cells: BTreeMap<String, AttributeValue>,
}

/// Why there is no such column, and whether the column is to blame instead of the file.
pub(crate) struct NoColumn {
    pub of_column: bool,
    pub message: String,
}

impl<'f> Files<'f> {
    /// Takes files by their names: `.csv` with a header, whose first column is the key, and
    /// `.json`, an object of objects. Others are left out. What is wrong with one is a mistake of
    /// the lookup that names it.
    pub fn of(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Self {
        let files = files.into_iter().filter(|(name, _)| is(name, "csv") || is(name, "json"));
        Self { files: files.map(|(name, bytes)| (name, (bytes, OnceCell::new()))).collect() }
    }

    /// Returns the SHA-256 of the bytes of each file that a lookup has named. Others may be reports
    /// next to the manifest, and differ in each run.
    pub(crate) fn digests(&self) -> BTreeMap<&str, String> {
        let named = self.files.iter().filter(|(_, (_, table))| table.get().is_some());
        let digest = |(name, (bytes, _)): (&&'f str, &(&[u8], _))| {
            (*name, hex::encode(Sha256::digest(bytes)))
        };
        named.map(digest).collect()
    }

    pub(crate) fn column(
        &self,
        file: &str,
        column: &str,
    ) -> std::result::Result<Arc<Column>, NoColumn> {
        let list = |names: Vec<&str>| match names.as_slice() {
            [] => "there are none".to_owned(),
            // A name may have spaces at its ends.
            [name] => format!("there is '{name}'"),
            names => format!("there are '{}'", names.join("', '")),
        };
        let Some((bytes, table)) = self.files.get(file) else {
            return Err(NoColumn {
                of_column: false,
                message: format!(
                    "there is no file {file} in configMap ({}); lookup files end with .csv or \
                     .json",
                    list(self.files.keys().copied().collect())
                ),
            });
        };
        // Spreadsheets and editors write a byte order mark.
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let read = || if is(file, "csv") { csv(file, bytes) } else { json(file, bytes) };
        let table = table.get_or_init(read).as_ref().map_err(|why| NoColumn {
            of_column: false,
            message: format!("{file} cannot be looked up: {why}"),
        })?;
        table.columns.get(column).cloned().ok_or_else(|| NoColumn {
            of_column: true,
            message: format!(
                "{file} has no column {column}; {}",
                list(table.columns.keys().map(String::as_str).collect())
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

/// Whether the file's name ends with this suffix.
fn is(name: &str, suffix: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(suffix))
}

fn table(file: &str, cells: BTreeMap<String, BTreeMap<String, AttributeValue>>) -> Table {
    let column = |(name, cells)| (name, Arc::new(Column { file: file.to_owned(), cells }));
    Table { columns: cells.into_iter().map(column).collect() }
}

fn csv(file: &str, bytes: &[u8]) -> Read {
    check_quotes(bytes)?;
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let header = reader.headers().map_err(|error| unreadable(&error))?.clone();
    if header.len() < 2 {
        return Err("a lookup file has a header with a key and at least one column, separated by \
                    commas: key,name"
            .into());
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
        let row = row.map_err(|error| unreadable(&error))?;
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

/// Refuses what the reader of CSV would read as something else: a quote that is not closed, which
/// makes one cell of all that follows, and text behind one that is (RFC 4180, section 2).
fn check_quotes(bytes: &[u8]) -> std::result::Result<(), String> {
    #[derive(Clone, Copy)]
    enum At {
        Start,
        Plain,
        /// In quotes, opened in this line.
        Quoted(usize),
        /// Behind the closing quote, which may be the first of two.
        Closed(usize),
    }
    let (mut at, mut line) = (At::Start, 1);
    for (place, byte) in bytes.iter().enumerate() {
        at = match (at, byte) {
            (At::Quoted(opened), b'"') => At::Closed(opened),
            (At::Quoted(_), _) => at,
            (At::Closed(opened), b'"') => At::Quoted(opened),
            (At::Start, b'"') => At::Quoted(line),
            (At::Start | At::Plain | At::Closed(_), b',' | b'\n' | b'\r') => At::Start,
            (At::Closed(_), _) => {
                return Err(format!("line {line} has text behind a closing quote"));
            }
            (At::Start | At::Plain, _) => At::Plain,
        };
        let ends_line = *byte == b'\n' || *byte == b'\r' && bytes.get(place + 1) != Some(&b'\n');
        line += usize::from(ends_line);
    }
    match at {
        At::Quoted(opened) => Err(format!("the quote that opens in line {opened} is not closed")),
        At::Start | At::Plain | At::Closed(_) => Ok(()),
    }
}

/// What is wrong with a line.
fn unreadable(error: &csv::Error) -> String {
    let line = |place: &Option<csv::Position>| place.as_ref().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            format!("line {} has {len} cells, and the header has {expected_len}", line(pos))
        }
        csv::ErrorKind::Utf8 { pos, .. } => format!("line {} is not UTF-8", line(pos)),
        _ => error.to_string(),
    }
}

fn json(file: &str, bytes: &[u8]) -> Read {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let AttributeValue::M(rows) = json_text::read(text).map_err(|cause| cause.to_string())? else {
        return Err("it is not an object of rows by their keys".into());
    };
    let mut cells: BTreeMap<String, BTreeMap<String, AttributeValue>> = BTreeMap::new();
    for (key, row) in rows {
        let AttributeValue::M(row) = row else {
            return Err("each row is an object of columns: {\"key\": {\"column\": value}}".into());
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
        let files = Files::of([(name, text.as_bytes())]);
        let Err(no) = files.column(name, "v") else { panic!("{name} {text} has the column") };
        assert_eq!(no.message, format!("{name} cannot be looked up: {expected}"));
    }

    #[test]
    fn files_that_cannot_be_looked_up_are_named() {
        let header = "a lookup file has a header with a key and at least one column, separated by \
                      commas: key,name";
        check("a.csv", "key\n", header);
        check("a.csv", "key;v\nx;1\n", header);
        check("a.csv", "k,v,v\n", "the header has the column v twice");
        check("a.csv", "k,v\nx,1\nx,2\n", "line 3 has a key that an earlier line has");
        check("a.json", "[]", "it is not an object of rows by their keys");
        let rows = "each row is an object of columns: {\"key\": {\"column\": value}}";
        check("a.json", "{\"x\": 1}", rows);
        check("a.json", "{", "the string is not JSON: an object does not end");
        check("a.csv", "k,v\nx\n", "line 2 has 1 cells, and the header has 2");
        let open = "the quote that opens in line 3 is not closed";
        check("a.csv", "k,v\na,1\nb,\"two\nc,3\n", open);
        check("a.csv", "\u{feff}k,v\r\na,1\r\nb,\"two\"\"\r\nc,3\r\n", open);
        check("a.csv", "k,v\na,\"two\"x\n", "line 2 has text behind a closing quote");
        let latin = Files::of([("a.csv", b"k,v\nx,\xe4\n".as_slice())]);
        let Err(no) = latin.column("a.csv", "v") else { panic!("it is not UTF-8") };
        assert!(no.message.ends_with("line 2 is not UTF-8"), "{}", no.message);
    }

    fn cell(name: &str, bytes: &[u8], key: &str, column: &str) -> Option<AttributeValue> {
        let files = Files::of([(name, bytes)]);
        let Ok(column) = files.column(name, column) else { panic!("{name} has no {column}") };
        column.get(&key.into()).unwrap().cloned()
    }

    #[test]
    fn files_of_spreadsheets_are_read() {
        let csv = "\u{feff}key,\"the name\",note\r\n\"a,1\",\"says \"\"hi\"\"\",\"two\r\n\
                   lines\"\r\nb, x ,\r\n";
        let cell = |key, column| cell("a.csv", csv.as_bytes(), key, column);
        assert_eq!(cell("a,1", "the name"), Some("says \"hi\"".into()));
        assert_eq!(cell("a,1", "note"), Some("two\r\nlines".into()));
        assert_eq!(cell("b", "the name"), Some(" x ".into()), "spaces belong to the cell");
        assert_eq!(cell("b", "note"), None, "an empty cell is absent");
        assert_eq!(cell("c", "note"), None);
    }

    #[test]
    fn cells_of_json_files_keep_their_type_and_depth() {
        let json = "\u{feff}{\"a\": {\"v\": 1}}";
        assert!(cell("a.json", json.as_bytes(), "a", "v").is_some(), "a byte order mark");
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
    fn only_files_that_a_lookup_names_are_read() {
        let files = Files::of([("a.csv", b"k,v\nx,1\n".as_slice()), ("b.csv", b"k,v\n")]);
        assert!(files.column("a.csv", "v").is_ok());
        let read: Vec<_> = files.files.values().map(|(_, table)| table.get().is_some()).collect();
        assert_eq!(read, [true, false]);
    }

    #[test]
    fn other_files_are_left_out() {
        let files = Files::of([("README.md", b"x".as_slice()), ("a.CSV", b"k,v\n".as_slice())]);
        assert_eq!(files.files.keys().collect::<Vec<_>>(), [&"a.CSV"]);
    }
}
