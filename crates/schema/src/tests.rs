use super::*;

const ITEM: &str = r#"
syntax = "proto3";
package shop.v1;
import "common/kind.proto";
message Item { string name = 1; int64 price_cents = 2; repeated uint32 sizes = 3; Kind kind = 4; map<string, string> tags = 5; }
message Ask { string id = 1; }
service Shop { rpc Find(Ask) returns (Item); }
"#;
const KIND: &str = "syntax = \"proto3\";\npackage shop.v1;\nenum Kind { KIND_UNKNOWN = 0; BOOK = 1; }\n";

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("l7trace-schema-{}-{name}", std::process::id()));
    std::fs::create_dir_all(folder.join("common")).unwrap();
    std::fs::write(folder.join("item.proto"), ITEM).unwrap();
    std::fs::write(folder.join("common/kind.proto"), KIND).unwrap();
    folder
}

#[test]
fn messages_are_read_by_name_from_files_and_folders() {
    let folder = folder("names");
    for path in [folder.clone(), folder.join("item.proto")] {
        let types = Types::load(&[path], &[]).unwrap();
        assert_eq!(types.methods(), 1);
        let bytes = b"\x0a\x03pen\x10\xac\x02\x1a\x02\x01\x02\x20\x01\x2a\x06\x0a\x01a\x12\x01b";
        let value = types.message("/shop.v1.Shop/Find", Direction::ServerToClient, bytes).unwrap().unwrap();
        let text = |text: &str| Value::from(text.to_owned());
        let Value::Map(mut fields) = value else { panic!("{value:?}") };
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        let expected = [
            ("kind", text("BOOK")),
            ("name", text("pen")),
            ("priceCents", text("300")),
            ("sizes", Value::List(vec![Value::Integer(1), Value::Integer(2)])),
            ("tags", Value::Map(vec![("a".into(), text("b"))])),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.into(), value)));
        let wrong = types.message("/shop.v1.Shop/Find", Direction::ClientToServer, b"\x0a\x7f").unwrap();
        assert!(wrong.is_err());
        assert!(types.message("/shop.v1.Shop/Sell", Direction::ClientToServer, b"").is_none());
        assert!(types.typed("shop.v1.Item", b"").is_some());
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = folder("errors");
    std::fs::write(folder.join("broken.proto"), "message {").unwrap();
    let error = |protos: &[PathBuf], sets: &[PathBuf]| Types::load(protos, sets).unwrap_err().to_string();
    assert!(error(&[folder.join("none.proto")], &[]).starts_with("cannot read "));
    assert!(error(&[folder.join("broken.proto")], &[]).starts_with("cannot compile "));
    assert!(error(&[], &[folder.join("item.proto")]).contains("is no descriptor set"));
    let empty = folder.join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    assert!(error(&[empty], &[]).ends_with("holds no .proto file"));
    std::fs::remove_dir_all(folder).unwrap();
}
