//! Every kind of wrong transform and the message that its author reads: `mistakes.txt` has each
//! declaration, and below it the message. `DATAMIGRATION_ACCEPT=1` writes the messages of this
//! build.

use std::path::Path;

use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::value::{Item, Number, item_from_json};
use serde_json::{Value, json};

use crate::write::Tables;
use crate::{Files, Source, Transform};

const TABLE: &str = "shop";

fn files() -> Files<'static> {
    Files::of([
        ("codes.csv", b"origin,code\nUSA,US\n".as_slice()),
        ("twice.csv", b"k,v\nx,1\nx,2\n"),
        ("one.csv", b"key\n"),
        ("list.json", b"[]"),
    ])
}

fn schema(name: &str) -> TableSchema {
    let (keys, sort) = match name {
        "archive" => (vec!["id"], "S"),
        "other" => (vec!["pk", "sk"], "N"),
        _ => (vec!["pk", "sk"], "S"),
    };
    let types = [("pk", "S"), ("sk", sort), ("id", "S"), ("gsi1pk", "S"), ("gsi1sk", "N")];
    let element = |(name, role): (&&str, &str)| json!({"AttributeName": name, "KeyType": role});
    TableSchema::from_json(&json!({
        "TableName": name,
        "AttributeDefinitions": types.map(|(name, kind)| {
            json!({"AttributeName": name, "AttributeType": kind})
        }),
        "KeySchema": keys.iter().zip(["HASH", "RANGE"]).map(element).collect::<Vec<_>>(),
        "GlobalSecondaryIndexes": [
            {"IndexName": "by-status", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
                {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
            ]},
            {"IndexName": "keys-only", "Projection": {"ProjectionType": "KEYS_ONLY"}, "KeySchema": [
                {"AttributeName": "gsi1pk", "KeyType": "HASH"},
            ]},
        ],
    }))
    .unwrap()
}

fn item() -> Item {
    item_from_json(&json!({
        "pk": {"S": "c#1"}, "sk": {"S": "profile"}, "name": {"S": "Ann"}, "age": {"S": "41"},
        "tags": {"SS": ["a", "b"]}, "address": {"M": {"city": {"S": "Bonn"}}},
        "lines": {"L": [{"M": {"sku": {"S": "x"}}}, {"M": {"sku": {"S": "y"}}}]},
        "price": {"N": "10"}, "mpg": {"N": "1"}, "Miles_per_Gallon": {"N": "2"},
        "nil": {"NULL": true}, "empty": {"S": ""}, "flag": {"BOOL": true},
        "created": {"S": "2020-01-01"}, "text": {"S": "{oops"},
        "big": {"N": "12345678901234567890123456789012345678"}, "far": {"N": "1e12"},
        "leap": {"S": "2016-12-31T23:59:60Z"},
    }))
    .unwrap()
}

/// The first message on the way from a declaration to the request for the item.
fn message(source: &Source) -> String {
    let transform = match Transform::parse(source, &files()) {
        Ok(transform) => transform,
        Err(error) => return error.to_string(),
    };
    let (table, to) = (schema(TABLE), schema(transform.to.as_deref().unwrap_or(TABLE)));
    if let Err(error) = transform.check_tables(&table, transform.to.as_ref().map(|_| &to)) {
        return error.to_string();
    }
    let item = item();
    let request = transform.evaluate(&item, Number::ZERO).and_then(|evaluation| {
        transform.request(Tables { table: &table, to: &to }, &item, &evaluation)
    });
    match request {
        Ok(_) => "no mistake".into(),
        Err(error) => format!("item: {error}"),
    }
}

#[test]
fn every_mistake_has_the_message_of_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mistakes.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let mut source: Value = serde_json::from_str(line).unwrap();
        source["table"] = json!(TABLE);
        let message = message(&serde_json::from_value(source).unwrap());
        assert_ne!(message, "no mistake", "{line}");
        found.push(format!("{line}\n    {message}\n"));
    }
    assert!(found.len() >= 180, "{}", found.len());
    let found = found.concat();
    if std::env::var_os("DATAMIGRATION_ACCEPT").is_some() {
        std::fs::write(&path, &found).unwrap();
        return;
    }
    for (found, expected) in found.lines().zip(text.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), text.len());
}
