//! From a declaration to a transform that cannot be wrong in itself. `tables.rs` checks it against
//! the tables.

mod tables;

use std::collections::{BTreeMap, BTreeSet};

use dm_dynamodb::expression::{Path, PathRelation, relation};
use dm_dynamodb::request::is_name;
use sha2::{Digest as _, Sha256};

use crate::ast::Node;
use crate::convert::Conversion;
use crate::error::{Mistake, SpecError, WHOLE};
use crate::limits::{ACTIONS_MAX, ATTRIBUTES_MAX};
use crate::lookup::Files;
use crate::parse::Shared;
use crate::source::Source;
use crate::transform::{Field, Transform};
use crate::{hint, parse, place};

type Result<T> = std::result::Result<T, SpecError>;

fn wrong(field: impl Into<String>, message: impl Into<String>) -> SpecError {
    SpecError { field: field.into(), column: None, message: message.into() }
}

pub(crate) fn parse(source: &Source, files: &Files<'_>) -> Result<Transform> {
    check_shape(source)?;
    let shared = &Shared::of(files);
    let filter = source.filter.as_ref().map(|text| {
        parse::condition(text, shared).map_err(|mistake| mistake.within("filter", text))
    });
    let mut transform = Transform {
        digest: String::new(),
        table: source.table.clone(),
        index: source.index.clone(),
        to: source.to.as_ref().map(|to| to.table.clone()),
        keep_original: source.keep_original,
        filter: filter.transpose()?,
        set: expressions("set", &source.set, shared)?,
        default: expressions("default", &source.default, shared)?,
        rename: Vec::new(),
        convert: Vec::new(),
        remove: Vec::new(),
        delete: source.delete,
        rekey: Vec::new(),
        reads: BTreeSet::new(),
    };
    for (from, to) in &source.rename {
        let field = member("rename", from);
        if from == to {
            return Err(wrong(field, "the new name is the old one; remove this entry"));
        }
        let renamed = (path(&field, from)?, path(&field, to)?);
        transform.rename.push((field, renamed.0, renamed.1));
    }
    for (text, name) in &source.convert {
        let field = member("convert", text);
        let conversion = Conversion::named(name).ok_or_else(|| {
            wrong(
                &field,
                format!("nothing is converted to {name}; there are {}", Conversion::names()),
            )
        })?;
        transform.convert.push((field.clone(), path(&field, text)?, conversion));
    }
    for (at, text) in source.remove.iter().enumerate() {
        let field = format!("remove[{at}]");
        transform.remove.push((field.clone(), path(&field, text)?));
    }
    for (name, text) in &source.rekey {
        let field = member("rekey", name);
        if name.is_empty() {
            return Err(wrong(field, "a name is empty; write the name of a key attribute"));
        }
        let node =
            parse::expression(text, shared).map_err(|mistake| mistake.within(&field, text))?;
        transform.rekey.push((field, name.clone(), node));
    }
    transform.digest = digest(source, files);
    check_moves(&transform)?;
    check_copies(&transform)?;
    check_places(&transform)?;
    transform.reads = reads(&transform);
    if transform.reads.len() > ATTRIBUTES_MAX {
        let count = transform.reads.len();
        let message = format!(
            "it reads and writes {count} top-level attributes; {ATTRIBUTES_MAX} fit into the \
             condition of one write"
        );
        return Err(wrong(WHOLE, message));
    }
    Ok(transform)
}

/// The digest of all that decides what becomes of an item: the declaration, and the files that its
/// lookups name.
fn digest(source: &Source, files: &Files<'_>) -> String {
    let mut hasher = Sha256::new();
    // A declaration is strings and maps of strings: nothing that JSON cannot hold.
    let declared = serde_json::to_string(source).unwrap_or_default();
    for part in [env!("CARGO_PKG_VERSION"), &declared, &format!("{:?}", files.digests())] {
        hasher.update(part);
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())
}

/// The names of tables and indexes that a transform uses.
fn names(source: &Source) -> impl Iterator<Item = (&'static str, &str)> {
    let to = source.to.as_ref().map(|to| ("to.table", to.table.as_str()));
    let index = source.index.as_deref().map(|index| ("index", index));
    [("table", source.table.as_str())].into_iter().chain(to).chain(index)
}

/// Which fields may stand together.
fn check_shape(source: &Source) -> Result<()> {
    if source.table.is_empty() {
        return Err(wrong("table", "name the table whose items change"));
    }
    if source.to.as_ref().is_some_and(|to| to.table.is_empty()) {
        return Err(wrong("to.table", "name the table that the items go to"));
    }
    for (field, name) in names(source) {
        if !name.is_empty() && !is_name(name) {
            let message = format!("{name} is not a name: it has letters, digits, _, . and - only");
            return Err(wrong(field, message));
        }
    }
    if source.to.as_ref().is_some_and(|to| to.table == source.table) {
        let message = "it is the table itself; name another, or remove to";
        return Err(wrong("to.table", message));
    }
    let changes = source.set.len()
        + source.default.len()
        + source.rename.len()
        + source.convert.len()
        + source.remove.len();
    let moves = !source.rekey.is_empty() || source.to.is_some();
    if changes + source.rekey.len() > ACTIONS_MAX {
        return Err(wrong(WHOLE, format!("it has more than {ACTIONS_MAX} actions")));
    }
    match (source.delete, moves, changes) {
        (true, true, _) => Err(wrong("delete", "an item is either deleted or moved; remove one")),
        (true, false, 1..) => Err(wrong(
            "delete",
            "an item that is deleted does not change; remove the other actions",
        )),
        (false, false, 0) => Err(wrong(
            WHOLE,
            "it does nothing; give set, default, rename, convert, remove, delete, rekey or to",
        )),
        (false, false, _) | (true, false, 0) if source.keep_original => {
            Err(wrong("keepOriginal", "only an item that moves (rekey, to) has an original"))
        }
        _ => Ok(()),
    }
}

fn expressions(
    action: &str,
    all: &BTreeMap<String, String>,
    shared: &Shared<'_>,
) -> Result<Vec<(String, Path, Node)>> {
    let one = |(place, text): (&String, &String)| {
        let field = member(action, place);
        let path = path(&field, place)?;
        let node =
            parse::expression(text, shared).map_err(|mistake| mistake.within(&field, text))?;
        Ok((field, path, node))
    };
    all.iter().map(one).collect()
}

/// The field of an entry. A name without characters is shown as YAML writes it.
fn member(action: &str, name: &str) -> Field {
    if name.is_empty() { format!("{action}.''") } else { format!("{action}.{name}") }
}

fn path(field: &str, text: &str) -> Result<Path> {
    if text.is_empty() {
        return Err(wrong(field, "a path is empty; write the name of an attribute"));
    }
    parse::path(text).map_err(|Mistake { message, .. }| {
        let hint = hint::truth_word(text).or_else(|| hint::quoted_path(text));
        let message = hint.unwrap_or(message);
        wrong(field, format!("{text} is not a path: {message}"))
    })
}

/// The fields of a transform with the places that they write.
fn written(transform: &Transform) -> Vec<(&str, &Path)> {
    let set = transform.set.iter().chain(&transform.default);
    let renamed = transform.rename.iter();
    set.map(|(field, path, _)| (field.as_str(), path))
        .chain(transform.convert.iter().map(|(field, path, _)| (field.as_str(), path)))
        .chain(transform.remove.iter().map(|(field, path)| (field.as_str(), path)))
        .chain(renamed.flat_map(|(field, from, to)| [(field.as_str(), from), (field.as_str(), to)]))
        .collect()
}

/// Rejects a re-key that leaves every key unchanged: its author meant another field.
fn check_moves(transform: &Transform) -> Result<()> {
    let stays = |(_, name, node): &(String, String, Node)| match node {
        Node::Path(path) => path.steps.is_empty() && path.root == *name,
        _ => false,
    };
    match transform.rekey.first() {
        Some((field, name, _)) if transform.to.is_none() && transform.rekey.iter().all(stays) => {
            Err(wrong(field, format!("{name} keeps its value; give it another, or remove rekey")))
        }
        _ => Ok(()),
    }
}

/// Rejects a copy that a later run of the same transform would make with another content: it would
/// take the one that is there for somebody else's.
fn check_copies(transform: &Transform) -> Result<()> {
    if !transform.keep_original {
        return Ok(());
    }
    let set = transform.set.iter().chain(&transform.default).map(|(field, _, node)| (field, node));
    let rekey = transform.rekey.iter().map(|(field, _, node)| (field, node));
    match set.chain(rekey).find(|(_, node)| node.depends_on_now()) {
        Some((field, _)) => Err(wrong(
            field,
            "a copy with now() has another content in each run, so an interrupted run could not be \
             repeated; write the time itself, or remove keepOriginal",
        )),
        None => Ok(()),
    }
}

/// Rejects two actions on one place, as DynamoDB does in one expression.
fn check_places(transform: &Transform) -> Result<()> {
    let written = written(transform);
    for (at, (field, path)) in written.iter().enumerate() {
        for (earlier, other) in &written[..at] {
            if relation(path, other) != PathRelation::Apart {
                let (path, other) = (place::shown(path), place::shown(other));
                return Err(wrong(
                    *field,
                    format!(
                        "it writes {path}, and {earlier} writes {other}; one place has one action"
                    ),
                ));
            }
        }
        if let Some((rekey, ..)) = transform.rekey.iter().find(|(_, name, _)| *name == path.root) {
            return Err(wrong(*field, format!("{rekey} gives this key attribute its value")));
        }
    }
    Ok(())
}

/// The top-level attributes that decide what becomes of an item.
fn reads(transform: &Transform) -> BTreeSet<String> {
    let mut found: BTreeSet<String> =
        written(transform).into_iter().map(|(_, path)| path.root.clone()).collect();
    let set = transform.set.iter().chain(&transform.default).map(|(_, _, node)| node);
    let rekey = transform.rekey.iter().map(|(_, _, node)| node);
    for node in transform.filter.iter().chain(set).chain(rekey) {
        node.reads(&mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(source: &Value) -> Result<Transform> {
        let mut source = source.clone();
        if source.get("table").is_none() {
            source["table"] = json!("cars");
        }
        let source: Source = serde_json::from_value(source).unwrap();
        super::parse(&source, &Files::default())
    }

    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! literals")]
    fn check(source: Value, expected: &str) {
        let error = parsed(&source).map(drop).expect_err(&source.to_string());
        assert_eq!(error.to_string(), expected, "{source}");
    }

    #[test]
    fn mistakes_name_field_and_column() {
        check(json!({"table": "", "delete": true}), "table: name the table whose items change");
        check(
            json!({}),
            "transform: it does nothing; give set, default, rename, convert, remove, delete, rekey \
             or to",
        );
        check(
            json!({"filter": "a", "delete": true}),
            "filter, column 1: expected a condition, such as a comparison or attribute_exists(…), \
             found a value",
        );
        check(
            json!({"set": {"price": "1 + rond_to(2)"}}),
            "set.price, column 5: there is no function rond_to; did you mean round_to?",
        );
        check(
            json!({"set": {"a..b": "1"}}),
            "set.a..b: a..b is not a path: expected the name of an attribute, found .",
        );
        check(
            json!({"convert": {"year": "BOOL"}}),
            "convert.year: nothing is converted to BOOL; there are S, N, L, SS, NS, M, json, \
             iso8601, epoch",
        );
        check(
            json!({"remove": ["a", "a"]}),
            "remove[1]: it writes a, and remove[0] writes a; one place has one action",
        );
        check(
            json!({"set": {"a.b": "1"}, "remove": ["a"]}),
            "remove[0]: it writes a, and set.a.b writes a.b; one place has one action",
        );
        check(
            json!({"rename": {"a": "b"}, "set": {"b": "1"}}),
            "rename.a: it writes b, and set.b writes b; one place has one action",
        );
        check(
            json!({"set": {"pk": "1"}, "rekey": {"pk": "2"}}),
            "set.pk: rekey.pk gives this key attribute its value",
        );
    }

    #[test]
    fn a_file_that_no_lookup_names_is_not_part_of_the_digest() {
        let source = json!({"table": "cars", "set": {"a": "lookup('x.csv', b, 'v')"}});
        let source: Source = serde_json::from_value(source).unwrap();
        let digest = |x: &[u8], report: &[u8]| {
            let files = Files::of([("x.csv", x), ("report.json", report)]);
            super::parse(&source, &files).unwrap().digest
        };
        let first = digest(b"k,v\n", b"{}");
        assert_eq!(digest(b"k,v\n", b"{\"version\": 1}"), first);
        assert_ne!(digest(b"k,v\na,b\n", b"{}"), first);
    }

    #[test]
    fn actions_that_exclude_each_other_are_named() {
        check(
            json!({"delete": true, "set": {"a": "1"}}),
            "delete: an item that is deleted does not change; remove the other actions",
        );
        check(
            json!({"delete": true, "to": {"table": "x"}}),
            "delete: an item is either deleted or moved; remove one",
        );
        check(
            json!({"keepOriginal": true, "set": {"a": "1"}}),
            "keepOriginal: only an item that moves (rekey, to) has an original",
        );
        check(
            json!({"to": {"table": "x"}, "keepOriginal": true, "set": {"at": "iso8601(now())"}}),
            "set.at: a copy with now() has another content in each run, so an interrupted run \
             could not be repeated; write the time itself, or remove keepOriginal",
        );
        let moved = json!({"to": {"table": "x"}, "set": {"at": "now()"}});
        assert!(parsed(&moved).is_ok(), "its original goes");
        check(json!({"to": {"table": ""}}), "to.table: name the table that the items go to");
        check(
            json!({"to": {"table": "cars"}, "set": {"a": "1"}}),
            "to.table: it is the table itself; name another, or remove to",
        );
        check(
            json!({"rename": {"a": "a"}}),
            "rename.a: the new name is the old one; remove this entry",
        );
        check(
            json!({"rekey": {"pk": "pk", "sk": "sk"}}),
            "rekey.pk: pk keeps its value; give it another, or remove rekey",
        );
        let many: BTreeMap<String, &str> = (0..101).map(|i| (format!("a{i}"), "1")).collect();
        check(
            json!({"set": many}),
            "transform: it reads and writes 101 top-level attributes; 100 fit into the condition \
             of one write",
        );
        let many: BTreeMap<String, &str> = (0..201).map(|i| (format!("m.a{i}"), "1")).collect();
        check(json!({"set": many}), "transform: it has more than 200 actions");
    }
}
