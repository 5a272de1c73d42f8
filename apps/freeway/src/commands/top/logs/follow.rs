//! Follows the log files of the network in a directory.
//!
//! Files are looked at now and then: there is no way to wait for a file that works on every file system. Looking is a
//! question for its length; only what is new is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Line, read};
use crate::commands::top::model::Message;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(300);
/// Looks until the directory is searched for new files.
const SEARCH: u32 = 10;
/// Of a file that is there already, so much of its end is read.
const TAIL: u64 = 64 << 10;
/// The most that is read of a file at a time.
const CHUNK: u64 = 1 << 20;
/// Log files that are followed.
const MAX_FILES: usize = 64;

/// Sends what is written into the log files of the network in `directory`, until nobody listens.
pub(in crate::commands::top) async fn follow(directory: PathBuf, to: mpsc::Sender<Message>) {
    let mut tails = Tails::new(directory);
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut any = None;
    for look in 0u32.. {
        tick.tick().await;
        let work = tokio::task::spawn_blocking(move || {
            if look % SEARCH == 0 {
                tails.search();
            }
            let lines = tails.read();
            (tails, lines)
        });
        let Ok((kept, lines)) = work.await else { return };
        tails = kept;
        let has = !tails.files.is_empty();
        let mut messages = Vec::new();
        if any.replace(has) != Some(has) {
            messages.push(Message::Files(has));
        }
        if !lines.is_empty() {
            messages.push(Message::Lines(lines));
        }
        for message in messages {
            if to.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// A file, and how far it is read.
#[derive(Debug)]
struct Tail {
    name: String,
    read: u64,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    /// Whether the rest of a line is passed over whose beginning was not read.
    mid_line: bool,
}

/// All files.
#[derive(Debug)]
struct Tails {
    directory: PathBuf,
    files: BTreeMap<PathBuf, Tail>,
}

impl Tails {
    fn new(directory: PathBuf) -> Self {
        Self { directory, files: BTreeMap::new() }
    }

    /// Looks for files: `node.log` and `gateway.log` in the folders of the directory.
    fn search(&mut self) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        for folder in entries.flatten() {
            for file in ["node.log", "gateway.log"] {
                let path = folder.path().join(file);
                if self.files.len() >= MAX_FILES || self.files.contains_key(&path) {
                    continue;
                }
                let Ok(length) = std::fs::metadata(&path).map(|metadata| metadata.len()) else { continue };
                let read = length.saturating_sub(TAIL);
                let name = folder.file_name().to_string_lossy().into_owned();
                self.files.insert(path, Tail { name, read, rest: Vec::new(), mid_line: read > 0 });
            }
        }
    }

    /// What is new in all files, in the order of time.
    fn read(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        // A file that is gone is found again when it is there again.
        self.files.retain(|path, tail| tail.read_on(path, &mut lines).is_ok());
        // Stable: lines without a time stay behind those before them in their file.
        let mut last = String::new();
        for line in &mut lines {
            if line.moment.is_empty() {
                line.moment.clone_from(&last);
            } else {
                last.clone_from(&line.moment);
            }
        }
        lines.sort_by(|a, b| a.moment.cmp(&b.moment));
        lines
    }
}

impl Tail {
    /// Reads what is new.
    fn read_on(&mut self, path: &Path, lines: &mut Vec<Line>) -> io::Result<()> {
        let length = std::fs::metadata(path)?.len();
        if length < self.read {
            // It was begun anew.
            *self = Self { name: self.name.clone(), read: 0, rest: Vec::new(), mid_line: false };
        }
        if length == self.read {
            return Ok(());
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut fresh = Vec::new();
        file.take(CHUNK).read_to_end(&mut fresh)?;
        self.read += fresh.len() as u64;
        for piece in fresh.split_inclusive(|byte| *byte == b'\n') {
            if self.rest.len() < super::MAX_LINE * 4 {
                self.rest.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                let whole = std::mem::take(&mut self.rest);
                if !std::mem::take(&mut self.mid_line) {
                    lines.push(read(&self.name, String::from_utf8_lossy(&whole).trim_end()));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn texts(lines: &[Line]) -> Vec<(&str, &str)> {
        lines.iter().map(|line| (line.source.as_str(), line.text.as_str())).collect()
    }

    #[test]
    fn files_are_followed_as_they_are_written() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write("host-1/node.log", "2026-11-23T05:00:02.000000Z  INFO a: second\nand more\nbegun");
        write("gateway/gateway.log", "2026-11-23T05:00:01.000000Z  INFO a: first\n");
        write("host-1/other.log", "not ours\n");
        let mut tails = Tails::new(place.path().to_owned());
        tails.search();
        assert_eq!(
            texts(&tails.read()),
            [("gateway", "first"), ("host-1", "second"), ("host-1", "and more")]
        );
        assert!(tails.read().is_empty());
        write("host-1/node.log", ", and ended\n");
        write("host-2/node.log", "new\n");
        assert_eq!(texts(&tails.read()), [("host-1", "begun, and ended")]);
        tails.search();
        assert_eq!(texts(&tails.read()), [("host-2", "new")]);
        // Begun anew, as `freeway up --fresh` does.
        std::fs::write(place.path().join("host-1/node.log"), "anew\n").unwrap();
        std::fs::remove_file(place.path().join("host-2/node.log")).unwrap();
        assert_eq!(texts(&tails.read()), [("host-1", "anew")]);
        assert_eq!(tails.files.len(), 2);
    }

    #[test]
    fn of_a_long_file_the_end_is_read_from_a_whole_line_on() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("host-1")).unwrap();
        let lines: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(place.path().join("host-1/node.log"), lines).unwrap();
        let mut tails = Tails::new(place.path().to_owned());
        tails.search();
        let lines = tails.read();
        assert!(lines.len() > 1_000 && lines.len() < 10_000, "{}", lines.len());
        assert!(lines.iter().all(|line| line.text.starts_with("line ")));
        assert_eq!(lines.last().unwrap().text, "line 19999");
    }
}
