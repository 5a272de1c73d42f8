//! Files, read within bounds and never overwritten.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::hints::Problem;

/// The bytes of a file that is not larger than `limit`.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Problem> {
    let fail = |error| Problem::file("read", path, error);
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        return Err(Problem::new("file", format!("{} is larger than {limit} bytes", path.display()))
            .hint("check that it is the right file"));
    }
    Ok(bytes)
}

/// Writes a file that must not exist yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Problem::new("file_exists", format!("there is a file {} already", path.display()))
                .hint("choose another name, or move it away")
        }
        _ => Problem::file("write", path, error),
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a file is worse than none; that this fails too changes nothing about the error.
        let _ = std::fs::remove_file(path);
        Problem::file("write", path, error)
    })
}
