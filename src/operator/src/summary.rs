//! Sentences about effects, for conditions and events. Pure.

use dm_api::status::{Changed, WouldChange};

/// What a dry run found, in a sentence.
pub fn would_change(effects: &WouldChange) -> String {
    let tables: Vec<String> = effects
        .tables
        .iter()
        .filter_map(|table| {
            let parts = parts(&[
                ("create", table.would_create),
                ("update", table.would_update),
                ("delete", table.would_delete),
            ]);
            (!parts.is_empty()).then(|| format!("{parts} in {}", table.name))
        })
        .collect();
    match (tables.as_slice(), effects.requests) {
        ([], 0) => "The program made no request to DynamoDB that the guard saw".into(),
        ([], _) => {
            format!("The dry run read {} and would change nothing", items(effects.items_read))
        }
        (tables, _) => format!(
            "The dry run read {} and would {}; nothing was written",
            items(effects.items_read),
            tables.join(", ")
        ),
    }
}

/// What an applying run did, in a sentence.
pub fn changed(effects: &Changed) -> String {
    let tables: Vec<String> = effects
        .tables
        .iter()
        .filter_map(|table| {
            let parts = parts(&[
                ("put", table.put),
                ("updated", table.updated),
                ("deleted", table.deleted),
            ]);
            (!parts.is_empty()).then(|| format!("{parts} in {}", table.name))
        })
        .collect();
    match tables.as_slice() {
        [] => format!("{} read, none written", items(effects.items_read)),
        tables => format!("{} read; {}", items(effects.items_read), tables.join(", ")),
    }
}

fn parts(counts: &[(&str, u64)]) -> String {
    let shown: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(verb, count)| format!("{verb} {}", items(*count)))
        .collect();
    shown.join(", ")
}

fn items(count: u64) -> String {
    match count {
        1 => "1 item".into(),
        many => format!("{many} items"),
    }
}
