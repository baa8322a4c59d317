//! Measures a dry run that changes many items of 1 KB: the guard's memory, its time, the room it
//! takes on disk, and its difference item by item. Run by `cargo xtask bench overlay`; prints,
//! judges nothing.
//!
//! The database is a mock that answers in constant time from no memory at all, so that what is
//! measured is the guard: the program that runs in a pod, asked over HTTP, with an archive in a
//! folder into which it puts report and difference when it is stopped. All share one machine's
//! cores.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use dm_contract::plan::PLAN_VERSION;
use rustix::process::{Pid, Signal, kill_process};

/// Items changed, unless the first word says otherwise.
const ITEMS: u64 = 1_000_000;
/// Bytes of each item, nearly all in one attribute that does not compress well.
const ITEM_BYTES: usize = 1_000;
/// Connections of the client.
const CONNECTIONS: u64 = 8;
/// How often progress is printed.
const PARTS: u64 = 4;

fn main() -> Result<()> {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["mock"] => mock().context("the mock"),
        [items] => measure(items.parse().context("the number of items")?),
        [] => measure(ITEMS),
        _ => bail!("give a number of items, or nothing"),
    }
}

fn measure(items: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mock = Process::mock()?;
    let guard = Process::guard(mock.address, folder.path())?;
    println!(
        "a dry run that changes {items} items of {ITEM_BYTES} bytes, by UpdateItem, over a mock"
    );
    println!(
        "{:>10} {:>9} {:>10} {:>11} {:>9}",
        "changed", "seconds", "items/s", "memory MB", "disk MB"
    );
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    for part in 1..=PARTS {
        let until = items * part / PARTS;
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (next, address) = (Arc::clone(&next), guard.address);
                std::thread::spawn(move || change(address, &next, until))
            })
            .collect();
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        // Each client took one number too many.
        next.store(until, Ordering::SeqCst);
        let seconds = begun.elapsed().as_secs_f64();
        let [memory, disk] = [guard.memory_kib()? / 1024, guard.file_bytes()? >> 20];
        let rate = u32::try_from(until).map_or(0.0, f64::from) / seconds;
        println!("{until:>10} {seconds:>9.1} {rate:>10.0} {memory:>11} {disk:>9}");
    }
    guard.stop(folder.path())
}

/// Changes items until the number of another one is this.
fn change(guard: SocketAddr, next: &AtomicU64, until: u64) -> Result<()> {
    let mut connection = Connection::open(guard)?;
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= until {
            return Ok(());
        }
        let id = id(number);
        let body = format!(
            r#"{{"TableName":"items","Key":{{"id":{{"S":"{id}"}}}},"UpdateExpression":"SET price = :p","ExpressionAttributeValues":{{":p":{{"N":"{number}"}}}}}}"#
        );
        connection.call("UpdateItem", &body)?;
    }
}

/// Scattered over the order of keys, as a Scan would bring them.
fn id(number: u64) -> String {
    let mixed = (number ^ (number >> 13)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{:016x}", mixed ^ (mixed >> 29))
}

/// A connection that is kept.
struct Connection {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let to = TcpStream::connect(address)?;
        to.set_nodelay(true)?;
        Ok(Self { from: BufReader::new(to.try_clone()?), to })
    }

    fn call(&mut self, operation: &str, body: &str) -> Result<()> {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: guard\r\nContent-Type: application/x-amz-json-1.0\r\n\
             X-Amz-Target: DynamoDB_20120810.{operation}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.to.write_all(request.as_bytes())?;
        let (head, answer) = message(&mut self.from)?.context("the guard closed the connection")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}{}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}

/// One HTTP message: its head, and its body by `Content-Length`. `None` at the end.
fn message(from: &mut impl BufRead) -> Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    loop {
        let line = head.len();
        if from.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        if &head[line..] == "\r\n" {
            break;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

/// A database with one table, in which every key has an item.
fn mock() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(&stream));
    }
    Ok(())
}

fn serve(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    while let Some((head, body)) = message(&mut from)? {
        let answer = if head.contains("DescribeTable") {
            r#"{"Table":{"TableName":"items","TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"}}}"#.to_owned()
        } else {
            let body = String::from_utf8_lossy(&body);
            let id = body.split(r#""id":{"S":""#).nth(1).and_then(|rest| rest.split('"').next());
            let id = id.context("a request without an id")?;
            format!(
                r#"{{"Item":{{"id":{{"S":"{id}"}},"data":{{"S":"{}"}}}},"ConsumedCapacity":{{"TableName":"items","CapacityUnits":1.0}}}}"#,
                data(id)
            )
        };
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: ";
        to.write_all(format!("{head}{}\r\n\r\n{answer}", answer.len()).as_bytes())?;
    }
    Ok(())
}

/// An item's text: of its own, and of six bits a byte.
fn data(id: &str) -> String {
    let mut state = id.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
                [(state % 64) as usize],
        )
    };
    (0..ITEM_BYTES - id.len() - "iddata".len()).map(letter).collect()
}

fn announce(address: SocketAddr) -> Result<()> {
    println!("{address}");
    Ok(io::stdout().flush()?)
}

/// The most memory that a process ever had.
fn peak_kib(pid: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|text| text.split_whitespace().next());
    Ok(number.context("no VmHWM")?.parse()?)
}

/// How often a guard that starts or stops is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A child of ours. It ends with us.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// The mock: this program in another role.
    fn mock() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("mock")
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the mock")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse().context("the mock's address")? })
    }

    /// A guard as in a pod, which keeps all it writes in this folder.
    fn guard(mock: SocketAddr, folder: &Path) -> Result<Self> {
        let plan = serde_json::json!({
            "version": PLAN_VERSION,
            "run": {"namespace": "n", "name": "bench", "uid": "u", "number": 1},
            "mode": "DryRun",
            "upstream": {"region": "eu-west-1", "endpoint": format!("http://{mock}")},
            "policy": {"showValues": true},
            "archive": {
                "url": format!("file://{}", folder.join("archive").display()),
                "migration": "bench",
            },
        });
        fs::create_dir_all(folder.join("archive"))?;
        let log = folder.join("guard.log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_datamigration-guard"))
            .args(["--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"])
            .arg("--termination-log")
            .arg(folder.join("result.json"))
            .arg("--state-dir")
            .arg(folder)
            .env("DATAMIGRATION_PLAN", plan.to_string())
            .envs([("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "secret")])
            .env("DATAMIGRATION_ACCESS_KEY_ID", "bench")
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting the guard")?;
        loop {
            let said = fs::read_to_string(&log)?;
            let address = said.split("program_address=").nth(1);
            if let Some(word) = address.and_then(|rest| rest.split_whitespace().next()) {
                return Ok(Self { child, address: word.parse().context("the guard's address")? });
            }
            ensure!(child.try_wait()?.is_none(), "the guard does not serve:\n{said}");
            std::thread::sleep(LOOK);
        }
    }

    fn memory_kib(&self) -> Result<u64> {
        peak_kib(&self.child.id().to_string())
    }

    /// Bytes of the files it has open, with a name or not.
    fn file_bytes(&self) -> Result<u64> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        let files = open.flatten().filter_map(|open| fs::metadata(open.path()).ok());
        Ok(files.filter(fs::Metadata::is_file).map(|file| file.len()).sum())
    }

    /// Tells a guard to stop, and prints what it left and the most memory that it had.
    fn stop(mut self, folder: &Path) -> Result<()> {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let mut peak = 0;
        while self.child.try_wait()?.is_none() {
            // Between two looks it may have ended.
            peak = self.memory_kib().unwrap_or(0).max(peak);
            std::thread::sleep(LOOK);
        }
        let seconds = begun.elapsed().as_secs_f64();
        let said: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("result.json"))?)?;
        println!("stopped in {seconds:.1} s; left in the archive:");
        list(&folder.join("archive"))?;
        println!("tables: {}", said["tables"]);
        println!("problem: {}; archived: {}", said["problem"], said["archived"]);
        println!("write calls that reached the mock: {}", said["writeCallsUpstream"]);
        println!("most memory of the guard in all (VmHWM): {} MB", peak / 1024);
        Ok(())
    }
}

fn list(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path())?;
        } else {
            let bytes = entry.metadata()?.len();
            println!("  {:>12} bytes  {}", bytes, entry.file_name().to_string_lossy());
        }
    }
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
