//! The tables of the random programs: making one takes DynamoDB Local longer than a program does,
//! so they are emptied and used again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Value, json};

use crate::bed::{Endpoint, fresh_name};
use crate::shorthand::expand;
use crate::suite::table;

/// Pairs of tables by their kind.
#[derive(Default)]
pub struct Tables(HashMap<(&'static str, Place), (String, String)>);

/// Which of a program's two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// `$T`.
    First,
    /// `$U`.
    Other,
}

impl Tables {
    /// A pair of tables with these items: one for the direct way, one for the dry run.
    pub async fn filled(
        &mut self,
        database: &Endpoint,
        kind: &'static str,
        place: Place,
        seeds: &[Value],
    ) -> (String, String) {
        let pair = self.pair(database, kind, place).await;
        for name in [&pair.0, &pair.1] {
            for seed in seeds {
                database.ok("PutItem", &expand(&json!({"TableName": name, "Item": seed}))).await;
            }
        }
        pair
    }

    /// An empty pair of tables.
    async fn pair(
        &mut self,
        database: &Endpoint,
        kind: &'static str,
        place: Place,
    ) -> (String, String) {
        match self.0.entry((kind, place)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(free) => {
                // None is the beginning of another.
                let pair = (fresh_name("plain") + "_", fresh_name("dry") + "_");
                for name in [&pair.0, &pair.1] {
                    database.ok("CreateTable", &table(kind, name)).await;
                }
                free.insert(pair).clone()
            }
        }
    }

    /// Empties them after a program.
    pub async fn empty(&self, database: &Endpoint, kind: &'static str, place: Place) {
        let (plain, dry) = &self.0[&(kind, place)];
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
