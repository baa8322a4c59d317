//! Pages as a browser gets them. What a browser does with them is tested in one: `cargo xtask
//! page`.

use super::*;
use crate::items::Listing;
use crate::samples;
use dm_contract::report::ChangedItem;
use serde_json::json;

fn page_of(report: &crate::file::RunReport, items: &[ChangedItem]) -> String {
    let listing = Listing::of_samples(items);
    page(&Content { report, listing: &listing, comparison: None, violations: &[] })
}

/// The text between two marks.
fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let begin = text.find(open).unwrap() + open.len();
    &text[begin..begin + text[begin..].find(close).unwrap()]
}

#[test]
fn a_page_shows_the_facts_of_its_report() {
    let page = page_of(&samples::dry_run(), &[samples::car(1)]);
    for part in [
        "<h1 dir=\"auto\">0001-add-price</h1>",
        "Dry run: nothing was written",
        "406 updated, 1 created and 2 deleted",
        "<dt>Digest</dt><dd>sha256:4be1</dd>",
        "2 items would be deleted.",
        "3s",
        "at 200 writes a second, at least",
        "UpdateItem",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}

#[test]
fn a_page_loads_nothing_and_its_policy_names_its_own_style_and_script() {
    let page = page_of(&samples::dry_run(), &[samples::car(1)]);
    for outside in
        ["http-equiv=\"refresh\"", " src=", "url(", "@import", "<link", "style=", "onclick"]
    {
        assert!(!page.contains(outside), "{outside}");
    }
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    let style = between(&page, "<style>", "</style>");
    let script = between(&page, "<script>", "</script>");
    for text in [style, script] {
        assert!(policy.contains(&hash(text)), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none';"));
    assert!(!policy.contains("unsafe"));
}

#[test]
fn hostile_text_is_text() {
    const BOLD: &str =
        "</script></style></title><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mut report = samples::dry_run();
    if let Some(about) = &mut report.about {
        about.name = BOLD.into();
        about.by = Some(BOLD.into());
    }
    report.result.problem = Some(BOLD.into());
    report.result.remarks = samples::remarks();
    report.result.remarks[0].why = BOLD.into();
    report.result.errors = samples::errors();
    report.result.errors[0].error = BOLD.into();
    report.result.tables[0].name = BOLD.into();
    report.result.tables[0].settings = vec![BOLD.into()];
    report.result.tables[0].attributes[0].name = BOLD.into();
    let item = samples::item(json!({
        "table": BOLD, "kind": "updated", "key": {BOLD: {"S": BOLD}},
        "attributes": {BOLD: "changed"},
        "before": {BOLD: {"S": BOLD}}, "after": {BOLD: {"X": BOLD}},
    }));
    let page = page_of(&report, &[item]);
    assert!(!page.contains("<img"), "{page}");
    assert_eq!(page.matches("<script").count(), 2, "the page's own, and its data");
    assert_eq!(page.matches("</script").count(), 2);
    let data = between(&page, "type=\"application/json\">", "</script>");
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["tables"][0], BOLD);
}

#[test]
fn a_sample_says_so_and_counts_stay_exact() {
    let mut report = samples::dry_run();
    report.result.tables[0].updated = 1_000_000;
    let page = page_of(&report, &[samples::car(1)]);
    assert!(page.contains("1 of 1,000,003 changed items"), "{page}");
    assert!(page.contains("The counts above are exact."));
    let hidden = page_of(
        &report,
        &[samples::item(json!({
            "kind": "updated", "keyDigest": "sha256:1", "attributes": {"price": "added"},
        }))],
    );
    assert!(hidden.contains("Values are hidden"));
}

#[test]
fn a_page_without_items_says_why() {
    let mut report = samples::dry_run();
    assert!(page_of(&report, &[]).contains("difference (.ndjson.zst) was not given"));
    report.result.tables.clear();
    assert!(page_of(&report, &[]).contains("No item would change."));
    let applied = samples::report(dm_contract::plan::Mode::Apply);
    assert!(page_of(&applied, &[]).contains("Its journal in the archive has their values."));
}

#[test]
fn the_page_of_a_restore_says_what_was_written_and_names_no_hidden_key() {
    use crate::restore::Restored;
    use dm_contract::plan::OnConflict;
    use dm_contract::report::{ListedConflict, RestoreCounts, RestoreReport};
    use dm_contract::restored::Conflict;

    let mut report = RestoreReport {
        counts: RestoreCounts { items: 406, ..RestoreCounts::default() },
        conflicts: 1,
        listed: vec![ListedConflict {
            table: "users".into(),
            key: Some(json!({"id": {"S": "jane@example.com"}})),
            conflict: Conflict::AttributeChanged("price".into()),
        }],
        on_conflict: Some(OnConflict::Overwrite),
        ..RestoreReport::default()
    };
    for (preview, head, fate) in [
        (Some(false), "Restore with conflicts", "and was overwritten."),
        (Some(true), "nothing was written", "and would be overwritten."),
        (None, "the report does not say which", "and is overwritten by the restore."),
    ] {
        report.preview = preview;
        let page = restore::page(&Restored { report: &report, of: "m/1" });
        assert!(page.contains(head) && page.contains(fate), "{page}");
        assert!(page.contains("jane@example.com") && !page.contains("left alone"));
    }
    report.hide_keys();
    let page = restore::page(&Restored { report: &report, of: "m/1" });
    assert!(!page.contains("jane@example.com") && page.contains("price changed"), "{page}");
}
