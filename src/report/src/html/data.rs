//! The listed items as JSON inside the page. The script reads it as data: nothing in it is ever
//! markup.

use dm_contract::report::ChangeKind;
use dm_contract::report::ItemChange;
use serde::Serialize;

use crate::Content;
use crate::items::{ListedAttribute, ListedItem};
use crate::shown::Shown;
use crate::words;

/// What the script reads. Names are short because each stands there thousands of times.
#[derive(Serialize)]
struct Data {
    /// Names of tables; items name theirs by its place.
    tables: Vec<String>,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    t: usize,
    k: char,
    n: String,
    a: Vec<Attribute>,
    #[serde(skip_serializing_if = "is_zero")]
    m: u64,
}

/// Name, sign (` ` stays), before, after.
#[derive(Serialize)]
struct Attribute(String, char, Option<String>, Option<String>);

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The data for a script block.
pub fn json(content: &Content<'_>) -> String {
    let mut tables: Vec<String> = Vec::new();
    let mut item = |item: &ListedItem| {
        let name = words::name(&item.table);
        let t = tables.iter().position(|known| *known == name).unwrap_or_else(|| {
            tables.push(name);
            tables.len() - 1
        });
        Item {
            t,
            k: match item.kind {
                ItemChange::Created => '+',
                ItemChange::Updated => '~',
                ItemChange::Deleted => '-',
            },
            n: item.name.noted(),
            a: item.attributes.iter().map(attribute).collect(),
            m: item.left_out,
        }
    };
    let items = content.listing.items.iter().map(&mut item).collect();
    // Strings, numbers and lists: nothing that JSON cannot hold.
    let json = serde_json::to_string(&Data { tables, items }).unwrap_or_default();
    in_script(&json)
}

fn attribute(attribute: &ListedAttribute) -> Attribute {
    let sign = match attribute.change {
        Some(ChangeKind::Added) => '+',
        Some(ChangeKind::Changed) => '~',
        Some(ChangeKind::Removed) => '-',
        None => ' ',
    };
    let text = |shown: &Option<Shown>| shown.as_ref().map(Shown::noted);
    Attribute(attribute.name.noted(), sign, text(&attribute.before), text(&attribute.after))
}

/// JSON in which no tag begins and no comment: in strings only, where the escape means the same.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tag_begins_in_the_data() {
        let json = serde_json::json!({"a": "</script><!-- & é"}).to_string();
        let escaped = in_script(&json);
        assert!(!escaped.contains(['<', '>', '&']), "{escaped}");
        let read: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(read["a"], "</script><!-- & é");
    }
}
