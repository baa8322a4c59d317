//! The part of a dry run's memory that is on disk: an ordered map in an unnamed file, which is
//! deleted when the process ends in any way. It is never synced, because it is not needed after a
//! crash. It does not interpret items.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use crate::limits;
use redb::backends::FileBackend;
use redb::{Database, ReadOnlyTable, ReadableDatabase as _, StorageBackend, TableDefinition};

use crate::overlay::state::direction::Direction;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Why the disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("making a temporary file")]
    File(#[source] io::Error),
    /// The map in it.
    #[error("using a temporary file")]
    Map(#[source] Box<redb::Error>),
    /// What is read is not what was written.
    #[error("a temporary file is damaged")]
    Damaged,
}

/// Keys to values, packed.
const MAP: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("map");

/// An ordered map in a file.
#[derive(Debug)]
pub struct Disk {
    database: Arc<Database>,
    /// Sees what the last batch left. Absent while the next is written, so that the map can use
    /// again the pages that it replaces.
    reader: Option<ReadOnlyTable<&'static [u8], &'static [u8]>>,
    packer: Packer,
}

impl Disk {
    /// An empty map in a new file of this folder.
    pub fn in_folder(folder: &Path, bytes_max: u64) -> Result<Self, DiskError> {
        let file = tempfile::tempfile_in(folder).map_err(DiskError::File)?;
        let backend = Unsynced::new(file, bytes_max).map_err(map_error)?;
        let database = Database::builder()
            .set_cache_size(limits::OVERLAY_DISK_CACHE_BYTES_MAX)
            .create_with_backend(backend)
            .map_err(map_error)?;
        Self::over(Arc::new(database))
    }

    /// The map of a database that others write.
    pub fn over(database: Arc<Database>) -> Result<Self, DiskError> {
        Ok(Self { database, reader: None, packer: Packer::new().map_err(DiskError::File)? })
    }

    /// Sees what has been written until now.
    pub fn refresh(&mut self) -> Result<(), DiskError> {
        let reading = self.database.begin_read().map_err(map_error)?;
        self.reader = Some(reading.open_table(MAP).map_err(map_error)?);
        Ok(())
    }

    /// Sets the values of keys, or removes those without; all of them or, on an error, none.
    pub fn write<'a>(
        &mut self,
        batch: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), DiskError> {
        self.reader = None;
        write(&self.database, &self.packer, &[], batch)?;
        self.refresh()
    }

    /// Removes all keys of a range, whose end is not part of it.
    pub fn clear(&mut self, from: &[u8], end: &[u8]) -> Result<(), DiskError> {
        self.reader = None;
        let range = (from.to_vec(), end.to_vec());
        write(&self.database, &self.packer, &[range], std::iter::empty())?;
        self.refresh()
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(value) = self.reader()?.get(key).map_err(map_error)? else { return Ok(None) };
        self.packer.unpack(value.value()).map(Some)
    }

    /// The first key in a range that is not passed over, in this direction, with its value.
    pub fn first(
        &self,
        (from, to): (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        pass_over: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Pair>, DiskError> {
        let mut range = self.reader()?.range::<&[u8]>((from, to)).map_err(map_error)?;
        loop {
            let next = match direction {
                Direction::Forward => range.next(),
                Direction::Backward => range.next_back(),
            };
            let Some(next) = next else { return Ok(None) };
            let (key, value) = next.map_err(map_error)?;
            if !pass_over(key.value()) {
                return Ok(Some((key.value().to_vec(), self.packer.unpack(value.value())?)));
            }
        }
    }

    /// All of a range, in order.
    pub fn walk(
        &self,
        (from, to): (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<impl Iterator<Item = Result<Pair, DiskError>>, DiskError> {
        let range = self.reader()?.range::<&[u8]>((from, to)).map_err(map_error)?;
        Ok(range.map(|next| {
            let (key, value) = next.map_err(map_error)?;
            Ok((key.value().to_vec(), self.packer.unpack(value.value())?))
        }))
    }

    /// It is absent only when a batch has failed.
    fn reader(&self) -> Result<&ReadOnlyTable<&'static [u8], &'static [u8]>, DiskError> {
        self.reader.as_ref().ok_or(DiskError::Damaged)
    }
}

/// Removes all keys of some ranges, whose ends are not part of them. Then sets the values of keys,
/// or removes those without. All of that is one transaction.
pub fn write<'a>(
    database: &Database,
    packer: &Packer,
    cleared: &[(Vec<u8>, Vec<u8>)],
    batch: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Result<(), DiskError> {
    let transaction = database.begin_write().map_err(map_error)?;
    {
        let mut table = transaction.open_table(MAP).map_err(map_error)?;
        for (from, end) in cleared {
            table.retain_in::<&[u8], _>(&from[..]..&end[..], |_, _| false).map_err(map_error)?;
        }
        for (key, value) in batch {
            match value {
                Some(value) => {
                    let content = packer.pack(value)?;
                    table.insert(key, content.as_slice()).map_err(map_error)?;
                }
                None => {
                    table.remove(key).map_err(map_error)?;
                }
            }
        }
    }
    transaction.commit().map_err(map_error)
}

fn map_error(error: impl Into<redb::Error>) -> DiskError {
    DiskError::Map(Box::new(error.into()))
}

/// A file that is not synced, and does not grow beyond a bound.
#[derive(Debug)]
struct Unsynced {
    file: FileBackend,
    bytes_max: u64,
}

impl Unsynced {
    fn new(file: File, bytes_max: u64) -> Result<Self, redb::DatabaseError> {
        Ok(Self { file: FileBackend::new(file)?, bytes_max })
    }
}

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if length > self.bytes_max {
            let why = format!("a dry run may use {} bytes of disk", self.bytes_max);
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

/// Makes values smaller: the two images of an entry are mostly the same, and JSON.
pub struct Packer {
    compressor: RefCell<zstd::bulk::Compressor<'static>>,
    decompressor: RefCell<zstd::bulk::Decompressor<'static>>,
}

/// The fastest level that is not worse than none: what is saved is mostly the second image.
const LEVEL: i32 = 1;

impl Packer {
    /// One for one thread at a time.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: RefCell::new(zstd::bulk::Compressor::new(LEVEL)?),
            decompressor: RefCell::new(zstd::bulk::Decompressor::new()?),
        })
    }

    /// Its length, and what it is compressed.
    fn pack(&self, value: &[u8]) -> Result<Vec<u8>, DiskError> {
        let length = u32::try_from(value.len()).map_err(|_| DiskError::Damaged)?;
        let compressed = self.compressor.borrow_mut().compress(value).map_err(DiskError::File)?;
        let mut packed = Vec::with_capacity(4 + compressed.len());
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&compressed);
        Ok(packed)
    }

    fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, DiskError> {
        let (length, compressed) = packed.split_first_chunk::<4>().ok_or(DiskError::Damaged)?;
        let length = u32::from_le_bytes(*length) as usize;
        let value = self.decompressor.borrow_mut().decompress(compressed, length);
        value.ok().filter(|value| value.len() == length).ok_or(DiskError::Damaged)
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}
