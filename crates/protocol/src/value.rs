use std::borrow::Cow;

/// A named fact, in the protocol's own words.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its name in the JSON line, in snake_case.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Value,
}

/// A value of any protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Known to be nothing, or unknown where the key must stand.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number that may be beyond [`i64::MAX`].
    Unsigned(u64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Cow<'static, str>),
    /// Bytes: shown as text where they are UTF-8, else as base64 with the key's name and `_base64`.
    Bytes(Vec<u8>),
    /// A secret: shown as `<redacted: N bytes>` unless secrets were asked for.
    Secret(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// Named values, in the order of the wire; names may repeat.
    Map(Vec<(Cow<'static, str>, Value)>),
}

impl Attribute {
    /// A named fact.
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Attribute {
        Attribute { name: name.into(), value: value.into() }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Unsigned(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Unsigned(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Value {
        Value::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(Cow::Owned(value))
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Value {
        Value::List(value)
    }
}
