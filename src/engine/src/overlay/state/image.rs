//! Items as bytes, for the dry run's memory only: smaller than JSON and several times faster to
//! read and to write. They are never seen by another program, nor by another run.

use dm_dynamodb::value::{AttributeType, AttributeValue, Item};

/// Writes an item behind what is there.
pub fn write_item(to: &mut Vec<u8>, item: &Item) {
    write_length(to, item.len());
    for (name, value) in item {
        write_bytes(to, name.as_bytes());
        write_value(to, value);
    }
}

/// Reads an item that takes all of these bytes; `None` when they are damaged.
pub fn read_item(bytes: &[u8]) -> Option<Item> {
    let mut rest = bytes;
    let item = item(&mut rest)?;
    rest.is_empty().then_some(item)
}

fn write_value(to: &mut Vec<u8>, value: &AttributeValue) {
    to.push(tag(value.kind()));
    match value {
        AttributeValue::S(text) => write_bytes(to, text.as_bytes()),
        AttributeValue::N(number) => write_bytes(to, number.to_string().as_bytes()),
        AttributeValue::B(bytes) => write_bytes(to, bytes),
        AttributeValue::Bool(truth) => to.push(u8::from(*truth)),
        AttributeValue::Null => {}
        AttributeValue::M(map) => write_item(to, map),
        AttributeValue::L(list) => {
            write_length(to, list.len());
            for value in list {
                write_value(to, value);
            }
        }
        AttributeValue::Ss(set) => write_all(to, set.iter().map(String::as_bytes)),
        AttributeValue::Ns(set) => {
            write_length(to, set.len());
            for number in set {
                write_bytes(to, number.to_string().as_bytes());
            }
        }
        AttributeValue::Bs(set) => write_all(to, set.iter().map(Vec::as_slice)),
    }
}

fn write_all<'a>(to: &mut Vec<u8>, all: impl ExactSizeIterator<Item = &'a [u8]>) {
    write_length(to, all.len());
    all.for_each(|bytes| write_bytes(to, bytes));
}

fn write_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    write_length(to, bytes.len());
    to.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; all but the last have the eighth.
fn write_length(to: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        if length == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

/// Types by their place in the service model.
fn tag(kind: AttributeType) -> u8 {
    AttributeType::ALL
        .iter()
        .position(|one| *one == kind)
        .and_then(|at| u8::try_from(at).ok())
        .unwrap_or(u8::MAX)
}

fn item(rest: &mut &[u8]) -> Option<Item> {
    let length = length(rest)?;
    // What is damaged may name any length; it ends where the bytes do.
    (0..length).map(|_| Some((text(rest)?.to_owned(), value(rest)?))).collect()
}

fn value(rest: &mut &[u8]) -> Option<AttributeValue> {
    let (tag, behind) = rest.split_first()?;
    *rest = behind;
    Some(match AttributeType::ALL.get(usize::from(*tag))? {
        AttributeType::S => AttributeValue::S(text(rest)?.to_owned()),
        AttributeType::N => AttributeValue::N(text(rest)?.parse().ok()?),
        AttributeType::B => AttributeValue::B(bytes(rest)?.to_vec()),
        AttributeType::Bool => {
            let (truth, behind) = rest.split_first()?;
            *rest = behind;
            AttributeValue::Bool(*truth != 0)
        }
        AttributeType::Null => AttributeValue::Null,
        AttributeType::M => AttributeValue::M(item(rest)?),
        AttributeType::L => AttributeValue::L(all(rest, value)?),
        AttributeType::Ss => AttributeValue::Ss(all(rest, |rest| Some(text(rest)?.to_owned()))?),
        AttributeType::Ns => AttributeValue::Ns(all(rest, |rest| text(rest)?.parse().ok())?),
        AttributeType::Bs => AttributeValue::Bs(all(rest, |rest| Some(bytes(rest)?.to_vec()))?),
    })
}

fn all<T, C: FromIterator<T>>(
    rest: &mut &[u8],
    one: impl Fn(&mut &[u8]) -> Option<T>,
) -> Option<C> {
    let length = length(rest)?;
    (0..length).map(|_| one(rest)).collect()
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(bytes(rest)?).ok()
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = length(rest)?;
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(bytes)
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let mut length = 0_usize;
    for at in 0_u32.. {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        let low = usize::from(byte & 0x7f);
        // Items are far smaller than four such bytes can tell.
        length |= low.checked_shl(7 * at).filter(|_| at < 5)?;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::value::item_from_json;
    use serde_json::json;

    fn of(json: &serde_json::Value) -> Item {
        item_from_json(json).unwrap()
    }

    fn encoded(item: &Item) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_item(&mut bytes, item);
        bytes
    }

    fn all_types() -> Item {
        let long = "x".repeat(70_000);
        of(&json!({
            "e": {"S": ""}, "s": {"S": "\u{0}ü𝄞"}, "long": {"S": long},
            "n": {"N": "-1.2345678901234567890123456789012345678E-100"}, "zero": {"N": "0"},
            "b": {"B": "AAECAw=="}, "t": {"BOOL": true}, "f": {"BOOL": false},
            "null": {"NULL": true},
            "m": {"M": {"inner": {"M": {}},
                "l": {"L": [{"L": []}, {"N": "9e125"}, {"NULL": true}]}}},
            "ss": {"SS": ["a", ""]}, "ns": {"NS": ["1", "-2", "3.50"]}, "bs": {"BS": ["AA==", ""]},
        }))
    }

    #[test]
    fn every_type_survives() {
        for item in [Item::new(), all_types()] {
            assert_eq!(read_item(&encoded(&item)), Some(item));
        }
    }

    #[test]
    fn nesting_as_deep_as_can_be_survives() {
        let mut value = json!({"S": "deep"});
        for _ in 1..dm_dynamodb::value::NESTING_DEPTH_MAX {
            value = json!({"L": [value]});
        }
        let item = of(&json!({"a": value}));
        assert_eq!(read_item(&encoded(&item)), Some(item));
    }

    #[test]
    fn what_is_cut_or_damaged_is_noticed_or_at_least_harmless() {
        let bytes = encoded(&all_types());
        for end in (0..200).chain(bytes.len() - 200..bytes.len()) {
            assert_eq!(read_item(&bytes[..end]), None, "{end}");
        }
        for at in 0..200 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = read_item(&damaged);
        }
        assert_eq!(read_item(&[0x80; 20]), None);
        assert_eq!(read_item(&[0, 0]), None, "more than an item");
    }
}
