//! An archive without its ledger, or with a damaged entry, is not whole; nor is one at a wrong
//! address.

use super::{Laptop, says};

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_lost_its_ledger_or_an_entry_of_it_is_not_whole() {
    let laptop = Laptop::new().await;
    let root = laptop.folder.path();
    laptop.exec("a");
    laptop.exec("b");
    std::fs::write(root.join("ledger/m/000001.begun.json"), "{\"version\":9}").unwrap();
    let (code, told) = laptop.says(&["archive", "verify"]);
    assert!(code == 1 && told.contains("m/2  1 entry, complete"), "{told}");
    assert!(told.contains("m/1  the ledger's entry"), "{told}");
    let gc = ["archive", "gc", "--older-than-days", "0", "--keep", "0", "--journals-too"];
    let (code, told) = laptop.says(&gc);
    assert!(code == 1 && told.contains("nothing of its migration is deleted"), "{told}");
    assert!(root.join("runs/m/000002/journal").is_dir());
    std::fs::remove_dir_all(root.join("ledger")).unwrap();
    let (code, told) = laptop.says(&["archive", "verify"]);
    assert!(code == 1 && told.contains("m/2  a journal without an entry in the ledger"), "{told}");
    std::fs::remove_dir_all(root.join("runs")).unwrap();
    for verb in ["verify", "ls"] {
        let (code, told) = laptop.says(&["archive", verb]);
        assert!(code == 1 && told.contains("or its ledger is gone"), "{verb}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_runs_is_whole_only_if_it_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    assert_eq!(says(&url, &["archive", "verify"]).0, 1);
    std::fs::write(folder.path().join("create-once.txt"), "x").unwrap();
    let (code, told) = says(&url, &["archive", "verify"]);
    assert!(code == 0 && told.contains("no runs in"), "{told}");
}
