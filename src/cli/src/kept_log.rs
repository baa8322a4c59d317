//! The output of a program as a target's archive keeps it, read with the credentials of this
//! machine.

use std::io::{self, Read as _};

use dm_api::MigrationTarget;
use dm_contract::limits::{PROGRAM_LOG_HEAD_BYTES_MAX, PROGRAM_LOG_PIECE_BYTES_MAX};
use dm_contract::plan::ArchivePlan;
use dm_engine::archive::{Archive, ArchiveError};

use crate::kept_parts;

/// Bytes of a whole log: its beginning, its two last pieces, and the line between them.
const LOG_BYTES_MAX: u64 = PROGRAM_LOG_HEAD_BYTES_MAX + 2 * PROGRAM_LOG_PIECE_BYTES_MAX + 1024;

/// Why a log could not be read from an archive.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The target, or its archive.
    #[error("the target is gone, has another archive now, or may not be read")]
    NoTarget,
    /// It is on a volume of the cluster.
    #[error("the archive is a volume of the cluster; mount it to read the file")]
    Volume,
    #[error("reading it with the AWS credentials of this machine")]
    Archive(#[from] ArchiveError),
    #[error("there is no such object in the archive")]
    Missing,
    #[error("decompressing it")]
    Content(#[source] io::Error),
}

/// Reads the log at this URL, which is below that of the target's archive; of a run that is split
/// those of these parts, as far as they are there.
pub async fn read(
    target: Option<&MigrationTarget>,
    at: &str,
    parts: &[u32],
) -> Result<Vec<(u32, Vec<u8>)>, KeptError> {
    let (archive, path) = open(target, at).await?;
    let listed = if kept_parts::is_of_all(&path) {
        archive.list(kept_parts::folder(&path)).await?
    } else {
        Vec::new()
    };
    let paths = kept_parts::paths(&listed, &path);
    let mut logs = Vec::new();
    for (part, path) in paths.into_iter().filter(|(part, _)| parts.contains(part)) {
        let packed = archive.get(&path).await?.ok_or(KeptError::Missing)?;
        logs.push((part, inflated(&packed).map_err(KeptError::Content)?));
    }
    if logs.is_empty() { Err(KeptError::Missing) } else { Ok(logs) }
}

/// Opens a target's archive for reading; with the path in it of what a URL names.
pub async fn open(
    target: Option<&MigrationTarget>,
    at: &str,
) -> Result<(Archive, String), KeptError> {
    let target = target.ok_or(KeptError::NoTarget)?;
    let archive = target.spec.archive.as_ref().ok_or(KeptError::NoTarget)?;
    let path = path(&archive.url, at).ok_or(KeptError::NoTarget)?.to_owned();
    if archive.volume.is_some() {
        return Err(KeptError::Volume);
    }
    let plan = ArchivePlan {
        url: archive.url.clone(),
        endpoint: archive.endpoint.clone(),
        region: archive.region.clone(),
        migration: "any".into(),
        ..ArchivePlan::default()
    };
    Ok((Archive::existing(&plan, &target.spec.region).await?, path))
}

/// The path in an archive of what a URL names.
fn path<'a>(archive: &str, at: &'a str) -> Option<&'a str> {
    at.strip_prefix(archive.trim_end_matches('/'))?.strip_prefix('/')
}

fn inflated(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut reader = zstd::Decoder::new(packed)?.take(LOG_BYTES_MAX);
    reader.read_to_end(&mut text)?;
    Ok(text)
}

pub fn tail(text: Vec<u8>, lines: Option<i64>) -> Vec<u8> {
    let Some(lines) = lines.and_then(|lines| usize::try_from(lines).ok()) else { return text };
    let content = text.strip_suffix(b"\n").unwrap_or(&text);
    let ends = content.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines.checked_sub(1).map(|before| ends.map(|(at, _)| at).nth(before)) {
        None => Vec::new(),
        Some(None) => text,
        Some(Some(end)) => text[end + 1..].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_what_stands_below_the_archive() {
        let at = "s3://bucket/prefix/runs/ns.m/000001/program.log.zst";
        for archive in ["s3://bucket/prefix", "s3://bucket/prefix/"] {
            assert_eq!(path(archive, at), Some("runs/ns.m/000001/program.log.zst"));
        }
        assert_eq!(path("s3://bucket/pre", at), None);
        assert_eq!(path("s3://other", at), None);
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        let check = |text: &str, lines, expected: &str| {
            let found = tail(text.as_bytes().to_vec(), lines);
            assert_eq!(String::from_utf8_lossy(&found), expected, "{text:?} {lines:?}");
        };
        check("a\nb\nc\n", None, "a\nb\nc\n");
        check("a\nb\nc\n", Some(2), "b\nc\n");
        check("a\nb\nc", Some(1), "c");
        check("a\nb\n", Some(5), "a\nb\n");
        check("a\nb\n", Some(0), "");
        check("", Some(3), "");
    }

    #[test]
    fn a_log_is_inflated() {
        let packed = zstd::encode_all(&b"hello\n"[..], 3).unwrap();
        assert_eq!(inflated(&packed).unwrap(), b"hello\n");
        assert!(inflated(b"no zstd").is_err());
    }
}
