//! Comments as they are posted.

use super::*;
use crate::checks::violations;
use crate::compare::compare;
use crate::items::Listing;
use crate::samples;
use dm_contract::report::{AttributeEffect, TableEffect};
use serde_json::json;

fn listing(items: &[dm_contract::report::ChangedItem]) -> Listing {
    Listing::of_samples(items)
}

#[test]
fn a_dry_run_as_a_comment() {
    let mut report = samples::dry_run();
    let before = report.clone();
    report.result.tables[0].updated = 407;
    let listing = listing(&[
        samples::car(1),
        samples::item(json!({
            "table": "makers", "kind": "deleted", "key": {"id": {"S": "@bmw"}}, "attributes": {},
        })),
    ]);
    let comparison = compare(&before, &report);
    let violations = violations(&report, &["deletes>1".parse().unwrap()]);
    let content = Content {
        report: &report,
        listing: &listing,
        comparison: Some(&comparison),
        violations: &violations,
    };
    assert_eq!(
        comment(&content),
        "\
<!-- datamigration report 0001-add-price -->
### ✅ Dry run: nothing was written · `0001-add-price`

Items that an apply would change in cars and makers: 407 updated, 1 created and 2 deleted.

**Failed checks**

- ❌ `deletes>1`: 2 items or tables would be deleted, and at most 1 is allowed.

- ⚠️ 2 items would be deleted.

**Since the last report**

| Table | What | Before | Now |
|---|---|--:|--:|
| `cars` | items updated | 406 | 407 |

| Table | Read | Created | Updated | Deleted | Attributes |
|---|--:|--:|--:|--:|---|
| `cars` | 406 | 0 | 407 | 0 | − `old`, +\\~ `price` |
| `makers` | 12 | 1 | 0 | 2 |  |

**Cost**: would cost 406 write units, about 3s at 200 writes a second · used 50.5 read units

**Calls**: 3 `Scan` · 406 `UpdateItem`, all answered exactly

<details><summary><code>cars</code> · 407 updated</summary>


| Attribute | Added | Changed | Removed |
|---|--:|--:|--:|
| `old` | 0 | 0 | 12 |
| `price` | 400 | 6 | 0 |

For example:

```diff
  {id: \"car-1\"}
-   price: 1
+   price: 2
```

</details>

<details><summary><code>makers</code> · 1 created · 2 deleted</summary>


For example:

```diff
- {id: \"@bmw\"}
```

</details>

<sub>

Database `http://127.0.0.1:8000 (eu-west-1)` · Started `2026-12-01T10:02:11Z` · Ended \
`2026-12-01T10:02:12Z` · Took `1.2s` · By `ana` · Digest `sha256:4be1`

</sub>
"
    );
}

#[test]
fn a_comment_is_never_longer_than_what_is_accepted() {
    let mut report = samples::dry_run();
    let long = |at: usize| format!("{at}{}", "\u{202e}|`<".repeat(80));
    let attribute =
        |at: usize| AttributeEffect { name: long(at), changed: 1, ..AttributeEffect::default() };
    let table = |at: usize| TableEffect {
        name: long(at),
        updated: 1,
        attributes: (0..200).map(attribute).collect(),
        settings: (0..200).map(long).collect(),
        ..TableEffect::default()
    };
    let before = report.clone();
    report.result.tables = (0..300).map(table).collect();
    report.result.problem = Some("p".repeat(100_000));
    report.result.remarks = (0..500)
        .map(|at| {
            let mut remark = samples::remarks().remove(0);
            remark.why = format!("{at} {}", "w".repeat(10_000));
            remark
        })
        .collect();
    if let Some(about) = &mut report.about {
        about.name = "n-->".repeat(1_000);
        about.database = Some("d".repeat(10_000));
    }
    let listing = listing(&[]);
    let comparison = compare(&before, &report);
    let content = Content {
        report: &report,
        listing: &listing,
        comparison: Some(&comparison),
        violations: &[],
    };
    let comment = comment(&content);
    assert!(comment.len() <= BYTES_MAX, "{}", comment.len());
    assert!(comment.contains("more tables have no details here: the comment is full."));
    assert!(comment.starts_with("<!-- datamigration report n-%2D%3En"));
    assert!(!comment[5..].starts_with("-->"));
}

#[test]
fn hostile_names_are_code() {
    let mut report = samples::dry_run();
    report.result.tables[0].name = "</summary><script>alert(1)</script>@team".into();
    report.result.tables[0].attributes[0].name = "a|b`c\n# x".into();
    let listing = listing(&[samples::item(json!({
        "table": "</summary><script>alert(1)</script>@team", "kind": "updated",
        "key": {"id": {"S": "```\n</details>"}}, "attributes": {"```": "added"},
        "after": {"```": {"S": "\u{202e}``` @team"}},
    }))]);
    let content = Content { report: &report, listing: &listing, comparison: None, violations: &[] };
    let comment = comment(&content);
    assert!(comment.contains("<code>&lt;/summary&gt;&lt;script&gt;alert(1)"), "{comment}");
    assert!(comment.contains(r"``a\|b`c\n# x``"), "{comment}");
    assert!(comment.contains("````diff\n"), "{comment}");
    let lines = comment.lines().filter(|line| line.starts_with("```"));
    assert_eq!(lines.count(), 2, "the block's own two fences:\n{comment}");
}
