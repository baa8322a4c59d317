//! What the entry program left in the folder that it shares with the guard: the program's output in
//! pieces, and its result. The program can write there too, so nothing in it is trusted to be
//! sound.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dm_contract::limits::TERMINATION_MESSAGE_BYTES_MAX;
use dm_contract::program_log::{HEAD, cut_mark, piece, piece_number};
use dm_contract::report::{ProgramResult, REPORT_VERSION};
use rustix::fs::OFlags;

pub use dm_contract::program_log::RESULT;

/// How the program ended; `None` if that is not there, or not understood.
pub fn result(dir: &Path) -> Option<ProgramResult> {
    let mut json = Vec::new();
    let file = open(&dir.join(RESULT)).ok()??;
    // Not more than the entry program writes.
    file.take(TERMINATION_MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut json).ok()?;
    let result: ProgramResult = serde_json::from_slice(&json).ok()?;
    (result.version == REPORT_VERSION).then_some(result)
}

/// The output, compressed, with a mark where some was left out; `None` if there is none.
pub fn packed(dir: &Path) -> io::Result<Option<Bytes>> {
    let mut packed =
        zstd::Encoder::new(Vec::new(), dm_engine::limits::DIFFERENCE_COMPRESSION_LEVEL)?;
    if !copy(&dir.join(HEAD), dm_contract::limits::PROGRAM_LOG_HEAD_BYTES_MAX, &mut packed)? {
        return Ok(None);
    }
    let mut pieces: Vec<u64> = std::fs::read_dir(dir)?
        .filter_map(|entry| piece_number(entry.ok()?.file_name().to_str()?))
        .collect();
    pieces.sort_unstable();
    let last = pieces.split_off(pieces.len().saturating_sub(2));
    if let Some(first) = last.first()
        && let Some(mark) = cut_mark(*first)
    {
        packed.write_all(mark.as_bytes())?;
    }
    for number in last {
        let path: PathBuf = dir.join(piece(number));
        copy(&path, dm_contract::limits::PROGRAM_LOG_PIECE_BYTES_MAX, &mut packed)?;
    }
    Ok(Some(Bytes::from(packed.finish()?)))
}

/// Opens a plain file. A link is not followed out of the folder, and a pipe, at which an ordinary
/// open waits for a writer, is none.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // Asked of what was opened: its name may be another file's by now.
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(error) if is_no_file(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is nothing, a link or a socket.
fn is_no_file(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let none = [Errno::NOENT, Errno::LOOP, Errno::NXIO].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| none.contains(&code))
}

/// Copies a file; whether there is one.
fn copy(path: &Path, longest: u64, to: &mut impl io::Write) -> io::Result<bool> {
    let Some(file) = open(path)? else { return Ok(false) };
    // The entry program may add a line on top of the bound, to say that the disk is full.
    io::copy(&mut file.take(longest + 4096), to)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(dir: &Path) -> Option<String> {
        let packed = packed(dir).unwrap()?;
        Some(String::from_utf8(zstd::decode_all(&packed[..]).unwrap()).unwrap())
    }

    #[test]
    fn pieces_are_put_together_with_a_mark_where_some_are_missing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(unpacked(dir.path()), None);
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(HEAD, "begin\n");
        assert_eq!(unpacked(dir.path()).unwrap(), "begin\n");
        write(&piece(1), "one\n");
        assert_eq!(unpacked(dir.path()).unwrap(), "begin\none\n");
        write(&piece(2), "two\n");
        write(&piece(10), "ten\n");
        std::fs::remove_file(dir.path().join(piece(1))).unwrap();
        let text = unpacked(dir.path()).unwrap();
        assert!(text.starts_with("begin\n") && text.ends_with("two\nten\n"), "{text}");
        assert!(text.contains("8388608 bytes"), "{text}");
    }

    #[test]
    fn a_pipe_or_a_link_in_a_files_place_is_no_file_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "{\"version\":1,\"exitCode\":0}").unwrap();
        let inside = dir.path().join("log");
        std::fs::create_dir(&inside).unwrap();
        for name in [RESULT, HEAD, &piece(1)] {
            let path = inside.join(name);
            let mode = rustix::fs::Mode::from_raw_mode(0o666);
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
            assert_eq!((result(&inside), unpacked(&inside)), (None, None), "{name}");
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&secret, &path).unwrap();
            assert_eq!((result(&inside), unpacked(&inside)), (None, None), "{name}");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_is_no_result_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(result(dir.path()), None);
        for wrong in ["", "{}", "{\"version\":2}", "[]"] {
            std::fs::write(dir.path().join(RESULT), wrong).unwrap();
            assert_eq!(result(dir.path()), None, "{wrong}");
        }
        std::fs::write(dir.path().join(RESULT), "{\"version\":1,\"exitCode\":0}").unwrap();
        assert_eq!(result(dir.path()).unwrap().exit_code, Some(0));
    }
}
