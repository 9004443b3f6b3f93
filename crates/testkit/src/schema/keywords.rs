//! The keywords of JSON Schema (draft 2020-12) that our schema is made of. One that is not known
//! here is an error of whoever added it to the schema, not something to pass over.

use std::collections::HashSet;

use regex_lite::Regex;
use serde_json::{Map, Value};

/// Holds a value against a schema; what is wrong is added to `errors`, each with its JSON pointer.
pub(super) fn check(schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    let Value::Object(keywords) = schema else {
        if *schema == Value::Bool(false) {
            errors.push(format!("{at}: nothing may stand here"));
        }
        return;
    };
    for (keyword, rule) in keywords {
        if let Some(wrong) = of_structure(keywords, keyword, rule, value, at, errors) {
            errors.push(format!("{at}: {wrong}"));
        }
    }
}

fn is_valid(schema: &Value, value: &Value) -> bool {
    let mut errors = Vec::new();
    check(schema, value, "", &mut errors);
    errors.is_empty()
}

/// Keywords that apply other schemas; what is wrong with `value` itself, where something is.
fn of_structure(
    all: &Map<String, Value>,
    keyword: &str,
    rule: &Value,
    value: &Value,
    at: &str,
    errors: &mut Vec<String>,
) -> Option<String> {
    let schemas = || rule.as_array().map(Vec::as_slice).unwrap_or_default();
    let members = || value.as_object().into_iter().flatten();
    let items = || value.as_array().into_iter().flatten().enumerate();
    match keyword {
        "$schema" | "$id" | "$defs" | "title" | "description" | "then" => {}
        "$ref" => check(resolved(rule), value, at, errors),
        "allOf" => schemas().iter().for_each(|schema| check(schema, value, at, errors)),
        "anyOf" => {
            let any = schemas().iter().any(|schema| is_valid(schema, value));
            return (!any).then(|| format!("none of {rule} holds"));
        }
        "oneOf" => {
            let holding = schemas().iter().filter(|schema| is_valid(schema, value)).count();
            return (holding != 1).then(|| format!("{holding} forms hold, not one"));
        }
        "not" => return is_valid(rule, value).then(|| format!("not {rule}")),
        "if" => {
            if is_valid(rule, value) {
                check(all.get("then").unwrap_or(&Value::Bool(true)), value, at, errors);
            }
        }
        "properties" => {
            for (name, member) in members() {
                if let Some(schema) = rule.get(name) {
                    check(schema, member, &format!("{at}/{name}"), errors);
                }
            }
        }
        "additionalProperties" => {
            for (name, member) in members() {
                if all.get("properties").is_none_or(|named| named.get(name).is_none()) {
                    check(rule, member, &format!("{at}/{name}"), errors);
                }
            }
        }
        "propertyNames" => {
            members().for_each(|(name, _)| check(rule, &Value::from(name.as_str()), &format!("{at}/{name}"), errors));
        }
        "prefixItems" => {
            for ((index, item), schema) in items().zip(schemas()) {
                check(schema, item, &format!("{at}/{index}"), errors);
            }
        }
        "items" => {
            let before = all.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
            items().skip(before).for_each(|(index, item)| check(rule, item, &format!("{at}/{index}"), errors));
        }
        _ => return of_value(keyword, rule, value),
    }
    None
}

/// Keywords that look at the value alone.
fn of_value(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let number = || whole(rule).unwrap_or_else(|| panic!("{keyword}: {rule} is no whole number"));
    let fails = |fails: bool, why: String| fails.then_some(why);
    match keyword {
        "type" => {
            let named = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
            let fits = named.iter().any(|name| is_of_type(value, name.as_str().unwrap_or_default()));
            fails(!fits, format!("{value} is not of type {rule}"))
        }
        "const" => fails(value != rule, format!("{value} is not {rule}")),
        "enum" => {
            let known = rule.as_array().is_some_and(|known| known.contains(value));
            fails(!known, format!("{value} is not one of {rule}"))
        }
        "required" => missing(rule, value),
        "dependentRequired" => {
            let mut rules = rule.as_object().into_iter().flatten();
            rules.find_map(|(name, needed)| value.get(name).and_then(|_| missing(needed, value)))
        }
        "minimum" => fails(whole(value).is_some_and(|value| value < number()), format!("{value} is under {rule}")),
        "maximum" => fails(whole(value).is_some_and(|value| value > number()), format!("{value} is over {rule}")),
        "minLength" => {
            let length = value.as_str().map(|text| text.chars().count() as i128);
            fails(length.is_some_and(|length| length < number()), format!("{value} is shorter than {rule}"))
        }
        "pattern" => {
            let pattern = Regex::new(rule.as_str().unwrap_or_default());
            let pattern = pattern.unwrap_or_else(|error| panic!("{rule}: {error}"));
            fails(value.as_str().is_some_and(|text| !pattern.is_match(text)), format!("{value} is not as {rule}"))
        }
        "minItems" => {
            let length = value.as_array().map(|items| items.len() as i128);
            fails(length.is_some_and(|length| length < number()), format!("fewer than {rule} items"))
        }
        "maxItems" => {
            let length = value.as_array().map(|items| items.len() as i128);
            fails(length.is_some_and(|length| length > number()), format!("more than {rule} items"))
        }
        "uniqueItems" => {
            let mut met = HashSet::new();
            let repeats = value.as_array().is_some_and(|items| !items.iter().all(|item| met.insert(item.to_string())));
            fails(repeats, "items repeat".to_owned())
        }
        _ => panic!("the keyword {keyword} is not known to this validator"),
    }
}

fn whole(value: &Value) -> Option<i128> {
    value.as_u64().map(i128::from).or(value.as_i64().map(i128::from))
}

fn missing(names: &Value, value: &Value) -> Option<String> {
    let members = value.as_object()?;
    let mut names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.find(|name| !members.contains_key(*name)).map(|name| format!("{name} is missing"))
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{name} is no type"),
    }
}

/// What `#/$defs/…` names.
fn resolved(reference: &Value) -> &'static Value {
    let pointer = reference.as_str().and_then(|reference| reference.strip_prefix('#'));
    let found = pointer.and_then(|pointer| super::SCHEMA_VALUE.pointer(pointer));
    found.unwrap_or_else(|| panic!("{reference} is not in the schema"))
}
