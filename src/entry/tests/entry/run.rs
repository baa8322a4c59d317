//! Real small programs under the entry program: what they see, what passes through, what is kept.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dm_contract::report::ProgramResult;
use serde_json::json;

use crate::pod::{ENTRY, Pod};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn a_failing_script_leaves_its_code_lines_and_times() {
    let script = "import sys, time\n\
        print('Año nuevo: 406 coches ✓', flush=True)\n\
        time.sleep(0.05)\n\
        print(open('prices.csv').read(), end='', flush=True)\n\
        raise SystemExit(3)\n";
    let pod = Pod::new(&[("main.py", script), ("prices.csv", "köln;12\n")]);
    let seen = pod.script("main.py");
    assert_eq!(seen.code, 3);
    assert_eq!(String::from_utf8(seen.stdout).unwrap(), "Año nuevo: 406 coches ✓\nköln;12\n");
    assert_eq!(seen.stderr, "");
    assert_eq!((seen.result.exit_code, seen.result.signal), (Some(3), None));
    assert_eq!(seen.result.last_lines, ["Año nuevo: 406 coches ✓", "köln;12"]);
    assert_eq!(seen.result.start_error, None);
    let (start, end) = (seen.result.started_at.unwrap(), seen.result.finished_at.unwrap());
    assert_eq!((start.len(), &start[10..11], &start[23..]), (24, "T", "Z"));
    assert!(start < end, "{start} {end}");
}

#[test]
fn the_programs_environment_and_arguments_are_as_given() {
    let pod = Pod::new(&[("main.sh", "pwd; echo \"$@\"; echo \"$A\"; env | sort | cksum")]);
    let mut entry = pod.entry();
    entry.envs([("A", "b c"), ("NO_PROXY", ".internal"), ("no_proxy", "")]);
    entry.args(["--script", "main.sh", "--", "-x", "--", "y"]);
    let seen = pod.seen(entry.output().unwrap());
    // Nothing is added but the guard's address, which no proxy is asked for.
    let own = Command::new("sh")
        .args(["-c", "env | sort | cksum"])
        .envs([("A", "b c"), ("NO_PROXY", ".internal,127.0.0.1"), ("no_proxy", "127.0.0.1")])
        .current_dir(pod.path("work"))
        .output()
        .unwrap();
    let work = fs::canonicalize(pod.path("work")).unwrap();
    let expected = format!("{}\n-x -- y\nb c\n", work.display());
    let expected = [expected.as_bytes(), &own.stdout].concat();
    assert_eq!(String::from_utf8(seen.stdout), String::from_utf8(expected));
}

#[test]
fn a_program_runs_a_second_time_after_the_guard_was_told() {
    // A database, as it were: neither in the program's folder nor among its temporary files.
    let once = "echo run >> $RUNS; test $(wc -l < $RUNS) -le 1 || exit 4";
    let with_progress = "test ! -e done || exit 5; touch done; echo run >> $RUNS";
    for (program, answer, runs, code, second) in [
        ("echo run >> $RUNS", "200 OK", 2, 0, json!({"exitCode": 0})),
        (with_progress, "200 OK", 2, 0, json!({"exitCode": 0})),
        (once, "200 OK", 2, 0, json!({"exitCode": 4})),
        ("echo run >> $RUNS; exit 3", "200 OK", 1, 3, json!(null)),
        (once, "409 Conflict", 1, 0, json!({"notRun": "the guard refused: it has begun already"})),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let guard = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let said = "it has begun already\n";
            let head = format!("HTTP/1.1 {answer}\r\nContent-Length: {}\r\n\r\n", said.len());
            stream.write_all((head + said).as_bytes()).unwrap();
            line
        });
        let pod = Pod::new(&[]);
        let mut entry = pod.entry();
        entry.args(["--second-pass", &address, "--", "sh", "-c", program]);
        entry.env("RUNS", pod.path("runs")).env("TMPDIR", pod.path("tmp"));
        let seen = pod.seen(entry.output().unwrap());
        assert_eq!(seen.code, code, "the first run counts: {}", seen.stderr);
        assert_eq!(json!(seen.result.second_run), second, "{program}");
        assert_eq!(fs::read_to_string(pod.path("runs")).unwrap().lines().count(), runs);
        if code == 0 {
            assert_eq!(guard.join().unwrap(), "POST /datamigration/second-pass HTTP/1.1\r\n");
        }
    }
}

#[test]
fn a_program_that_leaves_temporary_files_does_not_run_a_second_time() {
    let pod = Pod::new(&[]);
    fs::create_dir(pod.path("tmp")).unwrap();
    let mut entry = pod.entry();
    entry.args(["--second-pass", "127.0.0.1:1", "--", "sh", "-c", "touch $TMPDIR/done"]);
    let seen = pod.seen(entry.env("TMPDIR", pod.path("tmp")).output().unwrap());
    let why = seen.result.second_run.unwrap().not_run.unwrap();
    assert!(why.contains("tmp/done"), "{why}");
    assert_eq!(seen.code, 0);
}

#[test]
fn a_relative_folder_is_that_of_the_container() {
    let pod = Pod::new(&[("x.sh", "#!/bin/sh\necho in $(pwd)\n")]);
    fs::set_permissions(pod.path("work/x.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let work = fs::canonicalize(pod.path("work")).unwrap();
    for (dir, from) in [(".", "work"), ("work", ".")] {
        let mut entry = Command::new(ENTRY);
        entry.args(["run", "--termination-log"]).arg(pod.path("log")).args(["--dir", dir]);
        let output = entry.args(["--", "./x.sh"]).current_dir(pod.path(from)).output().unwrap();
        let seen = pod.seen(output);
        assert_eq!(String::from_utf8(seen.stdout).unwrap(), format!("in {}\n", work.display()));
    }
}

#[test]
fn a_shebang_chooses_the_interpreter_and_no_executable_bit_is_needed() {
    let pod = Pod::new(&[("run", "#!/usr/bin/env -S sh -u\necho \"$0\"; echo $NEVER_SET\n")]);
    let seen = pod.script("run");
    assert_eq!(seen.stdout, b"run\n");
    assert_ne!(seen.code, 0);
    assert!(seen.stderr.contains("NEVER_SET"), "{}", seen.stderr);
}

#[test]
fn a_signal_that_ends_the_program_is_told() {
    let seen = Pod::new(&[]).shell("echo going; kill -9 $$");
    assert_eq!(seen.code, 137);
    assert_eq!((seen.result.exit_code, seen.result.signal), (None, Some(9)));
    assert_eq!(seen.result.last_lines, ["going"]);
}

#[test]
fn a_real_time_signal_is_told_too() {
    let seen = Pod::new(&[]).command(["bash", "-c", "kill -40 $$"]);
    assert_eq!((seen.code, seen.result.signal), (168, Some(40)));
}

#[test]
fn signals_reach_the_program_and_its_children() {
    let pod = Pod::new(&[]);
    let child = "trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.05; done";
    let parent = "trap 'echo parent; wait; exit 7' TERM; sh -c \"$0\" & wait";
    let mut entry = pod.entry().args(["--", "sh", "-c", parent, child]).spawn().unwrap();
    let mut stdout = BufReader::new(entry.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "output is passed on while the program runs");
    let start = Instant::now();
    kill_process(Pid::from_child(&entry), Signal::TERM).unwrap();
    stdout.read_to_string(&mut line).unwrap();
    let seen = pod.seen(entry.wait_with_output().unwrap());
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(seen.code, 7);
    for who in ["child", "parent"] {
        assert!(seen.result.last_lines.contains(&who.to_owned()), "{:?}", seen.result);
    }
}

#[test]
fn a_program_that_ends_with_0_because_it_was_told_to_is_not_complete() {
    let script =
        |code: u8| format!("trap 'exit {code}' TERM; echo ready; while :; do sleep 0.05; done");
    for (code, expected) in [(0, 143), (7, 7)] {
        let pod = Pod::new(&[]);
        let mut entry = pod.entry().args(["--", "sh", "-c", &script(code)]).spawn().unwrap();
        let mut stdout = BufReader::new(entry.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        kill_process(Pid::from_child(&entry), Signal::TERM).unwrap();
        let seen = pod.seen(entry.wait_with_output().unwrap());
        assert_eq!(seen.code, expected);
        let said = (seen.result.exit_code, seen.result.asked_to_end);
        assert_eq!(said, (Some(i32::from(code)), Some(15)));
    }
    let seen = Pod::new(&[]).shell("exit 0");
    assert_eq!((seen.code, seen.result.asked_to_end), (0, None));
}

#[test]
fn a_program_that_leaves_a_process_running_has_not_succeeded() {
    let pod = Pod::new(&[]);
    let left = |script: &str| {
        let mut entry = pod.entry();
        entry.args(["--", "sh", "-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
        let code = entry.status().unwrap().code();
        let result: ProgramResult =
            serde_json::from_str(&fs::read_to_string(pod.path("log")).unwrap()).unwrap();
        (code, result.exit_code, result.left_running.map(|left| (left.count, left.names)))
    };
    let end = || {
        let pid = fs::read_to_string(pod.path("work/pid")).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    };
    let sleep = Some((1, vec!["sleep".to_owned()]));
    assert_eq!(left("sleep 30 & echo $! >pid"), (Some(125), Some(0), sleep.clone()));
    end();
    // Also where it left the program's group and session, and closed its output.
    let daemon = "setsid sleep 30 </dev/null >/dev/null 2>&1 & echo $! >pid";
    assert_eq!(left(daemon), (Some(125), Some(0), sleep));
    end();
    // One that ends soon, those that the program waited for, and one whose end nobody has seen.
    for script in ["sleep 0.5 &", "sleep 0.2 & wait", "(sleep 0.01 &) ; sleep 0.1", "true &"] {
        assert_eq!(left(script), (Some(0), Some(0), None), "{script}");
    }
    // A program that failed has failed for its own reason.
    assert_eq!(left("sleep 30 & echo $! >pid; exit 3"), (Some(3), Some(3), None));
    end();
}

#[test]
fn what_ends_because_the_pod_is_stopped_was_left_running() {
    let pod = Pod::new(&[]);
    let script = "sleep 30 >/dev/null 2>&1 & echo ready";
    let mut entry = pod.entry().args(["--", "sh", "-c", script]).spawn().unwrap();
    let mut stdout = BufReader::new(entry.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    // The shell has ended by then, and its child is waited for.
    thread::sleep(Duration::from_millis(500));
    kill_process(Pid::from_child(&entry), Signal::TERM).unwrap();
    let seen = pod.seen(entry.wait_with_output().unwrap());
    assert_eq!(seen.code, 125, "{:?}", seen.result);
    assert_eq!(seen.result.left_running.unwrap().names, ["sleep"]);
    assert!(seen.stderr.contains("let the program wait"), "{}", seen.stderr);
}

#[test]
fn a_grandchild_that_keeps_the_pipes_does_not_hold_the_run() {
    let pod = Pod::new(&[]);
    let start = Instant::now();
    let script = "sleep 30 & echo $! >pid; printf 'no newline'";
    // The test's own pipes must not wait for the grandchild, so only the code and the log count.
    let mut entry = pod.entry();
    entry.args(["--", "sh", "-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
    let code = entry.status().unwrap().code();
    let took = start.elapsed();
    assert_eq!(code, Some(125));
    assert!(took > Duration::from_millis(1900) && took < Duration::from_secs(10), "{took:?}");
    let log = fs::read_to_string(pod.path("log")).unwrap();
    assert!(log.contains(r#""lastLines":["no newline"]"#), "{log}");
    let pid = fs::read_to_string(pod.path("work/pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn orphans_are_reaped() {
    let orphan = "sh -c 'sleep 0.1 &'; sleep 0.6; \
        cat /proc/[0-9]*/stat 2>/dev/null | grep -c \") Z $PPID \"";
    let seen = Pod::new(&[]).shell(orphan);
    assert_eq!(seen.stdout, b"0\n");
}

#[test]
fn a_hundred_megabytes_pass_unchanged_in_little_memory() {
    let pod = Pod::new(&[]);
    let commands = "seq 1 12500000; grep VmHWM /proc/$PPID/status >&2";
    let mut entry = pod.entry().args(["--", "sh", "-c", commands]).spawn().unwrap();
    let mut stdout = BufReader::with_capacity(1 << 20, entry.stdout.take().unwrap());
    let (mut bytes, mut next, mut line) = (0, 1_u64, Vec::new());
    while stdout.read_until(b'\n', &mut line).unwrap() > 0 {
        bytes += line.len();
        assert_eq!(line, format!("{next}\n").into_bytes());
        next += 1;
        line.clear();
    }
    assert!(bytes > 100_000_000, "{bytes}");
    let seen = pod.seen(entry.wait_with_output().unwrap());
    let lines = seen.result.last_lines;
    assert_eq!(lines.len(), 20);
    assert!(lines.contains(&"12500000".to_owned()), "{lines:?}");
    let peak_kib: u32 = seen.stderr.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak_kib < 16 * 1024, "{peak_kib} KiB");
}

#[test]
fn bytes_that_are_no_text_pass_and_a_partial_line_counts() {
    let seen = Pod::new(&[]).shell("printf 'ok\\nca\\377fe\\000\\033[31m red'; printf err >&2");
    assert_eq!(seen.stdout, b"ok\nca\xfffe\0\x1b[31m red");
    assert_eq!(seen.stderr, "err");
    assert_eq!(seen.result.last_lines, ["ok", "ca\u{fffd}fe red", "err"]);
}

#[test]
fn an_error_comes_after_the_output_before_it() {
    let pod = Pod::new(&[]);
    for _ in 0..50 {
        let seen = pod.shell("echo 155 names split; echo KeyError >&2; exit 3");
        assert_eq!(seen.result.last_lines, ["155 names split", "KeyError"]);
    }
}

#[test]
fn lines_full_of_escapes_still_fit() {
    let quotes =
        "i=0; while [ $i -lt 30 ]; do printf '%0300d' 0 | tr 0 '\"'; echo; i=$((i+1)); done";
    let seen = Pod::new(&[]).shell(quotes);
    assert_eq!(seen.result.last_lines.len(), 4);
}

#[test]
fn a_log_that_cannot_be_written_is_a_warning() {
    for log in ["/", "/no/such/folder/log", "/dev/full"] {
        let pod = Pod::new(&[]);
        let output = Command::new(ENTRY)
            .args(["run", "--termination-log", log, "--dir"])
            .arg(pod.path("work"))
            .args(["--", "sh", "-c", "echo out; exit 4"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{log}");
        assert_eq!(output.stdout, b"out\n");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("could not be written to {log}:")), "{stderr}");
    }
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_program() {
    let pod = Pod::new(&[]);
    let commands = "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 5";
    let mut entry = pod.entry().args(["--", "sh", "-c", commands]).spawn().unwrap();
    drop(entry.stdout.take());
    let seen = pod.seen(entry.wait_with_output().unwrap());
    assert_eq!(seen.code, 5);
    assert_eq!(seen.result.last_lines, ["1", "2", "3"]);
}

#[test]
fn what_cannot_be_started_says_why() {
    let pod = Pod::new(&[("main.py", ""), ("x.sh", "#!/no/such/shell\n"), ("plain", "echo\n")]);
    let mut entry = pod.entry();
    let seen = pod.seen(entry.args(["--script", "main.py"]).env("PATH", "/none").output().unwrap());
    let message = "this image has no interpreter for main.py: looked for python3, python in /none; \
        choose an image that has one, or give a command";
    assert_eq!((seen.code, seen.result.start_error.as_deref()), (127, Some(message)));
    assert_eq!(seen.stderr, format!("datamigration-entry: {message}\n"));
    assert_eq!((seen.result.started_at, seen.result.exit_code), (None, None));

    let seen = pod.script("gone.py");
    let message =
        "there is no script gone.py among the program's files: there are main.py, plain, x.sh";
    assert_eq!((seen.code, seen.result.start_error.as_deref()), (127, Some(message)));

    let table = [
        ("nowhere", 127, "there is no program nowhere in "),
        ("./plain", 126, "plain is not an executable file"),
    ];
    for (name, code, part) in table {
        let seen = pod.command([name]);
        assert_eq!(seen.code, code, "{name}");
        assert!(seen.result.start_error.unwrap().contains(part), "{name}");
    }
}

#[test]
fn what_the_system_refuses_to_execute_says_why() {
    let pod = Pod::new(&[("x.sh", "#!/no/such/shell\n"), ("plain", "echo\n")]);
    for file in ["x.sh", "plain"] {
        let file = pod.path("work").join(file);
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let table = [
        (
            "./x.sh",
            "x.sh could not be started; the file exists, its interpreter or loader does not: ",
        ),
        ("./plain", "plain could not be started; a script needs a #! line "),
    ];
    for (name, part) in table {
        let seen = pod.command([name]);
        let error = seen.result.start_error.unwrap();
        assert_eq!(seen.code, 126, "{name}");
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn wrong_arguments_are_no_code_of_a_program() {
    let output = Command::new(ENTRY).args(["run", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage:"));
}
