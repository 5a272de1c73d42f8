//! The library: adds what is whole, finds by name and root, and shows what is damaged.

use super::*;
use freeway_models::{Library, LibraryError, PackageError, Stage};

/// A library with two packages of one name and one of another.
fn library() -> (TempDir, Library) {
    let scratch = scratch();
    let library = Library::open(&scratch.path().join("models")).unwrap();
    for (name, seed) in [("same", 1), ("same", 2), ("other", 3)] {
        let recipe = Recipe { name: name.to_owned(), seed, ..Recipe::llama() };
        let path = scratch.path().join("incoming");
        fs::write(&path, recipe.package_bytes(Group::G32).unwrap()).unwrap();
        library.add(&path, &mut |_| ()).unwrap();
    }
    (scratch, library)
}

#[test]
fn packages_are_found_by_name_and_root() {
    let (_scratch, library) = library();
    let listing = library.list().unwrap();
    assert!(listing.damaged.is_empty());
    let names: Vec<_> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["other", "same", "same"]);
    for entry in &listing.entries {
        let root = entry.root.to_string();
        assert_eq!(library.find(&root).unwrap(), *entry);
        assert_eq!(library.find(&root[..12].to_uppercase()).unwrap(), *entry);
        let package = library.package(entry).unwrap();
        assert_eq!((package.root(), package.bytes()), (entry.root, entry.bytes));
        package.verify(&mut |_| ()).unwrap();
    }
    assert_eq!(library.find("other").unwrap().name, "other");
    assert!(matches!(library.find("same"), Err(LibraryError::Ambiguous { .. })));
    for unknown in ["none", "", "abc", &"f".repeat(64), &"é".repeat(1_000)] {
        let error = library.find(unknown).unwrap_err();
        assert!(matches!(error, LibraryError::Unknown(_)) && error.to_string().len() < 400, "{error}");
    }
    let entry = library.find("other").unwrap();
    library.remove(&entry).unwrap();
    assert!(library.find("other").is_err());
    assert!(library.remove(&entry).is_err());
}

#[test]
fn damaged_files_are_refused() {
    let (scratch, library) = library();
    let before = fs::read_dir(library.folder()).unwrap().count();
    let entry = library.find("other").unwrap();
    let mut bytes = fs::read(&entry.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Called by its root, which it no longer has.
    let copy = scratch.path().join(entry.path.file_name().unwrap());
    fs::write(&copy, &bytes).unwrap();
    let error = library.add(&copy, &mut |_| ()).unwrap_err();
    assert!(matches!(error, LibraryError::Package(PackageError::Root { .. })), "{error}");
    fs::write(&copy, &bytes[..middle]).unwrap();
    assert!(library.add(&copy, &mut |_| ()).is_err());
    assert!(library.add(&scratch.path().join("nothing"), &mut |_| ()).is_err());
    assert_eq!(
        fs::read_dir(library.folder()).unwrap().count(),
        before,
        "nothing is left of what was refused"
    );
    // A damaged file inside of the library is shown, and the rest stays usable.
    fs::write(&entry.path, b"FWMODEL\n").unwrap();
    fs::write(library.folder().join("notes.txt"), b"mine").unwrap();
    let listing = library.list().unwrap();
    assert_eq!((listing.entries.len(), listing.damaged.len()), (2, 1));
    assert_eq!(listing.damaged[0].0, entry.path);
}

#[test]
fn adding_reports_its_progress_and_can_be_repeated() {
    let (_scratch, library) = library();
    let entry = library.find("other").unwrap();
    let mut stages = Vec::new();
    let again = library
        .add(&entry.path, &mut |progress| {
            assert!(progress.done <= progress.total);
            stages.push(progress.stage);
        })
        .unwrap();
    assert_eq!(again, entry);
    stages.dedup();
    assert_eq!(stages, [Stage::Copying, Stage::Proving]);
}
