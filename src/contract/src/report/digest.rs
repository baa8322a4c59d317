//! The digest over the shape of a run's effects. Pure.

use sha2::{Digest as _, Sha256};

use super::TableEffect;
use crate::sha256::finished;

/// Returns the digest over the shape of the effects: tables, kinds of writes, attributes, counts.
/// What was read does not belong to it.
pub fn effects_digest(tables: &[TableEffect]) -> String {
    let mut hasher = Sha256::new();
    for table in tables {
        if !table.changes() {
            continue;
        }
        let line = serde_json::json!([
            table.name,
            table.created,
            table.updated,
            table.deleted,
            table
                .attributes
                .iter()
                .map(|a| serde_json::json!([a.name, a.added, a.changed, a.removed]))
                .collect::<Vec<_>>(),
        ]);
        hasher.update(line.to_string().as_bytes());
        if let Some(change) = table.change {
            // Not its settings: an apply does not know them.
            hasher.update(serde_json::json!([change]).to_string().as_bytes());
        }
        hasher.update(b"\n");
    }
    finished(hasher)
}

/// Returns the digest of digests, in their order.
pub(super) fn of_digests<'a>(digests: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for digest in digests {
        hasher.update(digest.as_bytes());
        hasher.update(b"\n");
    }
    finished(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TableChange;

    #[test]
    fn the_digest_sees_effects_and_not_reads() {
        let table = |items_read, updated| TableEffect {
            name: "cars".into(),
            items_read,
            updated,
            ..TableEffect::default()
        };
        assert_eq!(effects_digest(&[table(1, 5)]), effects_digest(&[table(2, 5)]));
        assert_ne!(effects_digest(&[table(1, 5)]), effects_digest(&[table(1, 6)]));
        assert_eq!(effects_digest(&[table(1, 0)]), effects_digest(&[]));
        let changed = |change| TableEffect { change, ..table(1, 0) };
        let of = |change| effects_digest(&[changed(Some(change))]);
        assert_ne!(of(TableChange::Created), effects_digest(&[]));
        assert_ne!(of(TableChange::Created), of(TableChange::Deleted));
    }

    #[test]
    fn a_digest_that_a_person_approved_stays_the_same() {
        let cars = TableEffect { name: "cars".into(), updated: 3, ..TableEffect::default() };
        assert_eq!(effects_digest(&[]), format!("sha256:{EMPTY}"));
        let digest = "e340d9a80c25dc7092c712e224c03326d25b1af9c3d397812e800bd0a0cb128c";
        assert_eq!(effects_digest(&[cars]), format!("sha256:{digest}"));
    }

    /// FIPS 180-4: the digest of no bytes.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
}
