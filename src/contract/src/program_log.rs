//! How the entry program lays down a program's output for the guard: names of files and the mark
//! where some was left out. The beginning is one file; what comes after it goes into numbered
//! pieces of the same size, of which the last two stay.

use crate::limits::PROGRAM_LOG_PIECE_BYTES_MAX;

/// File of the program's result, as JSON ([`crate::report::ProgramResult`]).
pub const RESULT: &str = "program.json";

/// File of the beginning of the output.
pub const HEAD: &str = "program.log";

/// File of a later piece, from 1.
pub fn piece(number: u64) -> String {
    format!("{HEAD}.{number}")
}

/// The number of a piece's file.
pub fn piece_number(file: &str) -> Option<u64> {
    let number = file.strip_prefix(HEAD)?.strip_prefix('.')?;
    number.parse().ok().filter(|number| piece(*number) == file && *number > 0)
}

/// What stands between the beginning and this piece, if something was left out.
pub fn cut_mark(first_kept: u64) -> Option<String> {
    let bytes = first_kept.saturating_sub(1).saturating_mul(PROGRAM_LOG_PIECE_BYTES_MAX);
    (bytes > 0).then(|| format!("\n[datamigration: {bytes} bytes of output were left out here]\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_numbers() {
        assert_eq!(piece_number(&piece(12)), Some(12));
        for other in [HEAD, "program.log.", "program.log.0", "program.log.01", "x.1", RESULT] {
            assert_eq!(piece_number(other), None, "{other}");
        }
        assert_eq!(cut_mark(1), None);
        assert!(cut_mark(3).unwrap().contains("16777216 bytes"));
    }
}
