//! The difference that a dry run would make, item by item: newline-delimited JSON, compressed, and
//! written as it is read, so that it takes no further memory.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};

use crate::limits;
use dm_contract::report::ChangedItem;
use dm_dynamodb::changed_item::{ItemName, changed_item};
use dm_dynamodb::journal::ValueDigest;
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::AttributeValue;

use serde_json::Value;

use crate::fault::Fault;
use crate::overlay::Overlay;
use crate::overlay::state::entries::Named;

/// Whether keys and values may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Keys, and both images.
    Shown,
    /// Names of attributes, and a digest for a key.
    Hidden,
}

/// Why a difference was not written whole.
#[derive(Debug, thiserror::Error)]
pub enum DifferenceError {
    #[error("writing the difference item by item")]
    Write(#[from] io::Error),
    /// Where it comes from.
    #[error("reading what a dry run holds")]
    Lost(#[source] Fault),
}

/// Where a difference goes, in one part or in several, each of which can be read alone.
pub trait DifferenceParts: Write {
    /// Whether the part is large enough, so that another begins.
    fn is_full(&self) -> bool;

    /// A part is whole.
    fn ends(&mut self) -> io::Result<()>;
}

/// All of it in one.
pub struct OnePart<W>(pub W);

impl<W: Write> Write for OnePart<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> DifferenceParts for OnePart<W> {
    fn is_full(&self) -> bool {
        false
    }

    fn ends(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Overlay {
    /// Writes a line for each item that would be created, updated or deleted, in order of their
    /// tables as the program met them, and of their keys; how many. It blocks.
    pub fn write_difference(
        &self,
        values: Values,
        to: impl DifferenceParts,
    ) -> Result<u64, DifferenceError> {
        let mut lines = zstd::Encoder::new(to, limits::DIFFERENCE_COMPRESSION_LEVEL)?;
        let salt = Salt::new();
        let (mut written, mut at) = (0, None);
        loop {
            let state = self.state();
            let entries = state
                .entries_behind(at.as_deref(), limits::DIFFERENCE_READ_BYTES)
                .map_err(DifferenceError::Lost)?;
            let Some(last) = entries.last() else { break };
            at = Some(last.at.clone());
            let mut part = Vec::new();
            for line in entries.iter().filter_map(|entry| line(entry, values, &salt)) {
                serde_json::to_writer(&mut part, &line).map_err(io::Error::from)?;
                part.push(b'\n');
                written += 1;
            }
            // A slow reader must not hold up the program.
            drop(entries);
            drop(state);
            if !part.is_empty() && lines.get_ref().is_full() {
                let mut to = lines.finish()?;
                to.ends()?;
                lines = zstd::Encoder::new(to, limits::DIFFERENCE_COMPRESSION_LEVEL)?;
            }
            lines.write_all(&part)?;
        }
        lines.finish()?.ends()?;
        Ok(written)
    }
}

impl Overlay {
    /// The first items of each table that would change, with what would change in them. An image
    /// that is too long for a summary is left out.
    pub fn samples(&self) -> Result<Vec<ChangedItem>, Fault> {
        let state = self.state();
        let salt = Salt::new();
        let sampled = state.sampled()?;
        let lines = sampled.iter().filter_map(|named| line(named, Values::Shown, &salt));
        Ok(lines.filter_map(shortened).collect())
    }
}

/// A line with the attributes that change only, each image within its bound; `None` if not even the
/// key is.
fn shortened(line: ChangedItem) -> Option<ChangedItem> {
    let fits = |json: &Value| json.to_string().len() <= limits::SAMPLE_IMAGE_BYTES_MAX;
    let ChangedItem { before, after, attributes, .. } = &line;
    let only_changed = |image: &Option<Value>| {
        let mut image = image.clone()?;
        image.as_object_mut()?.retain(|name, _| attributes.contains_key(name));
        Some(image).filter(fits)
    };
    let (before, after) = (only_changed(before), only_changed(after));
    line.key.as_ref().is_some_and(fits).then_some(ChangedItem { before, after, ..line })
}

fn line(named: &Named<'_>, values: Values, salt: &Salt) -> Option<ChangedItem> {
    let entry = &named.entry;
    let (before, after) = (entry.base.as_ref(), entry.outcome());
    let key = ItemKey::of(named.keys, before.or(after)?)?.to_item();
    let name = match values {
        Values::Shown => ItemName::Key(&key),
        Values::Hidden => ItemName::Digest(salt.digest(&named.at)),
    };
    changed_item(named.table, name, before, after)
}

/// Makes digests irreversible: keys are easily guessed, so their plain digests would tell them. It
/// is of one report, and kept nowhere.
struct Salt([u8; 16]);

impl Salt {
    fn new() -> Self {
        let random = [RandomState::new().hash_one(0), RandomState::new().hash_one(1)];
        let mut salt = [0; 16];
        for (bytes, random) in salt.chunks_exact_mut(8).zip(random) {
            bytes.copy_from_slice(&random.to_be_bytes());
        }
        Self(salt)
    }

    fn digest(&self, key: &[u8]) -> String {
        let salted = AttributeValue::B([&self.0[..], key].concat());
        ValueDigest::of_value(&salted).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_keys_apart_within_one_report_and_nothing_beyond_it() {
        let salt = Salt::new();
        assert_eq!(salt.digest(b"a"), salt.digest(b"a"));
        assert_ne!(salt.digest(b"a"), salt.digest(b"b"));
        assert_ne!(salt.digest(b"a"), Salt::new().digest(b"a"));
    }
}
