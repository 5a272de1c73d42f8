//! `freeway pass`.

use crate::kit::Place;

#[test]
fn a_pass_is_made_narrowed_shown_and_revoked() {
    let place = Place::new();
    let made = place.json(&[
        "pass", "new", "--budget", "10", "--model", "guide", "--model", "m", "--for", "2h", "--name", "team",
    ]);
    let pass = made["pass"].as_str().unwrap();
    assert!(pass.starts_with("fwp_") && made["new_owner"] == true, "{made}");
    assert_eq!(
        (&made["limits"]["budget"], &made["limits"]["models"][0]),
        (&"10 FWY".into(), &"guide".into())
    );
    assert!(place.path("passes/owner.pub").exists() && !place.read("passes/owner.pub").is_empty());

    let less = place.json(&["pass", "narrow", pass, "--budget", "0.5", "--rate", "60", "--model", "m"]);
    let child = less["pass"].as_str().unwrap();
    assert_eq!((&less["limits"]["until"], &less["limits"]["rate"]), (&made["limits"]["until"], &60.into()));

    let shown = place.json(&["pass", "show", child]);
    assert_eq!((&shown["usable"], &shown["known_owner"]), (&true.into(), &true.into()));
    // No gateway has kept books here.
    assert!(shown["spent"].is_null() && shown["blocks"][0]["spent"].is_null(), "{shown}");
    assert_eq!((&shown["blocks"][0]["id"], &shown["id"]), (&made["id"], &less["id"]));
    assert!(!shown.to_string().contains(pass) && !shown.to_string().contains(child));
    // Elsewhere nobody knows the owner, and narrowing needs nothing.
    let elsewhere = Place::new();
    assert_eq!(elsewhere.json(&["pass", "show", child])["known_owner"], false);
    let piped = elsewhere.run_with(&["pass", "narrow", "-", "--rate", "1", "--json"], child);
    assert_eq!(piped.code, 0, "{}", piped.stderr);

    let revoked = place.json(&["pass", "revoke", made["id"].as_str().unwrap(), "--note", "lost"]);
    assert_eq!(revoked["already"], false);
    assert_eq!(place.json(&["pass", "revoke", pass])["already"], true);
    let shown = place.json(&["pass", "show", child]);
    assert_eq!((&shown["revoked"], &shown["usable"]), (&true.into(), &false.into()));
    assert_eq!(place.json(&["pass", "key"])["made"], false);
}

#[test]
fn people_get_the_pass_on_a_line_of_its_own() {
    let place = Place::new();
    let made = place.run(&["pass", "new", "--budget", "1"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stdout.lines().next().unwrap().starts_with("fwp_"), "{}", made.stdout);
    assert!(made.stderr.contains("owner's key"), "{}", made.stderr);
    let free = place.run(&["pass", "new"]);
    assert!(free.stdout.contains("only what is free") && free.stderr.is_empty(), "{}", free.stdout);
}

#[test]
fn mistakes_say_what_to_do() {
    let place = Place::new();
    let pass = place.json(&["pass", "new", "--budget", "1", "--rate", "5"]);
    let pass = pass["pass"].as_str().unwrap();
    for (arguments, told) in [
        (&["pass", "narrow", pass, "--budget", "2"][..], "wider"),
        (&["pass", "narrow", pass, "--rate", "6"], "wider"),
        (&["pass", "narrow", pass], "nothing is limited"),
        (&["pass", "narrow", &pass[..40], "--rate", "1"], "not a whole pass"),
        (&["pass", "show", "fw-0123456789abcdef"], "not a whole pass"),
        (&["pass", "revoke", "12"], "64 hexadecimal digits"),
        (&["pass", "new", "--name", "a\"b"], "cannot be a name"),
    ] {
        let error = place.error(arguments, 1);
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    }
    for arguments in [
        &["pass", "new", "--for", "soon"][..],
        &["pass", "new", "--until", "2001-01-01T00:00:00Z"],
        &["pass", "new", "--rate", "0"],
        &["pass", "new", "--budget", "lots"],
    ] {
        place.error(arguments, 2);
    }
    place.write("passes/revoked", "what\n");
    assert!(place.error(&["pass", "show", pass], 1)["message"].as_str().unwrap().contains("line 1"));
}
