//! Which interpreters understand a script, by its suffix. Entry program, linter and `baseline` read
//! the same table; docs/reference/datamigration.md has it for users.

/// A command without the script's name: an interpreter, and the arguments before the name.
pub type Command = &'static [&'static str];

/// Suffixes of scripts, and the commands that run them, the preferred first.
pub const BY_SUFFIX: &[(&[&str], &[Command])] = &[
    (&["py"], &[&["python3"], &["python"]]),
    (&["js", "mjs", "cjs"], &[&["node"]]),
    // Node strips types by itself from 22.18 on; the others are chosen by who installed them.
    (&["ts", "mts", "cts"], &[&["tsx"], &["deno", "run", "--allow-all"], &["node"]]),
    (&["sh"], &[&["sh"]]),
    (&["bash"], &[&["bash"]]),
    (&["rb"], &[&["ruby"]]),
    (&["pl"], &[&["perl"]]),
    (&["php"], &[&["php"]]),
];

/// Returns the commands that run a script with this suffix, the preferred first; none for others.
pub fn of_suffix(suffix: &str) -> &'static [Command] {
    let found = BY_SUFFIX.iter().find(|(suffixes, _)| suffixes.contains(&suffix));
    found.map_or(&[], |(_, commands)| commands)
}

/// Returns all suffixes as a sentence names them: `.py .js`.
pub fn suffixes() -> String {
    let all = BY_SUFFIX.iter().flat_map(|(suffixes, _)| suffixes.iter());
    all.map(|suffix| format!(".{suffix}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suffix_has_its_commands_once() {
        assert_eq!(of_suffix("py"), [&["python3"][..], &["python"]]);
        assert_eq!(of_suffix("cts")[1], ["deno", "run", "--allow-all"]);
        assert!(of_suffix("sql").is_empty() && of_suffix("").is_empty());
        assert_eq!(suffixes(), ".py .js .mjs .cjs .ts .mts .cts .sh .bash .rb .pl .php");
    }
}
