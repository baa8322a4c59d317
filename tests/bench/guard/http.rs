//! As much of HTTP/1.1 as the mock and the load generator need of each other: messages with a
//! length. Their clients and servers are ours, the guard and boto3; this is no parser for anybody
//! else.

/// A whole request or response at the beginning of what was received.
pub struct Message<'a> {
    head: &'a str,
    pub body: &'a [u8],
    /// How many bytes it has in all.
    pub bytes: usize,
}

impl<'a> Message<'a> {
    /// The first message, if all of it is there.
    pub fn first_of(received: &'a [u8]) -> Option<Self> {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&received[..end]).ok()?;
        let bytes =
            end + header(head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let body = received.get(end..bytes)?;
        Some(Self { head, body, bytes })
    }

    /// How many bytes the first message will have, as soon as its head is there.
    pub fn length_of(received: &[u8]) -> Option<usize> {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&received[..end]).ok()?;
        Some(end + header(head, "content-length")?.parse::<usize>().ok()?)
    }

    pub fn header(&self, name: &str) -> Option<&'a str> {
        header(self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A response as DynamoDB sends it, checksum included.
pub fn response(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nserver: Server\r\ncontent-type: application/x-amz-json-1.0\r\n\
         content-length: {}\r\nx-amzn-requestid: \
         MOCKMOCKMOCKMOCKMOCKMOCKMOCKMOCKMOCKMOCKMOCKMOCKMOCK\r\n\
         x-amz-crc32: {}\r\n\r\n",
        body.len(),
        crc32fast::hash(body)
    );
    [head.as_bytes(), body].concat()
}
