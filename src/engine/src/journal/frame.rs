//! Segments of a journal as bytes: lines of JSON, compressed, with a checksum.
//!
//! A frame is two frames of the zstd format: a skippable one, which zstd's own tools pass over,
//! with what we check, and one with the lines. So `zstdcat 00000001.ndjson.zst` shows a segment.
//!
//! ```text
//! 0x184D2A5D (LE)   length (LE)                                          skippable frame
//!   "DMJ" version:u8  records:u32  payload:u32  sha256:32  name…         all LE
//! payload                                                                zstd frame of lines
//! ```
//!
//! The checksum covers all of it. The name tells run and segment, so that no segment is taken for
//! another's. A frame that ends too early is torn and cut; anything else that is wrong is refused.

use std::io::Read as _;

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::journal::{JOURNAL_VERSION, LineError, Record};
use sha2::{Digest as _, Sha256};

/// The skippable frame's magic number: one of the sixteen that the format sets aside.
const MAGIC: [u8; 4] = 0x184D_2A5D_u32.to_le_bytes();

const MARK: [u8; 3] = *b"DMJ";

/// Bytes of the skippable frame before the name: mark, version, two numbers, checksum.
const FIXED_BYTES: usize = 3 + 1 + 4 + 4 + 32;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 512;

/// Fast, and about a fifth of the JSON's size.
const COMPRESSION_LEVEL: i32 = 1;

/// Why bytes are no segment. Never shows them.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("compressing a segment")]
    Compress(#[source] std::io::Error),
    /// Not a frame of ours.
    #[error("a journal's frame should begin here, and there is none")]
    NoFrame,
    #[error("the journal has version {0}, and this program reads version {JOURNAL_VERSION} only")]
    Version(u8),
    #[error("a frame's checksum is wrong")]
    Checksum,
    /// Of another run, or another segment.
    #[error("the frame is named `{found}`, not `{expected}`")]
    Name {
        /// What it should be.
        expected: String,
        found: String,
    },
    #[error("decompressing a frame")]
    Decompress(#[source] std::io::Error),
    /// More lines than a segment can have.
    #[error("a frame's lines are larger than any that are written")]
    TooLarge,
    /// The number of lines.
    #[error("a frame has {found} records, and {expected} were written")]
    Count {
        /// As its head says.
        expected: usize,
        found: usize,
    },
    #[error(transparent)]
    Line(#[from] LineError),
}

type Result<T> = std::result::Result<T, FrameError>;

/// What a segment holds.
#[derive(Debug, Default)]
pub struct Segment {
    /// Its records, in their order.
    pub records: Vec<Record>,
    /// Bytes at its end that belonged to a frame that was never finished.
    pub torn_bytes: usize,
    /// Whether it ends too early; also without a single byte, which no segment that was put is.
    pub torn: bool,
}

/// Makes frames of lines. One writer makes all segments of a journal, because a new one allocates
/// and clears a megabyte of memory for zstd.
#[derive(Default)]
pub struct FrameWriter {
    compressor: Option<zstd::bulk::Compressor<'static>>,
}

impl FrameWriter {
    pub fn write(&mut self, name: &str, records: usize, lines: &[u8]) -> Result<Bytes> {
        let payload = self.compress(lines).map_err(FrameError::Compress)?;
        let version = u8::try_from(JOURNAL_VERSION).unwrap_or(u8::MAX);
        let number = |value: usize| u32::try_from(value).map_err(|_| FrameError::TooLarge);
        let (records, length) = (number(records)?, number(payload.len())?);
        let mut frame = Vec::with_capacity(8 + FIXED_BYTES + name.len() + payload.len());
        frame.extend(MAGIC);
        frame.extend(number(FIXED_BYTES + name.len())?.to_le_bytes());
        frame.extend(MARK);
        frame.push(version);
        frame.extend(records.to_le_bytes());
        frame.extend(length.to_le_bytes());
        frame.extend(checksum(version, records, name.as_bytes(), &payload));
        frame.extend(name.as_bytes());
        frame.extend(payload);
        Ok(Bytes::from(frame))
    }

    fn compress(&mut self, lines: &[u8]) -> std::io::Result<Vec<u8>> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?),
        };
        compressor.compress(lines)
    }
}

/// Makes one frame of lines.
pub fn write(name: &str, records: usize, lines: &[u8]) -> Result<Bytes> {
    FrameWriter::default().write(name, records, lines)
}

fn checksum(version: u8, records: u32, name: &[u8], payload: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([version]);
    hasher.update(records.to_le_bytes());
    hasher.update((name.len() as u64).to_le_bytes());
    hasher.update(name);
    hasher.update(payload);
    hasher.finalize().into()
}

/// Reads a segment of this name.
pub fn read(name: &str, bytes: &[u8]) -> Result<Segment> {
    let mut segment = Segment { torn: bytes.is_empty(), ..Segment::default() };
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(frame) = Frame::split(rest)? else {
            segment.torn_bytes = rest.len();
            segment.torn = true;
            break;
        };
        frame.check(name)?;
        frame.records(&mut segment.records)?;
        rest = frame.rest;
    }
    Ok(segment)
}

struct Frame<'a> {
    version: u8,
    records: u32,
    checksum: &'a [u8],
    name: &'a [u8],
    payload: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `None` if the bytes end before the frame does.
    fn split(bytes: &'a [u8]) -> Result<Option<Self>> {
        let begins = |at: usize, expected: &[u8]| {
            let there = &bytes[at.min(bytes.len())..];
            there.iter().zip(expected).all(|(found, expected)| found == expected)
        };
        if !begins(0, &MAGIC) || !begins(8, &MARK) {
            return Err(FrameError::NoFrame);
        }
        let number = |at: usize| {
            let four = bytes.get(at..at + 4)?;
            usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
        };
        let Some(head) = number(4) else { return Ok(None) };
        if !(FIXED_BYTES..=FIXED_BYTES + NAME_BYTES_MAX).contains(&head) {
            return Err(FrameError::NoFrame);
        }
        let (Some(&version), Some(records), Some(length)) = (bytes.get(11), number(12), number(16))
        else {
            return Ok(None);
        };
        if u32::from(version) != JOURNAL_VERSION {
            return Err(FrameError::Version(version));
        }
        let begin = 8 + head;
        let (Some(payload), Some(checksum), Some(name)) =
            (bytes.get(begin..begin + length), bytes.get(20..52), bytes.get(52..begin))
        else {
            return Ok(None);
        };
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let rest = &bytes[begin + length..];
        Ok(Some(Self { version, records, checksum, name, payload, rest }))
    }

    fn check(&self, name: &str) -> Result<()> {
        if checksum(self.version, self.records, self.name, self.payload) != self.checksum {
            return Err(FrameError::Checksum);
        }
        if self.name != name.as_bytes() {
            let found = String::from_utf8_lossy(self.name).into_owned();
            return Err(FrameError::Name { expected: name.to_owned(), found });
        }
        Ok(())
    }

    fn records(&self, records: &mut Vec<Record>) -> Result<()> {
        let bytes_max = limits::JOURNAL_SEGMENT_INFLATED_BYTES_MAX;
        let mut lines = Vec::new();
        zstd::stream::read::Decoder::new(self.payload)
            .map_err(FrameError::Decompress)?
            .take(bytes_max as u64 + 1)
            .read_to_end(&mut lines)
            .map_err(FrameError::Decompress)?;
        if lines.len() > bytes_max {
            return Err(FrameError::TooLarge);
        }
        let before = records.len();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            records.push(Record::read_line(line)?);
        }
        let (expected, found) = (self.records as usize, records.len() - before);
        if expected == found { Ok(()) } else { Err(FrameError::Count { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::journal::{Sequence, Settled};

    fn record(number: u32) -> Record {
        let written = (0..number).map(|i| Sequence::new(1, i)).collect();
        Record::Settled(Settled { written, refused: Vec::new() })
    }

    fn frame(name: &str, records: &[Record]) -> Vec<u8> {
        let mut lines = Vec::new();
        for record in records {
            record.write_line(&mut lines);
        }
        write(name, records.len(), &lines).unwrap().to_vec()
    }

    #[test]
    fn frames_are_read_back_and_a_torn_end_is_cut_wherever_it_is() {
        let (first, second) =
            (frame("m/1/1", &[record(1), record(2)]), frame("m/1/1", &[record(9)]));
        let whole = [first.clone(), second.clone()].concat();
        let read_whole = read("m/1/1", &whole).unwrap();
        assert_eq!(read_whole.records, [record(1), record(2), record(9)]);
        assert_eq!((read_whole.torn_bytes, read_whole.torn), (0, false));
        for end in 0..whole.len() {
            let cut = read("m/1/1", &whole[..end]).unwrap();
            let (records, whole) = if end < first.len() { (0, 0) } else { (2, first.len()) };
            assert_eq!((cut.records.len(), cut.torn_bytes), (records, end - whole), "{end}");
            assert_eq!(cut.torn, end != first.len(), "{end}");
        }
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let whole = frame("m/1/1", &[record(1), record(2)]);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            match read("m/1/1", &damaged) {
                Err(_) => {}
                // A length that became larger looks like a torn end; what it held is not given out.
                Ok(segment) => {
                    assert_eq!(
                        (segment.records.len(), segment.torn_bytes),
                        (0, whole.len()),
                        "{at}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_segment_of_another_run_or_version_is_refused() {
        let whole = frame("m/1/1", &[record(1)]);
        assert!(matches!(read("m/2/1", &whole), Err(FrameError::Name { .. })));
        let mut newer = whole;
        newer[11] = 2;
        assert!(matches!(read("m/1/1", &newer), Err(FrameError::Version(2))));
        assert!(matches!(read("m/1/1", b"something else"), Err(FrameError::NoFrame)));
    }

    #[test]
    fn zstds_own_tools_read_it() {
        let whole = frame("m/1/1", &[record(1)]);
        let shown = zstd::stream::decode_all(whole.as_slice()).unwrap();
        assert_eq!(shown, b"{\"settled\":{\"written\":[1048576]}}\n");
    }
}
