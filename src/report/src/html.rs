//! A report as one page of HTML that loads nothing: style, script and data are in it, and its
//! policy forbids everything else. What comes from a database is text in every place.

mod chart;
mod data;
mod items;
pub mod restore;
mod run;
mod tables;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::Content;
use crate::words::{self, Fact, Notice, Tone};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The page of a run.
pub fn page(content: &Content<'_>) -> String {
    let report = content.report;
    let name = report.about.as_ref().map(|about| about.name.as_str()).unwrap_or_default();
    let name = if name.is_empty() { "Report".into() } else { words::name(name) };
    let mut facts = words::facts(report);
    facts.retain(|fact| ["Database", "Started", "Took", "By"].contains(&fact.label));
    let shown = Shell {
        name: &name,
        headline: &words::headline(report),
        summary: &words::summary(report),
        facts: &facts,
    };
    shell(
        &shown,
        &html! {
            (run::tiles(report))
            (findings(content))
            (run::comparison(content.comparison))
            (run::transform(report))
            (tables::section(report))
            (items::section(content))
            (chart::section(report))
            (run::calls(report))
            (run::record(report))
        },
    )
}

/// What every page begins with.
struct Shell<'a> {
    name: &'a str,
    headline: &'a Notice,
    summary: &'a str,
    facts: &'a [Fact],
}

/// A page around its sections.
fn shell(shown: &Shell<'_>, sections: &Markup) -> String {
    let Shell { name, headline, summary, facts } = shown;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { (name) " · " (headline.text) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#items" { "Skip to the items" }
                header class=(tone(headline.tone)) {
                    p.kind { (mark(headline.tone)) " " (headline.text) }
                    h1 dir="auto" { (name) }
                    p.summary { (summary) }
                    dl.facts {
                        @for fact in *facts { div { dt { (fact.label) } dd { (fact.value) } } }
                    }
                }
                main { (sections) }
                footer {
                    p {
                        "Made by datamigration " (env!("CARGO_PKG_VERSION"))
                        ". This page loads nothing."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Nothing may be loaded, sent or embedded, and only this page's own style and script count.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// What a reader should know: failed checks first.
fn findings(content: &Content<'_>) -> Markup {
    let notices = words::notices(content.report);
    html! {
        @if !content.violations.is_empty() || !notices.is_empty() {
            section.card aria-labelledby="findings" {
                h2 #findings { "Findings" }
                ul.notices {
                    @for violation in content.violations {
                        li.bad {
                            (mark(Tone::Bad))
                            span { "Check " code { (violation.check) } " failed: " (violation.why) }
                        }
                    }
                    @for notice in &notices {
                        li class=(tone(notice.tone)) { (mark(notice.tone)) span { (notice.text) } }
                    }
                }
            }
        }
    }
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Bad => "bad",
        Tone::Warning => "warning",
        Tone::Neutral => "neutral",
        Tone::Good => "good",
    }
}

/// A sign with a word for those who do not see it: color alone says nothing.
fn mark(tone: Tone) -> Markup {
    let (sign, word) = match tone {
        Tone::Bad => ("✕", "Problem:"),
        Tone::Warning => ("!", "Warning:"),
        Tone::Neutral => ("i", "Note:"),
        Tone::Good => ("✓", "Good:"),
    };
    html! { span.mark aria-hidden="true" { (sign) } span.unseen { (word) " " } }
}

#[cfg(test)]
mod tests;
