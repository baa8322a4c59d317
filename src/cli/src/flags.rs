//! The command line as a whole: the verbs and what they share.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{ArgAction, Parser, Subcommand};

use crate::{
    archive, baseline, completion, describe, exec, guard, lint, list, local, logs, man, new,
    promote, report, restore, retry, run, stamp, suspend, watch,
};

pub const NAME: &str = "datamigration";

/// Name under which kubectl finds it as its plugin.
const PLUGIN: &str = "kubectl-datamigration";

/// Data migrations on DynamoDB: dry-run, apply and restore them on a laptop or in a cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = NAME, version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Flags {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Log the guard's actions to standard error; repeat for more detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

const EXAMPLES: &str = "\
Examples:
  datamigration exec --dry-run -- python3 main.py                # what would it change?
  datamigration run migrations/0001-add-price-to-cars --dry-run  # the same for a migration's folder
  datamigration report tried.json --html                         # the same as a page
  kubectl datamigration list                                     # state of all migrations
  kubectl datamigration promote 0001-add-price-to-cars           # apply after a successful dry \
  run";

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run any program behind a guard: a dry run writes nothing and reports what would change
    Exec(exec::Flags),
    /// Run a migration's script or transform behind a guard, as the cluster would
    Run(run::Flags),
    /// Create a migration's folder that can be dry-run immediately
    New(new::Flags),
    /// Check migrations' folders without running anything
    Lint(lint::Flags),
    /// Serve a guard to any client until Ctrl-C
    Guard(guard::Flags),
    /// Serve an embedded DynamoDB to any client until Ctrl-C
    Local(local::Flags),
    /// Undo an apply, attribute by attribute: of a migration in a cluster, or of a run in an
    /// archive
    Restore(restore::Flags),
    /// Show the report of a run: a summary, a page, a comment for a pull request, or data
    Report(report::Flags),
    /// List, verify and clean an archive: runs, journals, locks
    Archive(archive::Flags),
    /// List the migrations of a cluster
    #[command(visible_alias = "ls")]
    List(list::Flags),
    /// Show what a migration did, its state, and what to do next
    Describe(describe::Flags),
    /// Print the output of a run's program
    Logs(logs::Flags),
    /// Follow the progress of migrations
    Watch(watch::Flags),
    /// Apply a migration whose dry run succeeded
    Promote(promote::Flags),
    /// Run a migration again after a failure or an unknown outcome
    Retry(retry::Flags),
    /// Pause a migration: no run starts, a program is paused in place, a restore stops
    Suspend(suspend::Flags),
    /// Resume a suspended migration
    Resume(suspend::Flags),
    /// Write the times of an apply into the migration's manifest
    Stamp(stamp::Flags),
    /// Write manifests for migrations that were applied before the operator existed
    Baseline(baseline::Flags),
    /// Print the completion script of a shell
    Completion(completion::Flags),
    /// Write the man pages, one for each verb
    Man(man::Flags),
}

/// The name to show in usage lines, by the one that the program was started under.
pub fn called_as(program: Option<&OsStr>) -> &'static str {
    let name = program.map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
    match name {
        Some(name) if name.starts_with(PLUGIN) => "kubectl datamigration",
        _ => NAME,
    }
}

/// Flags of the cluster that kubectl accepts before a verb.
const BEFORE_VERB: [&str; 4] = ["-n", "--namespace", "--context", "--kubeconfig"];

/// Moves the cluster's flags from before the verb to behind it, because kubectl's users write them
/// there.
pub fn verb_first(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut moved: Vec<OsString> = args.next().into_iter().collect();
    let mut before = Vec::new();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        let flag = BEFORE_VERB.iter().find(|flag| match text.strip_prefix(**flag) {
            Some("") => true,
            Some(rest) => rest.starts_with('=') || !flag.starts_with("--"),
            None => false,
        });
        let takes_next = flag.is_some_and(|flag| text == *flag);
        if flag.is_none() {
            moved.push(arg);
            break;
        }
        before.push(arg);
        if takes_next {
            before.extend(args.next());
        }
    }
    moved.extend(before);
    moved.extend(args);
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn it_answers_as_a_plugin_of_kubectl_too() {
        for (program, expected) in [
            ("/usr/bin/datamigration", "datamigration"),
            ("kubectl-datamigration", "kubectl datamigration"),
            ("/x/kubectl-datamigration", "kubectl datamigration"),
            ("other", "datamigration"),
        ] {
            assert_eq!(called_as(Some(OsStr::new(program))), expected);
        }
        assert_eq!(called_as(None), "datamigration");
    }

    #[test]
    fn a_restore_is_of_a_migration_or_of_a_run_in_an_archive() {
        let parse = |line: &str| Flags::try_parse_from(line.split_whitespace());
        for right in [
            "datamigration restore 0001-price --dry-run -n shop",
            "datamigration restore 0001-price --yes --on-conflict overwrite",
            "datamigration restore --archive file:///a --run 0001-price/1 --upstream http://x",
            // Nothing is asked there, so nothing is skipped.
            "datamigration restore --archive file:///a --run 0001-price/1 --yes",
            "datamigration restore --folder m --hide-values --tables cars --writes-per-second 10",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "datamigration restore",
            "datamigration restore --archive file:///a",
            "datamigration restore --run 0001-price/1",
            "datamigration restore 0001-price --archive file:///a --run 0001-price/1",
            // The operator has its own limits, tables and policy.
            "datamigration restore 0001-price --yes --writes-per-second 10",
            "datamigration restore 0001-price --tables cars",
            "datamigration restore 0001-price --hide-values",
            "datamigration restore 0001-price --upstream http://x",
            "datamigration restore 0001-price --region eu-west-1",
            "datamigration restore 0001-price --control-plane",
            "datamigration restore 0001-price --archive-endpoint http://x",
            "datamigration restore --archive file:///a --run 0001-price/1 -n shop",
            "datamigration restore --folder m --context production",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_clusters_flags_may_stand_before_the_verb() {
        for (line, expected) in [
            ("dm -n shop list -A", "dm list -n shop -A"),
            (
                "dm --namespace=shop --context x describe m",
                "dm describe --namespace=shop --context x m",
            ),
            ("dm -nshop logs m", "dm logs -nshop m"),
            ("dm -v -n shop list", "dm -v -n shop list"),
            ("dm exec -- a -n b", "dm exec -- a -n b"),
            ("dm -n", "dm -n"),
            ("dm --names x", "dm --names x"),
            ("dm", "dm"),
        ] {
            let words = line.split_whitespace().map(OsString::from);
            let found: Vec<String> =
                verb_first(words).iter().map(|word| word.to_string_lossy().into_owned()).collect();
            assert_eq!(found.join(" "), expected);
        }
        let line = verb_first("dm -n shop list".split(' ').map(OsString::from));
        assert!(Flags::try_parse_from(line).is_ok());
    }

    #[test]
    fn a_program_and_its_flags_come_after_two_dashes() {
        let parse = |line: &str| Flags::try_parse_from(line.split_whitespace());
        assert!(parse("datamigration exec --dry-run -- python3 main.py --apply").is_ok());
        assert!(parse("datamigration exec -- a").is_ok());
        for wrong in [
            "datamigration exec",
            "datamigration exec --",
            "datamigration exec python3",
            "datamigration exec --dry-run --apply -- a",
            "datamigration guard --mode other",
            "datamigration exec --writes-per-second 0 -- a",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
