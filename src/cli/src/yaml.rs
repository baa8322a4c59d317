//! Annotations in a manifest that people wrote: only their lines change, comments and order stay.
//! What cannot be changed so is refused. Pure.

use serde_json::Value;

/// Why a manifest was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("it has no DataMigration {0}")]
    Absent(String),
    #[error("it has more than one DataMigration {0}")]
    Twice(String),
    /// Not the plain style.
    #[error("write {0} as a block of lines, without braces; only then can lines be added to it")]
    NotABlock(&'static str),
    /// A check after the change.
    #[error("its lines could not be changed without changing more than the annotations")]
    ChangedMore,
}

/// Sets annotations of the DataMigration of this name.
pub fn annotate(
    text: &str,
    name: &str,
    annotations: &[(String, String)],
) -> Result<String, ManifestError> {
    let documents = documents(text);
    let is_it = |document: &&&str| parsed(document).is_some_and(|value| names(&value, name));
    let mut found = documents.iter().filter(is_it);
    let it = *found.next().ok_or_else(|| ManifestError::Absent(name.into()))?;
    if found.next().is_some() {
        return Err(ManifestError::Twice(name.into()));
    }
    let changed = with_lines(it, annotations)?;
    if parsed(&changed) != expected(it, annotations) {
        return Err(ManifestError::ChangedMore);
    }
    Ok(documents.iter().map(|one| if *one == it { changed.as_str() } else { one }).collect())
}

/// The documents of a stream, each with the marker line before it.
fn documents(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if at > 0 && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\n', '\r']))
        {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(text.len());
    starts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

fn parsed(document: &str) -> Option<Value> {
    serde_saphyr::from_str(document).ok()
}

fn names(value: &Value, name: &str) -> bool {
    let group = value["apiVersion"].as_str().and_then(|version| version.split('/').next());
    group == Some(dm_api::GROUP)
        && value["kind"] == "DataMigration"
        && value["metadata"]["name"] == name
}

/// What the document must mean after the change.
fn expected(document: &str, annotations: &[(String, String)]) -> Option<Value> {
    let mut value = parsed(document)?;
    let all = value.get_mut("metadata")?.as_object_mut()?.entry("annotations");
    let all = all.or_insert_with(|| Value::Object(serde_json::Map::new())).as_object_mut()?;
    for (key, text) in annotations {
        all.insert(key.clone(), text.clone().into());
    }
    Some(value)
}

fn with_lines(document: &str, annotations: &[(String, String)]) -> Result<String, ManifestError> {
    let mut lines: Vec<String> = document.split_inclusive('\n').map(ToOwned::to_owned).collect();
    let end = if document.contains("\r\n") { "\r\n" } else { "\n" };
    if let Some(last) = lines.last_mut().filter(|line| !line.ends_with('\n')) {
        last.push_str(end);
    }
    let metadata = Block::find(&lines, 0..lines.len(), 0, "metadata")?
        .ok_or(ManifestError::NotABlock("metadata"))?;
    let found = Block::find(&lines, metadata.first..metadata.end, metadata.indent, "annotations")?;
    let block = found.unwrap_or_else(|| {
        let indent = metadata.indent;
        lines.insert(metadata.end, format!("{:indent$}annotations:{end}", ""));
        Block { first: metadata.end + 1, end: metadata.end + 1, indent: indent + 2 }
    });
    let mut block_end = block.end;
    for (key, text) in annotations {
        let line = format!("{:indent$}{key}: \"{text}\"{end}", "", indent = block.indent);
        let same = |line: &String| indent(line) == block.indent && key_of(line) == Some(key);
        if let Some(at) = lines[block.first..block_end].iter().position(same) {
            lines[block.first + at] = line;
        } else {
            lines.insert(block_end, line);
            block_end += 1;
        }
    }
    Ok(lines.concat())
}

/// The lines of a mapping below its key.
struct Block {
    first: usize,
    end: usize,
    indent: usize,
}

impl Block {
    /// Finds the mapping under a key of this indent, if the key is there.
    fn find(
        lines: &[String],
        within: std::ops::Range<usize>,
        at_indent: usize,
        key: &'static str,
    ) -> Result<Option<Self>, ManifestError> {
        let is_key =
            |at: &usize| indent(&lines[*at]) == at_indent && key_of(&lines[*at]) == Some(key);
        let Some(at) = within.clone().find(is_key) else { return Ok(None) };
        let value = lines[at].trim_start().strip_prefix(key).map_or("", |rest| &rest[1..]);
        let value = value.trim();
        if !value.is_empty() && !value.starts_with('#') {
            return Err(ManifestError::NotABlock(key));
        }
        let first = at + 1;
        let content = |at: &usize| is_content(&lines[*at]);
        let below = (first..within.end).find(content).map_or(0, |at| indent(&lines[at]));
        if below <= at_indent {
            return Err(ManifestError::NotABlock(key));
        }
        let inside = (first..within.end)
            .take_while(|at| !is_content(&lines[*at]) || indent(&lines[*at]) > at_indent);
        let last = inside.filter(content).last().unwrap_or(at);
        Ok(Some(Self { first, end: last + 1, indent: below }))
    }
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The key of a line in a block mapping, plain or in quotes.
fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    for quote in ['"', '\''] {
        if let Some(rest) = line.strip_prefix(quote) {
            return rest.split_once(quote).map(|(key, _)| key);
        }
    }
    let (key, rest) = line.split_once(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\r', '\n'])).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n";

    fn check(metadata: &str, expected: Result<&str, ManifestError>) {
        let around = |metadata: &str| {
            format!(
                "# one\nkind: Job\n---\n{HEAD}{metadata}spec:\n  dryRun: true # why\n---\nkind: X\n"
            )
        };
        let annotations = [("a/x".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
        let found = annotate(&around(metadata), "m", &annotations);
        assert_eq!(found, expected.map(around), "{metadata}");
        if let Ok(found) = found {
            assert_eq!(annotate(&found, "m", &annotations), Ok(found.clone()), "a second time");
        }
    }

    #[test]
    fn annotations_are_added_behind_what_is_there() {
        check(
            "metadata:\n  name: m # mine\n\n",
            Ok("metadata:\n  name: m # mine\n  annotations:\n    a/x: \"1\"\n    b: \"2\"\n\n"),
        );
        check(
            "metadata: # about\n    annotations:\n      # kept\n      c: d\n    name: m\n",
            Ok("metadata: # about\n    annotations:\n      # kept\n      c: d\n      a/x: \
                \"1\"\n      b: \"2\"\n    name: m\n"),
        );
    }

    #[test]
    fn annotations_that_are_there_are_replaced() {
        check(
            "metadata:\n  annotations:\n    \"a/x\": old\n    c: d\n  name: m\n",
            Ok("metadata:\n  annotations:\n    a/x: \"1\"\n    c: d\n    b: \"2\"\n  name: m\n"),
        );
    }

    #[test]
    fn line_ends_are_kept() {
        let text = format!("{HEAD}metadata:\n  name: m").replace('\n', "\r\n");
        let found = annotate(&text, "m", &[("a".into(), "1".into())]).unwrap();
        assert!(found.ends_with("  name: m\r\n  annotations:\r\n    a: \"1\"\r\n"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_changed_by_lines_is_refused() {
        check("metadata: {name: m}\n", Err(ManifestError::NotABlock("metadata")));
        check(
            "metadata:\n  name: m\n  annotations: {}\n",
            Err(ManifestError::NotABlock("annotations")),
        );
        check(
            "metadata:\n  name: m\n  annotations:\n    a/x: |\n      old\n",
            Err(ManifestError::ChangedMore),
        );
        check("metadata:\n  name: other\n", Err(ManifestError::Absent("m".into())));
        let twice = format!("{HEAD}metadata:\n  name: m\n---\n{HEAD}metadata:\n  name: m\n");
        assert_eq!(annotate(&twice, "m", &[]), Err(ManifestError::Twice("m".into())));
        assert_eq!(annotate("{", "m", &[]), Err(ManifestError::Absent("m".into())));
    }
}
