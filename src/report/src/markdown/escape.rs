//! Text in Markdown that stays text.

use crate::shown;

/// A name or a value as code: no mention, link, tag or cell ends in it.
pub fn code(name: &str, chars_max: usize) -> String {
    let shown = shown::text(name, chars_max).noted();
    if shown.is_empty() {
        return "*empty*".into();
    }
    // A pipe would end a table's cell, also in code (GitHub Flavored Markdown, section 4.10).
    let shown = shown.replace('|', "\\|");
    let fence = "`".repeat(longest_run(&shown, '`') + 1);
    let edge = |at: Option<char>| at.is_some_and(|c| c == '`' || c == ' ');
    let pad = if edge(shown.chars().next()) || edge(shown.chars().last()) { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// A sentence: what means something in Markdown or HTML is escaped.
pub fn text(sentence: &str) -> String {
    let mut escaped = String::with_capacity(sentence.len());
    for c in sentence.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // An entity in a word is not a mention of somebody, nor of an issue.
            '@' => escaped.push_str("&#64;"),
            '#' => escaped.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    // A scheme makes a link by itself.
    escaped.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// Text in HTML, as in a summary.
pub fn html(name: &str, chars_max: usize) -> String {
    let shown = shown::text(name, chars_max).noted();
    shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A block of code in this language.
pub fn block(language: &str, lines: &[String]) -> String {
    let longest = lines.iter().map(|line| longest_run(line, '`')).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

fn longest_run(text: &str, of: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_holds_whatever_a_name_holds() {
        for (name, expected) in [
            ("cars", "`cars`"),
            ("a`b", "``a`b``"),
            ("``", "``` `` ```"),
            ("a|b", r"`a\|b`"),
            (" a", "`  a `"),
            ("", "*empty*"),
            ("<b>@team\n", r"`<b>@team\n`"),
            ("\u{202e}x", r"`\u{202e}x`"),
        ] {
            assert_eq!(code(name, 100), expected, "{name:?}");
        }
        assert_eq!(code("abcdef", 3), "`abc… (3 more characters)`");
    }

    #[test]
    fn a_sentence_has_no_markup_of_its_own() {
        for (sentence, expected) in [
            ("<img src=x> & @team #1", "&lt;img src=x&gt; &amp; &#64;team &#35;1"),
            ("[a](b) *c* _d_ `e` | ~f~", r"\[a\](b) \*c\* \_d\_ \`e\` \| \~f\~"),
            ("https://x.example", "https&#58;//x.example"),
            ("a\nb", "a b"),
        ] {
            assert_eq!(text(sentence), expected);
        }
    }

    #[test]
    fn a_block_ends_only_at_its_end() {
        let lines = ["+ a".to_owned(), "````".to_owned()];
        assert_eq!(block("diff", &lines), "`````diff\n+ a\n````\n`````\n");
    }
}
