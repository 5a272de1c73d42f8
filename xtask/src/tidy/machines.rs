//! Nothing in the tree depends on the machine that wrote it: no absolute paths, no package mirrors.

use crate::tidy::Violation;
use crate::workspace::{File, Workspace};

/// Folders that exist on somebody's machine only.
const FOLDERS: [&str; 4] = [
    concat!("/", "home", "/"),
    concat!("/", "root", "/"),
    concat!("/", "work", "/"),
    concat!("/", "Users", "/"),
];

/// Hosts from which packages come. Which one is the business of whoever builds.
const REGISTRIES: [&str; 7] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("crates.io", "-index"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi.org", "/simple"),
    concat!("proxy.", "golang.org"),
];

/// The only source that a lock file may name.
const SOURCE: &str = concat!("registry+https://github.com/rust-lang/", "crates.io", "-index");

/// Checks every text file.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Violation> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let examine = match name {
        "Cargo.lock" => lock_line,
        _ if file.path.starts_with(".cargo/") => cargo_line,
        _ => text_line,
    };
    let found = |(line, text): (usize, &str)| {
        examine(text).map(|(found, remedy)| Violation::new(&file.path, line, found, remedy))
    };
    file.lines().filter_map(found).collect()
}

fn text_line(text: &str) -> Option<(String, &'static str)> {
    if let Some(folder) = FOLDERS.iter().find(|folder| is_absolute(text, folder)) {
        return Some((
            format!("a path under `{folder}`"),
            "use a path from the repository's root, or a variable",
        ));
    }
    let host = REGISTRIES.iter().find(|host| text.contains(*host))?;
    Some((
        format!("the registry host `{host}`"),
        "name the package; where it comes from is the builder's choice",
    ))
}

/// Whether `folder` starts a path in `text`, rather than continuing one (`https://example.org/home/`).
fn is_absolute(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | ')' | '~' | '*')))
    })
}

fn lock_line(text: &str) -> Option<(String, &'static str)> {
    let source = text.strip_prefix("source = ")?.trim_matches('"');
    (source != SOURCE).then(|| {
        (
            format!("a package from `{source}`"),
            "depend on published crates only, fetched from the default registry",
        )
    })
}

fn cargo_line(text: &str) -> Option<(String, &'static str)> {
    let trimmed = text.trim_start();
    if ["[source", "[registries", "[registry", "replace-with"].iter().any(|start| trimmed.starts_with(start))
    {
        let remedy = "put mirrors into the configuration of the machine, not of the project";
        return Some((format!("`{}`: a choice of registry", trimmed.trim_end()), remedy));
    }
    text_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(path: &str, text: &str) -> bool {
        !check(&Workspace::of(&[(path, text)])).is_empty()
    }

    #[test]
    fn traces_of_a_machine_are_found() {
        for folder in FOLDERS {
            assert!(fires("docs/x.md", &format!("see {folder}me/file")), "{folder}");
            assert!(fires("a/x.rs", &format!("const P: &str = \"{folder}x\";")), "{folder}");
        }
        assert!(fires("x.txt", &format!("file://{}me", FOLDERS[0])));
        assert!(fires("x.sh", &format!("curl https://{}/x", REGISTRIES[0])));
        assert!(fires("Cargo.lock", "source = \"git+https://example.org/x\""));
        assert!(fires(".cargo/config.toml", "[source.mirror]"));
    }

    #[test]
    fn ordinary_text_passes() {
        for text in
            ["https://example.org/home/x", "target/root/x", "a/work/b", "~/x", "the work/life balance"]
        {
            assert!(!fires("docs/x.md", text), "{text}");
        }
        assert!(!fires("Cargo.lock", &format!("source = \"{SOURCE}\"")));
        assert!(!fires(".cargo/config.toml", "[alias]\nxtask = \"run\""));
    }
}
