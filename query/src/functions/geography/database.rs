//! Writes small MaxMind databases for tests, after the format's specification:
//! <https://maxmind.github.io/MaxMind-DB/>. IPv4 only, records of 24 bits.

/// A value of a record.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(&'static str),
    Number(u32),
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

/// A database that holds `records` for networks.
pub(crate) fn database(kind: &'static str, records: &[(&str, Value)]) -> Vec<u8> {
    // A node is two records; a record is nothing, another node, or data.
    let mut nodes: Vec<[Record; 2]> = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in records {
        let network: ipnet::Ipv4Net = network.parse().unwrap();
        let offset = data.len();
        write(&mut data, value);
        let mut node = 0;
        for depth in 0..network.prefix_len() {
            let bit = usize::from(u32::from(network.network()) & (1 << (31 - depth)) != 0);
            if depth + 1 == network.prefix_len() {
                nodes[node][bit] = Record::Data(offset);
            } else if let Record::Node(next) = nodes[node][bit] {
                node = next;
            } else {
                nodes.push([Record::Nothing; 2]);
                nodes[node][bit] = Record::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let mut bytes = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => nodes.len(),
            Record::Node(next) => *next,
            Record::Data(offset) => nodes.len() + 16 + offset,
        };
        bytes.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let nodes = u32::try_from(nodes.len()).unwrap();
    let metadata = [
        ("binary_format_major_version", Value::Number(2)),
        ("binary_format_minor_version", Value::Number(0)),
        ("build_epoch", Value::Number(1_790_000_000)),
        ("database_type", Value::Text(kind)),
        ("description", Value::Map(vec![("en", Value::Text("test"))])),
        ("ip_version", Value::Number(4)),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::Number(nodes)),
        ("record_size", Value::Number(24)),
    ];
    write(&mut bytes, &Value::Map(metadata.to_vec()));
    bytes
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

fn write(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            control(to, 2, text.len());
            to.extend_from_slice(text.as_bytes());
        }
        Value::Number(number) => {
            control(to, 6, 4);
            to.extend_from_slice(&number.to_be_bytes());
        }
        Value::Map(entries) => {
            control(to, 7, entries.len());
            for (key, value) in entries {
                write(to, &Value::Text(key));
                write(to, value);
            }
        }
        Value::List(values) => {
            control(to, 11, values.len());
            values.iter().for_each(|value| write(to, value));
        }
    }
}

/// Type and size; types above 7 stand in a byte of their own, sizes from 29 on too.
fn control(to: &mut Vec<u8>, kind: u8, size: usize) {
    let short = u8::try_from(size.min(29)).unwrap();
    if kind <= 7 {
        to.push(kind << 5 | short);
    } else {
        to.extend_from_slice(&[short, kind - 7]);
    }
    if size >= 29 {
        to.push(u8::try_from(size - 29).unwrap());
    }
}
