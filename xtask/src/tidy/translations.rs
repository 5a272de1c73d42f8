//! A translated README shows the same commands as the original.

use crate::markdown::Page;
use crate::tidy::Violation;
use crate::workspace::{File, Workspace};

const ORIGINAL: &str = "README.md";

/// Compares the commands of each `README.*.md` with those of the README.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let Some(original) = workspace.file(ORIGINAL) else { return Vec::new() };
    let wanted = commands(original);
    let translations =
        workspace.files.iter().filter(|file| file.path.starts_with("README.") && file.path != ORIGINAL);
    translations.filter_map(|file| differs(&wanted, file)).collect()
}

/// The first difference.
fn differs(wanted: &[(usize, String)], file: &File) -> Option<Violation> {
    let found = commands(file);
    let at = (0..wanted.len().max(found.len()))
        .find(|at| wanted.get(*at).map(|(_, text)| text) != found.get(*at).map(|(_, text)| text))?;
    let line = found.get(at).or(found.last()).map_or(1, |(line, _)| *line);
    let told = |command: Option<&(usize, String)>| match command {
        Some((_, text)) => format!("`{text}`"),
        None => "nothing more".to_owned(),
    };
    Some(Violation::new(
        &file.path,
        line,
        format!("the command here is {}, in {ORIGINAL} it is {}", told(found.get(at)), told(wanted.get(at))),
        "both show the same commands in the same order; only comments are translated",
    ))
}

/// The commands of a page with their lines, without comments.
fn commands(file: &File) -> Vec<(usize, String)> {
    let mut commands = Vec::new();
    for block in Page::new(&file.text).blocks {
        for (number, line) in block.lines {
            let command = match block.language {
                "console" => line.strip_prefix("$ ").unwrap_or_default(),
                "sh" => line,
                _ => "",
            };
            let command = command.split(" #").next().unwrap_or_default().trim();
            if !command.is_empty() && !command.starts_with('#') {
                commands.push((number, command.to_owned()));
            }
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        let original = "```sh\nfreeway up  # starts\n```\n```console\n$ freeway status\nheight 1\n```\n";
        check(&Workspace::of(&[(ORIGINAL, original), ("README.zh.md", text)])).len()
    }

    #[test]
    fn commands_are_the_same_and_the_rest_may_differ() {
        assert_eq!(found("```sh\nfreeway up   # 启动\n# 网络\n```\n```console\n$ freeway status\n```\n"), 0);
        assert_eq!(found("```sh\nfreeway up\nfreeway status\n```\n"), 0);
        assert_eq!(found("```sh\nfreeway up\n```\n"), 1);
        assert_eq!(found("```sh\nfreeway up\nfreeway status\nfreeway chat\n```\n"), 1);
        assert_eq!(found("```sh\nfreeway up --fresh\nfreeway status\n```\n"), 1);
    }
}
