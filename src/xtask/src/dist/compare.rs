//! The second of two builds: a copy of the source in another folder, and what differs between two
//! releases.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::SUMS;
use dm_testbed::command::{capture, command};

/// Copies the files that git knows, as they are in the checkout.
pub fn copy_tracked(root: &Path, to: &Path) -> Result<()> {
    let listed = capture(
        command("git", ["ls-files", "-z"]).current_dir(root),
        "asking git for the files of the checkout",
    )?;
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("removing {}", to.display()))?;
    }
    for name in listed.split_terminator('\0') {
        let (from, place) = (root.join(name), to.join(name));
        if !from.is_file() {
            continue;
        }
        let folder = place.parent().context("a file has no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        fs::copy(&from, &place).with_context(|| format!("copying {name}"))?;
    }
    Ok(())
}

/// Compares two releases by their lists of checksums.
pub fn must_be_equal(first: &Path, second: &Path) -> Result<()> {
    let read = |folder: &Path| {
        let path = folder.join(SUMS);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let differences = differences(&read(first)?, &read(second)?);
    if !differences.is_empty() {
        bail!(
            "two builds of one commit differ:\n  {}\nCompare the files in {} and {}",
            differences.join("\n  "),
            first.display(),
            second.display()
        );
    }
    Ok(())
}

/// Files that are in one list only, or with another checksum.
fn differences(first: &str, second: &str) -> Vec<String> {
    let parse = |text: &str| -> BTreeMap<String, String> {
        let pairs = text.lines().filter_map(|line| line.split_once("  "));
        pairs.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect()
    };
    let (first, second) = (parse(first), parse(second));
    let mut names: Vec<&String> = first.keys().chain(second.keys()).collect();
    names.sort();
    names.dedup();
    let sum = |list: &BTreeMap<String, String>, name: &str| {
        list.get(name).cloned().unwrap_or_else(|| "missing".to_owned())
    };
    names
        .into_iter()
        .filter(|name| first.get(*name) != second.get(*name))
        .map(|name| format!("{name}: {} and {}", sum(&first, name), sum(&second, name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_named() {
        let first = "11  a\n22  b\n33  c\n";
        assert_eq!(differences(first, first), Vec::<String>::new());
        assert_eq!(
            differences(first, "11  a\n29  b\n44  d\n"),
            ["b: 22 and 29", "c: 33 and missing", "d: missing and 44"]
        );
    }
}
