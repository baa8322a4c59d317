//! The alerts of the chart's PrometheusRule are those of docs/how-to/monitoring.md.

use std::fs;

use serde_json::Value;

use crate::docs::pages;
use crate::root;

/// Words of an expression, whatever its lines.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn the_charts_alerts_are_those_of_the_page() {
    let text = fs::read_to_string(root().join("charts/datamigration/files/alerts.yaml")).unwrap();
    let rules: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
    let field = |rule: &Value, path: &str| {
        rule.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (in_a_line, in_lines): (Vec<&Value>, Vec<&Value>) =
        rules.iter().partition(|rule| !field(rule, "/expr").contains('\n'));

    let pages = pages();
    let page = pages.iter().find(|page| page.name == "docs/how-to/monitoring.md").unwrap();
    let tables = page.tables();
    let table = tables.iter().find(|table| table[0].1[0] == "Alert").unwrap();
    let of_page: Vec<Vec<String>> = table[2..]
        .iter()
        .map(|(_, cells)| cells.iter().map(|c| c.replace('`', "")).collect())
        .collect();
    let of_chart: Vec<Vec<String>> = in_a_line
        .iter()
        .map(|rule| {
            ["/alert", "/expr", "/for", "/annotations/summary"]
                .map(|path| field(rule, path).replace('`', ""))
                .to_vec()
        })
        .collect();
    assert!(of_chart.len() > 5, "{of_chart:?}");
    assert_eq!(of_page, of_chart, "docs/how-to/monitoring.md and the chart's files/alerts.yaml");

    assert!(!in_lines.is_empty());
    for rule in in_lines {
        let (name, expression) = (field(rule, "/alert"), field(rule, "/expr"));
        let named = page.lines.iter().any(|(_, line)| line.contains(&format!("`{name}`")));
        let shown = page.code.iter().any(|(_, code)| words(code) == words(&expression));
        assert!(named && shown, "docs/how-to/monitoring.md does not have {name}: {expression}");
    }
}
