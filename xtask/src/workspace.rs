//! The tree in memory: its text files, and what the manifests say.
//!
//! Rules read only this, never the disk, so that a test can give them a tree of a few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::source::Source;

mod manifest;

pub(crate) use manifest::{Dependency, Manifest, Table};

/// The manifest of the workspace itself.
pub(crate) const ROOT_MANIFEST: &str = "Cargo.toml";

/// A text file of the tree.
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl File {
    /// Whether this is Rust code.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Everything that rules may look at.
#[derive(Default)]
pub(crate) struct Workspace {
    /// Where the tree lies.
    pub(crate) root: PathBuf,
    /// Text files by path.
    pub(crate) files: Vec<File>,
    /// The manifests of all crates, the root's excepted.
    pub(crate) manifests: Vec<Manifest>,
    /// `[workspace.dependencies]`.
    pub(crate) shared: Vec<Dependency>,
    /// `[workspace] members`.
    pub(crate) members: BTreeSet<String>,
    /// Files, or folders with a trailing `/`, that are compiled only for tests.
    test_paths: BTreeSet<String>,
}

impl Workspace {
    /// Reads the tree at `root`.
    ///
    /// # Errors
    /// A message if the files cannot be listed or read, or a manifest is not TOML.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        for path in list(root)? {
            let bytes =
                std::fs::read(root.join(&path)).map_err(|error| format!("reading {path}: {error}"))?;
            if let Ok(text) = String::from_utf8(bytes)
                && !text.contains('\0')
            {
                files.insert(path, text);
            }
        }
        let mut workspace =
            Self::from_files(files.into_iter().map(|(path, text)| File { path, text }).collect())?;
        workspace.root = root.to_path_buf();
        Ok(workspace)
    }

    /// A tree that holds just these files.
    ///
    /// # Errors
    /// A message if a manifest is not TOML.
    pub(crate) fn from_files(files: Vec<File>) -> Result<Self, String> {
        let mut workspace = Self::default();
        for file in &files {
            if file.path == ROOT_MANIFEST {
                (workspace.members, workspace.shared) = manifest::parse_root(&file.text)?;
            } else if file.path.ends_with("/Cargo.toml") {
                workspace.manifests.push(Manifest::parse(&file.path, &file.text)?);
            } else if file.is_rust() {
                workspace.test_paths.extend(test_paths(file));
            }
        }
        workspace.files = files;
        Ok(workspace)
    }

    /// The file at `path`.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// All Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// Whether the whole file is compiled only for tests, benchmarks or examples.
    pub(crate) fn is_test(&self, path: &str) -> bool {
        path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples"))
            || self
                .test_paths
                .iter()
                .any(|test| path == test || (test.ends_with('/') && path.starts_with(test)))
    }

    /// A tree of `(path, text)` pairs, for the tests of rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self::from_files(files.iter().map(file).collect()).unwrap()
    }
}

/// The root of the workspace: the nearest folder upwards that holds this crate.
///
/// # Errors
/// A message if the current folder is not inside the workspace.
pub(crate) fn find_root() -> Result<PathBuf, String> {
    let here =
        std::env::current_dir().map_err(|error| format!("the current folder is unreadable: {error}"))?;
    here.ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file() && folder.join(ROOT_MANIFEST).is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            "not inside the Freeway workspace\nhint: run it from a folder of the repository".to_owned()
        })
}

/// Files that git tracks or would track; without git (an unpacked archive), everything but build output.
fn list(root: &Path) -> Result<Vec<String>, String> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let mut paths = Vec::new();
    match git {
        Ok(output) if output.status.success() => {
            let listed = String::from_utf8_lossy(&output.stdout).into_owned();
            paths.extend(listed.split('\0').filter(|path| root.join(path).is_file()).map(str::to_owned));
        }
        _ => walk(root, Path::new(""), &mut paths)?,
    }
    Ok(paths)
}

fn walk(root: &Path, folder: &Path, paths: &mut Vec<String>) -> Result<(), String> {
    let failed = |error| format!("listing {}: {error}", folder.display());
    for entry in std::fs::read_dir(root.join(folder)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = folder.join(entry.file_name());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if !matches!(entry.file_name().to_str(), Some("target" | ".git" | "corpus" | "artifacts")) {
                walk(root, &path, paths)?;
            }
        } else if kind.is_file()
            && let Some(path) = path.to_str()
        {
            paths.push(path.replace('\\', "/"));
        }
    }
    Ok(())
}

/// Where the modules lie that `file` declares under `#[cfg(test)]`.
fn test_paths(file: &File) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let folder = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        other => format!("{folder}/{}", other.trim_end_matches(".rs")),
    };
    Source::new(&file.text)
        .test_modules()
        .into_iter()
        .flat_map(|module| [format!("{folder}/{module}.rs"), format!("{folder}/{module}/")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_known_by_folder_and_by_declaration() {
        let tree = Workspace::of(&[
            ("a/src/lib.rs", "mod x; #[cfg(test)] mod fixtures;"),
            ("a/src/x.rs", "#[cfg(test)] mod cases;"),
        ]);
        for path in
            ["a/tests/y.rs", "a/benches/z.rs", "a/src/fixtures.rs", "a/src/fixtures/b.rs", "a/src/x/cases.rs"]
        {
            assert!(tree.is_test(path), "{path}");
        }
        for path in ["a/src/lib.rs", "a/src/x.rs", "a/src/fixtures_for_all.rs", "a/src/x/fixtures.rs"] {
            assert!(!tree.is_test(path), "{path}");
        }
    }
}
