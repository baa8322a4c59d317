//! The tables of the random programs: making one takes DynamoDB Local longer than a program does, so
//! they are emptied and used again.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::bed::{Endpoint, fresh_name};
use crate::suite::table;

/// Pairs of tables by their kind.
#[derive(Default)]
pub struct Tables(HashMap<&'static str, (String, String)>);

impl Tables {
    /// An empty pair of tables: one for the direct way, one for the dry run.
    pub async fn pair(&mut self, database: &Endpoint, kind: &'static str) -> (String, String) {
        if !self.0.contains_key(kind) {
            let pair = (fresh_name("plain"), fresh_name("dry"));
            for name in [&pair.0, &pair.1] {
                database.ok("CreateTable", &table(kind, name)).await;
            }
            self.0.insert(kind, pair);
        }
        self.0[kind].clone()
    }

    /// Empties them after a program.
    pub async fn empty(&self, database: &Endpoint, kind: &'static str) {
        let (plain, dry) = &self.0[kind];
        for name in [plain, dry] {
            let items = database.items(name).await;
            for part in items.chunks(25) {
                let deletes: Vec<Value> = part
                    .iter()
                    .map(|item| {
                        let mut key = json!({"id": item["id"]});
                        if let (Some(pos), false) = (item.get("pos"), is_simple(kind)) {
                            key["pos"] = pos.clone();
                        }
                        json!({"DeleteRequest": {"Key": key}})
                    })
                    .collect();
                database.ok("BatchWriteItem", &json!({"RequestItems": {name: deletes}})).await;
            }
        }
    }
}

/// Whether a table of this kind has no sort key.
pub fn is_simple(kind: &str) -> bool {
    ["hash", "number", "binary"].contains(&kind)
}
