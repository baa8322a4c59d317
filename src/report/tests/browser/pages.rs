//! The pages that are looked at: an ordinary dry run, a run that failed, one whose data is hostile,
//! and one of a million items.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use dm_contract::report::RestoreReport;
use dm_report::Content;
use dm_report::checks::{Check, violations};
use dm_report::compare::compare;
use dm_report::file::RunReport;
use dm_report::html;
use dm_report::items::Listing;
use dm_report::restore::Restored;
use serde_json::{Value, json};

/// Items of the longest report.
const MILLION: u32 = 1_000_000;

/// What runs if any text of the database becomes markup.
const HOSTILE: &str = "</script></style><script>window.broken=1</script>\
                       <img src=x onerror=\"window.broken=1\">\u{202e}txt.exe\u{2066}";

/// Writes all pages into a folder.
pub fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let report = read(&dry_run());
    let listing = Listing::read(BufReader::new(lines(&cars()).as_slice())).unwrap();
    page(folder, "dry-run", &report, &listing, true);
    page(folder, "hidden", &report, &Listing::read(lines(&hidden()).as_slice()).unwrap(), false);
    page(folder, "failed", &read(&failed()), &Listing::default(), false);
    page(folder, "applied", &read(&applied()), &Listing::default(), false);
    let restored: RestoreReport = serde_json::from_value(restored()).unwrap();
    let restored = Restored { report: &restored, of: "0001-add-price-to-cars/2" };
    fs::write(folder.join("restore.html"), html::restore::page(&restored)).unwrap();
    let listing = Listing::read(lines(&hostile_items()).as_slice()).unwrap();
    page(folder, "hostile", &read(&hostile()), &listing, false);
    let mut million = dry_run();
    million["tables"][0]["updated"] = MILLION.into();
    million["tables"][0]["itemsRead"] = MILLION.into();
    million["tables"][0]["itemCount"] = MILLION.into();
    million["tables"][0]["attributes"][1]["added"] = MILLION.into();
    let listing = Listing::read(BufReader::new(Cars::default())).unwrap();
    assert_eq!(listing.seen, u64::from(MILLION));
    page(folder, "million", &read(&million), &listing, false);
}

fn read(json: &Value) -> RunReport {
    RunReport::from_json(json.to_string().as_bytes()).unwrap()
}

fn page(folder: &Path, name: &str, report: &RunReport, listing: &Listing, compared: bool) {
    let mut before = report.clone();
    before.result.tables[0].updated = 380;
    before.result.tables.truncate(1);
    before.result.write_units = 380.0;
    let comparison = compare(&before, report);
    let checks: [Check; 1] = ["deletes".parse().unwrap()];
    let violations = if compared { violations(report, &checks) } else { Vec::new() };
    let content = Content {
        report,
        listing,
        comparison: compared.then_some(&comparison),
        violations: &violations,
    };
    let mut file = BufWriter::new(File::create(folder.join(format!("{name}.html"))).unwrap());
    file.write_all(html::page(&content).as_bytes()).unwrap();
}

fn lines(items: &[Value]) -> Vec<u8> {
    items.iter().flat_map(|item| (item.to_string() + "\n").into_bytes()).collect()
}

fn dry_run() -> Value {
    json!({
        "version": 1, "mode": "DryRun", "requests": 433, "writeCallsUpstream": 0,
        "readCallsUpstream": 6, "itemsRead": 418, "readUnits": 51.5, "writeUnits": 419.0,
        "tables": [
            {"name": "cars", "itemsRead": 406, "itemCount": 406, "created": 0, "updated": 394,
             "deleted": 12, "unchanged": 0, "attributes": [
                {"name": "origin", "changed": 40},
                {"name": "price", "added": 394},
                {"name": "specifications", "changed": 40},
             ]},
            {"name": "makers", "itemsRead": 12, "itemCount": 12, "created": 1, "updated": 0,
             "deleted": 0, "unchanged": 3},
        ],
        "remarks": [{"operation": "Scan", "fidelity": "Approximate", "count": 2, "why":
            "items that were created during the scan come at its end"}],
        "effectsDigest": "sha256:4be1c07d3e1f4a5b9c8d7e6f5a4b3c2d1e0f4be1c07d3e1f4a5b9c8d7e6f5a4b",
        "dryRun": {
            "operations": [
                {"operation": "DeleteItem", "exact": 12}, {"operation": "PutItem", "exact": 1},
                {"operation": "Scan", "exact": 2, "approximate": 2},
                {"operation": "UpdateItem", "exact": 394},
            ],
            "changedUnderneath": 1,
            "applyTime": {"seconds": 3, "limitedBy": "writes", "perSecond": 200},
            "secondPass": {"idempotent": true, "requests": 8},
        },
        "about": {
            "name": "0001-add-price-to-cars", "database": "http://127.0.0.1:8000 (eu-west-1)",
            "by": "ana", "startedAt": "2026-12-01T10:02:11Z", "finishedAt": "2026-12-01T10:02:13Z",
            "tookMs": 1870, "end": {"exited": 0}, "secondPass": true, "secondEnd": {"exited": 0},
        },
    })
}

/// A run that was applied without a journal, and failed half way.
fn failed() -> Value {
    json!({
        "version": 1, "mode": "Apply", "requests": 312, "writeCallsUpstream": 155,
        "readCallsUpstream": 3, "itemsRead": 406, "readUnits": 50.5, "writeUnits": 155.0,
        "tables": [{"name": "cars", "itemsRead": 406, "created": 0, "updated": 155, "deleted": 0,
                    "unchanged": 0}],
        "remarks": [{"operation": "UpdateTable", "fidelity": "Refused", "count": 1, "why":
            "the control plane is not allowed; pass --control-plane"}],
        "effectsDigest": "sha256:77",
        "about": {"name": "0005-split-name", "database": "DynamoDB in eu-west-1", "tookMs": 62_000,
                  "startedAt": "2026-11-24T02:54:27Z", "end": {"exited": 3}},
    })
}

/// An apply with a journal, which the database throttled for a while.
fn applied() -> Value {
    let step = |at: u32| {
        let throttled = (20..26).contains(&at);
        let units = if throttled { 110 + 5 * (at - 20) } else { 190 + at % 7 };
        json!({"writeUnits": units, "readUnits": f64::from(at % 5) * 8.5,
               "throttles": if throttled { 3 + at % 4 } else { 0 }})
    };
    let steps: Vec<Value> = (0..64).map(step).collect();
    json!({
        "version": 1, "mode": "Apply", "requests": 12_420, "writeCallsUpstream": 12_000,
        "readCallsUpstream": 420, "itemsRead": 12_000, "readUnits": 1_088.5, "writeUnits": 12_000.0,
        "tables": [{"name": "cars", "itemsRead": 12_000, "itemCount": 12_000, "created": 0,
                    "updated": 12_000, "deleted": 0, "unchanged": 0,
                    "attributes": [{"name": "price", "added": 12_000}]}],
        "effectsDigest": "sha256:4be1",
        "journal": {"run": "0001-add-price-to-cars/2", "entries": 12_000, "segments": 24,
                    "bytes": 884_112, "readUnits": 0.0},
        "about": {"name": "0001-add-price-to-cars", "database": "DynamoDB in eu-west-1",
                  "tookMs": 64_200, "startedAt": "2026-12-01T02:00:00Z", "by": "ana",
                  "end": {"exited": 0}},
        "timeline": {"stepMs": 1_000, "steps": steps},
    })
}

/// The preview of a restore with conflicts of every kind.
fn restored() -> Value {
    let kinds = [
        json!({"attributeChanged": "price"}),
        json!({"attributeChanged": HOSTILE}),
        json!("itemDeleted"),
        json!("placeTaken"),
    ];
    let listed = |at: usize| {
        json!({"table": "cars", "key": {"id": {"S": format!("{HOSTILE}{at}")}},
               "conflict": kinds[at % kinds.len()]})
    };
    json!({
        "items": 12_000, "restored": 11_950, "deleted": 3, "recreated": 2, "unchanged": 37,
        "conflicts": 37,
        "listed": (0..37).map(listed).collect::<Vec<_>>(), "unverified": 4,
        "readUnits": 6_000.0, "writeUnits": 11_955.0,
        "notRestored": [{"operation": "UpdateTable", "tables": ["cars"]}],
    })
}

fn car(number: u32) -> Value {
    let makes = ["audi", "bmw", "chevrolet", "citroën", "datsun", "トヨタ", "مرسيدس"];
    let make = makes[number as usize % makes.len()];
    let id = json!({"S": format!("{make}-{}-{number}", 1970 + number % 13)});
    let image = |price: Option<u32>| {
        let mut image = json!({
            "id": id, "color": {"S": "dark green metallic"}, "cylinders": {"N": "4"},
            "owners": {"L": [{"M": {"name": {"S": "Q. Ramos"}, "since": {"N": "1981"}}}]},
            "tags": {"SS": ["classic", "import"]},
        });
        if let Some(price) = price {
            image["price"] = json!({"N": price.to_string()});
        }
        image
    };
    json!({
        "version": 1, "table": "cars", "key": {"id": id}, "kind": "updated",
        "attributes": {"price": "added"}, "before": image(None),
        "after": image(Some(2_000 + number)),
    })
}

/// A difference with every kind of change.
fn cars() -> Vec<Value> {
    let mut all: Vec<Value> = (0..394).map(car).collect();
    for (number, item) in all.iter_mut().enumerate().take(394).skip(354) {
        item["attributes"] =
            json!({"price": "added", "specifications": "changed", "origin": "changed"});
        item["before"]["specifications"] = json!({"M": {"weight": {"N": "1400"}, "notes": {"S":
            "Restored in 1998. ".repeat(number / 10)}}});
        item["after"]["specifications"] = json!({"M": {"weight": {"N": "1405"}}});
        item["before"]["origin"] = json!({"S": "Europe"});
        item["after"]["origin"] = json!({"S": "EU"});
    }
    for number in 0..12 {
        let key = json!({"id": {"S": format!("scrapped-{number}")}});
        all.push(json!({
            "version": 1, "table": "cars", "key": key, "kind": "deleted",
            "attributes": {"id": "removed", "color": "removed"},
            "before": {"id": key["id"], "color": {"S": "rust"}},
        }));
    }
    let key = json!({"name": {"S": "Rivian"}});
    all.push(json!({
        "version": 1, "table": "makers", "key": key, "kind": "created",
        "attributes": {"name": "added", "founded": "added"},
        "after": {"name": {"S": "Rivian"}, "founded": {"N": "2009"}},
    }));
    all
}

/// The same where values are not shown.
fn hidden() -> Vec<Value> {
    let hide = |(at, item): (usize, Value)| {
        json!({
            "version": 1, "table": item["table"], "keyDigest": format!("sha256:{at:064x}"),
            "kind": item["kind"], "attributes": item["attributes"],
        })
    };
    cars().into_iter().enumerate().map(hide).collect()
}

fn hostile() -> Value {
    let mut report = dry_run();
    for member in ["name", "database", "by", "startedAt"] {
        report["about"][member] = HOSTILE.into();
    }
    report["problem"] = HOSTILE.into();
    report["effectsDigest"] = HOSTILE.into();
    report["tables"][0]["name"] = HOSTILE.into();
    report["tables"][0]["settings"] = json!([HOSTILE]);
    report["tables"][0]["attributes"][0]["name"] = HOSTILE.into();
    report["remarks"][0]["why"] = HOSTILE.into();
    report["dryRun"]["operations"][0]["operation"] = HOSTILE.into();
    report
}

fn hostile_items() -> Vec<Value> {
    let attribute = json!({HOSTILE: "changed", "__proto__": "added", "long": "changed"});
    let item = json!({
        "version": 1, "table": HOSTILE, "key": {HOSTILE: {"S": HOSTILE}}, "kind": "updated",
        "attributes": attribute,
        "before": {HOSTILE: {"S": HOSTILE}, "long": {"S": "x".repeat(400_000)}},
        "after": {HOSTILE: {"M": {HOSTILE: {"B": HOSTILE}}}, "__proto__": {"S": HOSTILE},
                  "long": {"S": "y".repeat(400_000)}},
    });
    vec![item, car(1)]
}

/// The lines of a million cars, made as they are read.
#[derive(Default)]
struct Cars {
    next: u32,
    rest: Vec<u8>,
}

impl Read for Cars {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() && self.next < MILLION {
            let number = self.next;
            self.next += 1;
            let line = format!(
                "{{\"version\":1,\"table\":\"cars\",\"key\":{{\"id\":{{\"S\":\"car-{number}\"}}}},\
                 \"kind\":\"updated\",\"attributes\":{{\"price\":\"added\"}},\
                 \"before\":{{\"id\":{{\"S\":\"car-{number}\"}},\"color\":{{\"S\":\"red\"}}}},\
                 \"after\":{{\"id\":{{\"S\":\"car-{number}\"}},\"color\":{{\"S\":\"red\"}},\
                 \"price\":{{\"N\":\"{number}\"}}}}}}\n"
            );
            self.rest = line.into_bytes();
        }
        let read = self.rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.rest[..read]);
        self.rest.drain(..read);
        Ok(read)
    }
}
