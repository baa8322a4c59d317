//! Tables and items for an embedded database, from a file (docs/reference/seed.md). The whole file
//! is read and checked before the first write.

mod load;
mod plain;
mod tables;
mod unique;
mod whole;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::item_from_json;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use plain::PlainError;
use tables::IndexSeed;
use unique::Unique;

pub use load::{Loaded, has_tables};
pub use whole::{discard_unfinished, is_unfinished};

/// The file's name in a folder.
pub const SEED_FILE: &str = "seed.json";

/// Bytes of one file of a seed. All of it is held in memory several times while it is loaded; more
/// data belongs into the database by way of its API.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a seed was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("reading {0}")]
    Read(PathBuf, #[source] io::Error),
    /// A folder without a seed.
    #[error("{0} has no {SEED_FILE}; docs/reference/seed.md describes the format")]
    NoSeed(PathBuf),
    /// A file that is too large.
    #[error("{0} is larger than 256 MiB; write this much data through the database's API")]
    TooLarge(PathBuf),
    /// Not JSON, or not a seed.
    #[error("{0} is not a seed: {1}")]
    Json(PathBuf, serde_json::Error),
    #[error("{file}: {at}: {why}")]
    Member {
        file: PathBuf,
        at: String,
        /// What is wrong there, and what to do.
        why: String,
    },
    /// The note that a load is not finished.
    #[error("noting in {0} that the seed is being loaded")]
    Mark(PathBuf, #[source] io::Error),
    /// What an earlier load has left.
    #[error("the seed was only partly loaded into {0}, and its tables cannot be deleted: {1}")]
    Discard(PathBuf, String),
}

impl SeedError {
    /// The line in the seed, where it is known.
    pub fn line(&self) -> usize {
        match self {
            Self::Json(_, error) => error.line().max(1),
            Self::Read(..)
            | Self::NoSeed(_)
            | Self::TooLarge(_)
            | Self::Member { .. }
            | Self::Mark(..)
            | Self::Discard(..) => 1,
        }
    }
}

/// A seed, checked as far as that is possible without a database.
#[derive(Debug)]
pub struct Seed {
    file: PathBuf,
    tables: Vec<Table>,
}

/// A table and its items.
#[derive(Debug)]
struct Table {
    name: String,
    create: Value,
    time_to_live: Option<String>,
    /// Where the items stand in the file.
    member: &'static str,
    items: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Contents {
    tables: Unique<TableSeed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TableSeed {
    key: Map<String, Value>,
    #[serde(default)]
    indexes: Unique<IndexSeed>,
    time_to_live: Option<String>,
    items: Option<Vec<Box<RawValue>>>,
    dynamodb_items: Option<Vec<Value>>,
    items_file: Option<PathBuf>,
}

/// An answer of Scan as the AWS CLI prints it.
#[derive(Deserialize)]
struct Scanned {
    #[serde(rename = "Items")]
    items: Vec<Value>,
}

impl Seed {
    /// The tables as the database will describe them, by their names.
    pub fn schemas(&self) -> BTreeMap<String, TableSchema> {
        let schema = |table: &Table| {
            // A table that the database rejects is a mistake in the seed; the load reports it.
            Some((table.name.clone(), TableSchema::from_json(&table.create).ok()?))
        };
        self.tables.iter().filter_map(schema).collect()
    }

    /// Reads a seed from a file, or from the `seed.json` of a folder.
    pub fn read(path: &Path) -> Result<Self, SeedError> {
        let file = if path.is_dir() { path.join(SEED_FILE) } else { path.to_owned() };
        if path.is_dir() && !file.is_file() {
            return Err(SeedError::NoSeed(path.to_owned()));
        }
        let text = text(&file)?;
        let contents: Contents =
            serde_json::from_str(&text).map_err(|error| SeedError::Json(file.clone(), error))?;
        let tables = contents.tables.0.into_iter().map(|(name, table)| {
            let create = tables::create_request(&name, &table.key, &table.indexes.0);
            let create = create.map_err(|wrong| wrong.in_file(&file))?;
            let (member, items) = table.items(&file, &name)?;
            check_keys(&create, &items).map_err(|(at, why)| {
                let at = format!("tables.{name}.{member}[{at}]");
                SeedError::Member { file: file.clone(), at, why }
            })?;
            let time_to_live = table.time_to_live;
            Ok(Table { name, create, time_to_live, member, items })
        });
        let tables = tables.collect::<Result<_, SeedError>>()?;
        Ok(Self { file, tables })
    }
}

impl TableSeed {
    /// The items in DynamoDB's JSON, and the member they come from.
    fn items(&self, file: &Path, table: &str) -> Result<(&'static str, Vec<Value>), SeedError> {
        let wrong = |at: String, why: String| SeedError::Member { file: file.into(), at, why };
        match (&self.items, &self.dynamodb_items, &self.items_file) {
            (None, None, None) => Ok(("items", Vec::new())),
            (Some(plain), None, None) => {
                let at = |place| format!("tables.{table}.items{place}");
                Ok(("items", of_plain(plain).map_err(|error| wrong(at(error.0), error.1))?))
            }
            (None, Some(items), None) => {
                let at = |place| format!("tables.{table}.dynamodbItems{place}");
                check(items).map_err(|error| wrong(at(error.0), error.1))?;
                Ok(("dynamodbItems", items.clone()))
            }
            (None, None, Some(path)) => {
                let path = file.parent().unwrap_or(Path::new(".")).join(path);
                Ok(("itemsFile", of_file(&path)?))
            }
            _ => Err(wrong(
                format!("tables.{table}"),
                "give only one of items, dynamodbItems and itemsFile".into(),
            )),
        }
    }
}

/// Checks that no two items have one key: the second would replace the first.
fn check_keys(create: &Value, items: &[Value]) -> Result<(), (usize, String)> {
    // The load reports items that the database rejects.
    let Ok(schema) = TableSchema::from_json(create) else { return Ok(()) };
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        let key = item_from_json(item).ok().and_then(|item| ItemKey::of(&schema.keys, &item));
        let Some(key) = key else { continue };
        if let Some(first) = places.insert(key.bytes().to_vec(), at) {
            return Err((at, format!("it has the same key as the item [{first}]")));
        }
    }
    Ok(())
}

/// Where an item is, and what is wrong with it.
struct Wrong(String, String);

fn of_plain(items: &[Box<RawValue>]) -> Result<Vec<Value>, Wrong> {
    let item = |(at, raw): (usize, &RawValue)| {
        plain::item(raw)
            .map_err(|PlainError { at: inside, why }| Wrong(format!("[{at}]{inside}"), why))
    };
    items.iter().map(|raw| &**raw).enumerate().map(item).collect()
}

fn check(items: &[Value]) -> Result<(), Wrong> {
    for (at, item) in items.iter().enumerate() {
        item_from_json(item).map_err(|error| {
            let hint = "each attribute needs its type, as in {\"S\": \"text\"}; plain JSON belongs \
                        into items";
            Wrong(format!("[{at}]"), format!("{}; {hint}", error.message))
        })?;
    }
    Ok(())
}

/// A file of items: plain ones, or an answer of Scan.
fn of_file(path: &Path) -> Result<Vec<Value>, SeedError> {
    let wrong = |Wrong(at, why)| SeedError::Member { file: path.to_owned(), at, why };
    let unknown = |error: serde_json::Error| {
        let needed = "an array of items in plain JSON, or what `aws dynamodb scan` prints";
        wrong(Wrong("the file".into(), format!("{needed}, is needed: {error}")))
    };
    let text = text(path)?;
    if text.trim_start().starts_with('{') {
        let Scanned { items } = serde_json::from_str(&text).map_err(unknown)?;
        return check(&items).map(|()| items).map_err(wrong);
    }
    let plain: Vec<Box<RawValue>> = serde_json::from_str(&text).map_err(unknown)?;
    of_plain(&plain).map_err(wrong)
}

fn text(path: &Path) -> Result<String, SeedError> {
    let reading = |error| SeedError::Read(path.to_owned(), error);
    if std::fs::metadata(path).map_err(reading)?.len() > FILE_BYTES_MAX {
        return Err(SeedError::TooLarge(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(reading)?;
    // Editors write a byte order mark.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests;
