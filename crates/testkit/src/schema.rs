//! Holds lines of the JSON output against `docs/json.schema.json`.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

mod keywords;

static SCHEMA: &str = include_str!("../../../docs/json.schema.json");

static SCHEMA_VALUE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(SCHEMA).unwrap_or_else(|error| panic!("the schema is no JSON: {error}")));

/// What is wrong with a line (its line feed may be there or not): it is no JSON object, names a key
/// twice, or is not valid against the schema. The line's value, where nothing is.
pub fn check_line(line: &str) -> Result<Value, String> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    if line.contains('\n') {
        return Err(format!("more than one line: {line}"));
    }
    let Unique(value) = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
    let mut errors = Vec::new();
    keywords::check(&SCHEMA_VALUE, &value, "", &mut errors);
    if errors.is_empty() { Ok(value) } else { Err(format!("{}: {line}", errors.join("; "))) }
}

/// Checks each line of some output; their values.
///
/// # Panics
/// Where one of them is wrong.
#[track_caller]
pub fn check_lines(output: &[u8]) -> Vec<Value> {
    let text = match str::from_utf8(output) {
        Ok(text) => text,
        Err(error) => panic!("not UTF-8: {error}"),
    };
    assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
    let checked = text.lines().map(check_line).collect::<Result<Vec<_>, _>>();
    checked.unwrap_or_else(|error| panic!("{error}"))
}

/// A value none of whose objects names a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_any(Once).map(Unique)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (mut map, mut names) = (Map::new(), HashSet::new());
        while let Some((name, Unique(value))) = members.next_entry::<String, Unique>()? {
            if !names.insert(name.clone()) {
                return Err(Error::custom(format!("the key {name:?} stands twice")));
            }
            map.insert(name, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCHANGE: &str = r#"{"type":"exchange","protocol":"http1","operation":"GET","resource":"/item/7?x=1","status":"200","outcome":"complete","start":"2026-11-22T10:00:00.123456789Z","latency_ns":812345,"timings":{"send_ns":2100,"wait_ns":790245,"receive_ns":20000},"connection":17,"sequence":3,"client":{"ip":"127.0.0.1","port":34552},"server":{"ip":"::1","port":8000},"process":{"pid":812,"name":"nginx","side":"server"},"source":"syscalls","witnesses":["syscalls"],"tls":false,"request":{"bytes":78,"headers":[["Host","a"],[null,"b"]],"body_bytes":0},"response":{"bytes":1204,"headers":[],"body_bytes":1024},"lost_bytes":0,"grown":{"by":"a field"}}"#;

    /// Replaces one part of the line; what is said of the result must contain `expected`.
    #[track_caller]
    fn check(part: &str, by: &str, expected: &str) {
        assert!(EXCHANGE.contains(part), "{part}");
        match check_line(&EXCHANGE.replacen(part, by, 1)) {
            Ok(_) => panic!("{by} is taken for {part}"),
            Err(error) => assert!(error.contains(expected), "{error}"),
        }
    }

    #[test]
    fn the_contract_s_example_is_valid() {
        check_line(EXCHANGE).unwrap();
    }

    #[test]
    fn wrong_lines_are_told() {
        check(r#""type":"exchange","#, "", "type is missing");
        check(r#""type":"exchange""#, r#""type":"change""#, "/type");
        check(r#","sequence":3"#, "", "sequence is missing");
        check(r#""sequence":3"#, r#""sequence":"3""#, "/sequence");
        check(r#""sequence":3"#, r#""sequence":3,"sequence":3"#, "twice");
        check(r#""port":8000"#, r#""port":80000"#, "/server");
        check(r#""ip":"::1","#, "", "/server");
        check(r#""status":"200""#, r#""status":200"#, "/status");
        check(r#".123456789Z"#, ".123Z", "/start");
        check(r#"["Host","a"]"#, r#"["Host"]"#, "/request/headers/0");
        check(r#"["Host","a"]"#, r#"["Host",1]"#, "/request/headers/0/1");
        check(r#""outcome":"complete""#, r#""outcome":"ok""#, "/outcome");
        check(r#""wait_ns":790245"#, r#""wait_ns":-1"#, "/timings/wait_ns");
        check(r#""lost_bytes":0,"#, "", "lost_bytes");
        check(r#""tls":false"#, r#""tls":0"#, "/tls");
        check(r#""witnesses":["syscalls"]"#, r#""witnesses":["syscalls","syscalls"]"#, "/witnesses: items repeat");
        check(r#""witnesses":["syscalls"]"#, r#""witnesses":[]"#, "/witnesses: fewer");
        check(r#""witnesses":["syscalls"]"#, r#""witnesses":["x"]"#, "/witnesses/0");
        check(
            r#""process":{"pid":812,"name":"nginx","side":"server"}"#,
            r#""peer_process":{"pid":1,"name":"a","side":"client"}"#,
            "process is missing",
        );
        check(r#""headers":[],"#, r#""headers":[],"body":"","body_base64":"","#, "/response: not");
        check(r#""headers":[],"#, r#""headers":[],"body_base64":"a","#, "/response/body_base64");
        check(r#""headers":[],"#, r#""headers":[],"notes":[""],"#, "/response/notes/0");
        check(r#""type":"exchange""#, r#""type":"message""#, "direction is missing");
        check(r#""type":"exchange""#, r#""type":"summary""#, "duration_ns is missing");
        check(r#""pid":812"#, r#""pid":"812""#, "/process/pid");
    }
}
