//! Keeps the program's whole output, both streams as they come, in a folder that the pod's guard
//! reads afterwards. Bounded: the beginning and the last pieces stay (`dm_contract::program_log`).
//! A disk that is full, or anything else that goes wrong here, never touches the program: it is
//! only said.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dm_contract::limits::{PROGRAM_LOG_HEAD_BYTES_MAX, PROGRAM_LOG_PIECE_BYTES_MAX};
use dm_contract::program_log::{HEAD, RESULT, piece};

/// The guard runs as another user.
const READABLE: u32 = 0o644;

/// What is left free for the mark that the disk is full.
const MARK_BYTES_MAX: u64 = 200;

/// Bounds of the files.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    head: u64,
    piece: u64,
}

/// The output as it grows.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    sizes: Sizes,
    /// `None` after something went wrong.
    file: Option<File>,
    path: PathBuf,
    written: u64,
    /// 0 is the beginning.
    number: u64,
    problem: Option<String>,
}

impl Log {
    /// A log in this folder.
    pub fn create(dir: &Path) -> Self {
        let sizes = Sizes { head: PROGRAM_LOG_HEAD_BYTES_MAX, piece: PROGRAM_LOG_PIECE_BYTES_MAX };
        Self::sized(dir, sizes)
    }

    fn sized(dir: &Path, sizes: Sizes) -> Self {
        let (path, problem) = (dir.join(HEAD), None);
        let dir = dir.to_owned();
        let mut log = Self { dir, sizes, file: None, path, written: 0, number: 0, problem };
        match create(&log.path) {
            Ok(file) => log.file = Some(file),
            Err(error) => log.fail(&error),
        }
        log
    }

    /// Takes what a stream wrote.
    pub fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() && self.file.is_some() {
            let room = self.room();
            if room == 0 {
                self.next();
                continue;
            }
            let (now, later) = chunk.split_at(chunk.len().min(room));
            let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(now));
            match written {
                Ok(()) => self.written += now.len() as u64,
                Err(error) => self.fail(&error),
            }
            chunk = later;
        }
    }

    /// Why not everything was kept, if so.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn room(&self) -> usize {
        let size = if self.number == 0 { self.sizes.head } else { self.sizes.piece };
        usize::try_from(size.saturating_sub(self.written)).unwrap_or(usize::MAX)
    }

    /// Begins another piece; of the earlier ones the last stays.
    fn next(&mut self) {
        self.number += 1;
        if self.number > 2 {
            fs::remove_file(self.dir.join(piece(self.number - 2))).ok();
        }
        self.path = self.dir.join(piece(self.number));
        self.written = 0;
        match create(&self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        let why = format!("the program's output is not kept any further: {error}");
        if let Some(mut file) = self.file.take() {
            // A full disk has no room for the mark but what the output itself had.
            let length = file.metadata().map_or(0, |found| found.len());
            file.set_len(length.saturating_sub(MARK_BYTES_MAX)).ok();
            let mark = format!("\n[datamigration: {why}]\n");
            io::Seek::seek(&mut file, io::SeekFrom::End(0)).ok();
            file.write_all(mark.as_bytes()).ok();
        }
        self.problem = Some(why);
    }
}

/// Leaves the program's result beside its output, whole or not at all.
pub fn write_result(dir: &Path, json: &str) -> io::Result<()> {
    let (part, whole) = (dir.join(format!("{RESULT}.part")), dir.join(RESULT));
    create(&part)?.write_all(json.as_bytes())?;
    fs::rename(part, whole)
}

/// Creates its own file in the folder: what the program may have put in its place (a pipe, at
/// which an open would wait, a link) goes.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    // The program's mask may be narrower.
    file.set_permissions(Permissions::from_mode(READABLE))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Sizes = Sizes { head: 10, piece: 4 };

    fn files(dir: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn check(chunks: &[&str], expected: &[(&str, &str)]) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::sized(dir.path(), SMALL);
        for chunk in chunks {
            log.push(chunk.as_bytes());
        }
        let expected: Vec<_> =
            expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(files(dir.path()), expected, "{chunks:?}");
        assert_eq!(log.problem(), None);
    }

    #[test]
    fn the_beginning_and_the_last_pieces_stay() {
        check(&[], &[(HEAD, "")]);
        check(&["01234", "56789"], &[(HEAD, "0123456789")]);
        check(&["0123456789ab"], &[(HEAD, "0123456789"), ("program.log.1", "ab")]);
        let long = "0123456789abcdefghijklmn";
        let last = [(HEAD, "0123456789"), ("program.log.3", "ijkl"), ("program.log.4", "mn")];
        check(&[long], &last);
        let single: Vec<&str> = long.split("").collect();
        check(&single, &last);
    }

    #[test]
    fn what_goes_wrong_is_said_and_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(&dir.path().join("missing"));
        log.push(b"text");
        assert!(log.problem().unwrap().contains("not kept any further"));

        let mut log = Log::sized(dir.path(), SMALL);
        // Where the next piece should be there is a folder.
        fs::create_dir(dir.path().join(piece(1))).unwrap();
        log.push(b"0123456789abcdef");
        assert!(log.problem().is_some());
        let head = fs::read_to_string(dir.path().join(HEAD)).unwrap();
        assert!(head.contains("[datamigration: the program's output is not kept"), "{head}");
    }

    #[test]
    fn a_pipe_or_a_link_in_a_files_place_goes() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        let pipe = |name: &str| {
            let mode = rustix::fs::Mode::from_raw_mode(0o666);
            let path = dir.path().join(name);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        };
        let mut log = Log::sized(dir.path(), SMALL);
        pipe(&piece(1));
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(piece(2))).unwrap();
        log.push(b"0123456789abcdefgh");
        assert_eq!(log.problem(), None);
        pipe(RESULT);
        pipe(&format!("{RESULT}.part"));
        write_result(dir.path(), "{}").unwrap();
        let written = files(dir.path());
        let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [RESULT, HEAD, "program.log.1", "program.log.2"]);
        assert_eq!(fs::read_to_string(elsewhere.path()).unwrap(), "");
    }

    #[test]
    fn a_full_disk_is_marked_at_the_end() {
        // Every write to this device fails as on a full disk.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(dir.path());
        log.file = Some(full);
        log.push(b"text");
        assert!(log.problem().unwrap().contains("No space left"), "{:?}", log.problem());
        log.push(b"more");
    }

    #[test]
    fn everybody_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        write_result(dir.path(), "{}").unwrap();
        write_result(dir.path(), "{\"version\":1}").unwrap();
        let path = dir.path().join(RESULT);
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"version\":1}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, READABLE);
        assert_eq!(files(dir.path()).len(), 1);
    }
}
