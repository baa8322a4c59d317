//! Who waits for whom.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use serde_json::json;

use super::*;
use crate::samples::migration;

/// Migrations by the names they depend on; those with `!` have been applied.
fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, DataMigration> {
    let node = |(name, depends_on): &(&str, &[&str])| {
        let applied = json!({"run": 2, "result": "Succeeded", "programDigest": "sha256:x"});
        let bare = name.trim_end_matches('!').to_owned();
        let list: Vec<_> = depends_on.iter().map(|name| json!({"name": name})).collect();
        let status = name.ends_with('!').then(|| json!({"applied": applied, "phase": "Applied"}));
        let object = json!({
            "metadata": {"name": bare}, "spec": {"dependsOn": list}, "status": status,
        });
        (bare, DataMigration::clone(&migration(object)))
    };
    edges.iter().map(node).collect()
}

/// What `a` waits for, and the circle it is in.
fn check(edges: &[(&str, &[&str])], waits_for: &[&str], cycle: Option<&[&str]>) {
    let all = graph(edges);
    let found = resolve(&all["a"], &all);
    let names: Vec<&str> = found.waits_for.iter().map(|waiting| waiting.name.as_str()).collect();
    assert_eq!(names, waits_for);
    let found: Option<Vec<&str>> =
        found.cycle.as_ref().map(|cycle| cycle.iter().map(String::as_str).collect());
    assert_eq!(found.as_deref(), cycle);
}

#[test]
fn who_depends_on_nobody_waits_for_nobody() {
    check(&[("a", &[])], &[], None);
}

#[test]
fn it_waits_for_those_that_are_missing_or_not_applied() {
    check(&[("a", &["b", "c!", "d"]), ("b", &[])], &["b", "c!", "d"], None);
    check(&[("a", &["b", "c", "d"]), ("b", &[]), ("c!", &[])], &["b", "d"], None);
}

#[test]
fn circles_of_one_two_and_three_are_found() {
    check(&[("a", &["a"])], &["a"], Some(&["a", "a"]));
    check(&[("a", &["b"]), ("b", &["a"])], &["b"], Some(&["a", "b", "a"]));
    check(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])], &["b"], Some(&["a", "b", "c", "a"]));
}

#[test]
fn a_diamond_is_no_circle() {
    check(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])], &["b", "c"], None);
}

#[test]
fn a_circle_of_others_is_theirs() {
    check(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])], &["b"], None);
}

#[test]
fn what_it_waits_for_is_said_with_where_it_stands() {
    let all = graph(&[("a", &["b", "c"]), ("b", &[])]);
    let texts: Vec<String> =
        resolve(&all["a"], &all).waits_for.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["b, which is Pending", "c, which does not exist in this namespace"]);
}
