//! The crate map in the README, from folders and manifests.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::workspace::Workspace;

/// The file that holds the map.
pub(crate) const README: &str = "README.md";
/// The line before the map.
pub(crate) const BEGIN: &str = "<!-- crate map: begin -->";
/// The line after the map.
pub(crate) const END: &str = "<!-- crate map: end -->";

/// The layers from the ground up, and what they are.
const LAYERS: [(&str, &str); 7] = [
    ("protocol", "pure rules: no I/O, clock, async, floats or hash maps"),
    ("platform", "the outside world, each piece with a real and a simulated half"),
    ("compute", "everything with tensors; protocol never imports it"),
    ("services", "one crate per role of a process"),
    ("apps", "what is installed"),
    ("testing", "the whole network, simulated and real; nothing depends on it"),
    ("xtask", "work on the tree itself"),
];

/// The map as Markdown: a table with one row per layer and one per crate.
pub(crate) fn render(workspace: &Workspace) -> String {
    let mut map = String::from("| Folder | Crate | What it is |\n|---|---|---|\n");
    for (layer, purpose) in LAYERS {
        let mut crates: Vec<_> = workspace
            .manifests
            .iter()
            .filter(|manifest| manifest.layer() == layer && workspace.members.contains(manifest.folder()))
            .collect();
        crates.sort_by_key(|manifest| manifest.folder());
        if crates.is_empty() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(map, "| **{layer}/** | | *{purpose}* |");
        for manifest in crates {
            let description = manifest.description.as_deref().unwrap_or_default().replace('|', "\\|");
            let folder = manifest.folder();
            let _ = writeln!(map, "| [{folder}]({folder}) | `{}` | {description} |", manifest.name);
        }
    }
    map
}

/// The parts of a README before the map, the map, and after it; the line on which the map begins.
///
/// # Errors
/// A message if the two markers are missing or in the wrong order.
pub(crate) fn split(readme: &str) -> Result<(&str, &str, &str, usize), String> {
    let markers = || format!("{README} needs the lines `{BEGIN}` and `{END}`, in this order");
    let begin = readme.find(BEGIN).ok_or_else(markers)? + BEGIN.len();
    let end = begin + readme[begin..].find(END).ok_or_else(markers)?;
    let line = 1 + readme[..begin].matches('\n').count();
    Ok((&readme[..begin], &readme[begin..end], &readme[end..], line))
}

/// The text between the markers.
pub(crate) fn framed(workspace: &Workspace) -> String {
    format!("\n\n{}\n", render(workspace))
}

/// Rewrites the map in the README.
///
/// # Errors
/// A message if there is no README, no place for the map in it, or it cannot be written.
pub(crate) fn write(workspace: &Workspace) -> Result<ExitCode, String> {
    let readme = workspace.file(README).ok_or_else(|| {
        format!(
            "there is no {README}\nhint: write one that contains `{BEGIN}` and `{END}`, then run this again"
        )
    })?;
    let (before, old, after, _) = split(&readme.text)?;
    let new = framed(workspace);
    if old == new {
        println!("{README}: the crate map is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::write(workspace.root.join(README), format!("{before}{new}{after}"))
        .map_err(|error| format!("writing {README}: {error}"))?;
    println!("{README}: crate map rewritten");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_lists_layers_from_the_ground_up() {
        let tree = Workspace::of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"apps/freeway\", \"protocol/ledger\"]\n"),
            ("apps/freeway/Cargo.toml", "[package]\nname = \"freeway\"\ndescription = \"all | in one\"\n"),
            ("protocol/ledger/Cargo.toml", "[package]\nname = \"freeway-ledger\"\ndescription = \"rules\"\n"),
            ("fuzz/Cargo.toml", "[package]\nname = \"freeway-fuzz\"\n"),
        ]);
        let map = render(&tree);
        let lines: Vec<_> = map.lines().skip(2).collect();
        assert!(lines[0].starts_with("| **protocol/**"));
        assert_eq!(lines[1], "| [protocol/ledger](protocol/ledger) | `freeway-ledger` | rules |");
        assert!(lines[2].starts_with("| **apps/**"));
        assert_eq!(lines[3], "| [apps/freeway](apps/freeway) | `freeway` | all \\| in one |");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn the_markers_frame_the_map() {
        let text = format!("a\n{BEGIN}\nmap\n{END}\nb");
        assert_eq!(split(&text).map(|parts| (parts.1, parts.3)), Ok(("\nmap\n", 2)));
        assert!(split("no markers").is_err());
        assert!(split(&format!("{END}\n{BEGIN}")).is_err());
    }
}
