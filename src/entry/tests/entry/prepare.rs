//! The pod's folders, filled from a folder that looks as the kubelet makes it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use crate::pod::{ENTRY, Pod};

/// A ConfigMap volume: names lead through `..data` to the folder of one version.
fn config_map(root: &Path, files: &[(&str, &[u8])]) {
    let version = root.join("..2026_12_01_02_00_00.123456789");
    for (name, content) in files {
        let file = version.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
        let first = Path::new(name).iter().next().unwrap();
        if !root.join(first).is_symlink() {
            symlink(Path::new("..data").join(first), root.join(first)).unwrap();
        }
    }
    symlink("..2026_12_01_02_00_00.123456789", root.join("..data")).unwrap();
}

fn prepare(pod: &Pod) -> Output {
    Command::new(ENTRY)
        .arg("prepare")
        .arg("--bin")
        .arg(pod.path("bin"))
        .arg("--files")
        .arg(pod.path("files"))
        .arg("--work")
        .arg(pod.path("work"))
        .output()
        .unwrap()
}

#[test]
fn files_that_are_not_those_of_the_run_are_refused() {
    let pod = Pod::new(&[]);
    let files: [(&str, &[u8]); 2] = [("main.py", b"print('x')"), ("lib/a.py", b"a")];
    config_map(&pod.path("files"), &files);
    let all = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec()));
    let digest = dm_contract::program_files::digest(&all.collect());
    let checked = |digest: &str| {
        let mut prepare = Command::new(ENTRY);
        prepare.arg("prepare").arg("--bin").arg(pod.path("bin"));
        prepare.arg("--files").arg(pod.path("files")).arg("--work").arg(pod.path("work"));
        prepare.arg("--digest").arg(digest).output().unwrap()
    };
    for _ in 0..2 {
        let output = checked(&digest);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert!(output.status.success(), "also where it was begun before");
    }
    let version = fs::canonicalize(pod.path("files").join("..data")).unwrap();
    for (file, content) in [("main.py", "print('y')"), ("more.py", "")] {
        fs::remove_file(version.join(file)).ok();
        fs::write(version.join(file), content).unwrap();
        let output = checked(&digest);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("not those of this run"));
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_folders_are_filled_and_again() {
    let pod = Pod::new(&[]);
    let files: [(&str, &[u8]); 4] = [
        ("main.py", b"#!/usr/bin/env python3\nprint('x')\n"),
        ("data/prices.bin", b"\0\xff\n"),
        ("lib/deep/a.py", b""),
        (".env", b"A=1"),
    ];
    config_map(&pod.path("files"), &files);
    for _ in 0..2 {
        let output = prepare(&pod);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert!(output.status.success());
    }
    for (name, content) in files {
        assert_eq!(fs::read(pod.path("work").join(name)).unwrap(), content, "{name}");
    }
    let mut names: Vec<_> =
        fs::read_dir(pod.path("work")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".env", "data", "lib", "main.py"]);
    assert_eq!(mode(&pod.path("work/main.py")), 0o777);
    assert_eq!(mode(&pod.path("work/data")), 0o777);
    assert_eq!(mode(&pod.path("work/data/prices.bin")), 0o666);
    assert!(!pod.path("work/main.py").is_symlink());
    let entry = pod.path("bin/datamigration-entry");
    assert_eq!(mode(&entry), 0o755);
    assert_eq!(fs::read_dir(pod.path("bin")).unwrap().count(), 1);
    assert_eq!(fs::read(entry).unwrap(), fs::read(ENTRY).unwrap());
}

#[test]
fn the_copy_alone_is_enough_for_a_program_in_an_image() {
    let pod = Pod::new(&[]);
    let output = Command::new(ENTRY).args(["prepare", "--bin"]).arg(pod.path("bin")).output();
    assert!(output.unwrap().status.success());
    let version = Command::new(pod.path("bin/datamigration-entry")).arg("--version").output();
    assert!(version.unwrap().stdout.starts_with(b"datamigration-entry "));
}

#[test]
fn an_error_names_the_file() {
    let pod = Pod::new(&[]);
    let output = prepare(&pod);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("reading the folder "), "{stderr}");
    assert!(stderr.contains("/files: No such file or directory"), "{stderr}");

    config_map(&pod.path("files"), &[("main.py", b"")]);
    symlink("..data/gone", pod.path("files/..data/dangling")).unwrap();
    let stderr = String::from_utf8(prepare(&pod).stderr).unwrap();
    assert!(stderr.contains("dangling: No such file or directory"), "{stderr}");
}

#[test]
fn a_loop_of_links_ends() {
    let pod = Pod::new(&[]);
    config_map(&pod.path("files"), &[("a/b", b"")]);
    symlink(".", pod.path("files/..data/a/loop")).unwrap();
    let stderr = String::from_utf8(prepare(&pod).stderr).unwrap();
    assert!(stderr.contains("it is nested too deep"), "{stderr}");
}
