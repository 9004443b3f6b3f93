//! Fits harmless text into so many columns.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use super::canvas::width;

/// The beginning of the text, then `ellipsis` where it does not fit.
pub(super) fn end<'t>(text: &'t str, columns: usize, ellipsis: &str) -> Cow<'t, str> {
    if width(text) <= columns {
        return text.into();
    }
    match columns.checked_sub(width(ellipsis)) {
        Some(room) => format!("{}{ellipsis}", head(text, room)).into(),
        None => "".into(),
    }
}

/// The beginning and the end of the text, with `ellipsis` between where it does not fit.
pub(super) fn middle<'t>(text: &'t str, columns: usize, ellipsis: &str) -> Cow<'t, str> {
    if width(text) <= columns {
        return text.into();
    }
    match columns.checked_sub(width(ellipsis)) {
        Some(room) => {
            let head = head(text, room.div_ceil(2));
            format!("{head}{ellipsis}{}", tail(text, room - width(head))).into()
        }
        None => "".into(),
    }
}

/// What says most of a resource: the path rather than its query, the path's beginning and its last
/// segment rather than what is between them.
pub(super) fn resource<'t>(text: &'t str, columns: usize, ellipsis: &str) -> Cow<'t, str> {
    if width(text) <= columns {
        return text.into();
    }
    let path = text.split_once('?').map_or(text, |(path, _)| path);
    let (rest, last) = path.split_at(path.rfind('/').unwrap_or(0));
    let sign = width(ellipsis);
    if width(path) + sign <= columns {
        end(text, columns, ellipsis)
    } else if !rest.is_empty() && width(last) + sign <= columns {
        let rest = head(rest, columns - sign - width(last));
        format!("{rest}{ellipsis}{last}").into()
    } else {
        middle(path, columns, ellipsis)
    }
}

/// `ellipsis` where it does not fit, then the end of the text.
pub(super) fn start<'t>(text: &'t str, columns: usize, ellipsis: &str) -> Cow<'t, str> {
    if width(text) <= columns {
        return text.into();
    }
    match columns.checked_sub(width(ellipsis)) {
        Some(room) => format!("{ellipsis}{}", tail(text, room)).into(),
        None => "".into(),
    }
}

/// As much of the beginning as fits.
fn head(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, character)| {
        taken += character.width().unwrap_or(0);
        taken > columns
    });
    match end {
        Some((index, _)) => &text[..index],
        None => text,
    }
}

/// As much of the end as fits, beginning with a character that stands by itself.
fn tail(text: &str, columns: usize) -> &str {
    let (mut taken, mut from) = (0, text.len());
    for (index, character) in text.char_indices().rev() {
        let width = character.width().unwrap_or(0);
        taken += width;
        if taken > columns {
            break;
        }
        if width > 0 {
            from = index;
        }
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_outlives_its_middle_and_its_query() {
        let check = |text: &str, columns: usize, expected: &str| {
            assert_eq!(resource(text, columns, "…"), expected, "{text} in {columns}");
        };
        check("/a/b?c=d", 8, "/a/b?c=d");
        check("/search?query=cats&page=2", 16, "/search?query=c…");
        check("/shop.v1.CartService/AddItem", 16, "/shop.v…/AddItem");
        check("/shop.v1.CartService/AddItem", 9, "…/AddItem");
        check("/shop.v1.CartService/AddItem", 7, "/sh…tem");
        check("/a/b/c/d/e?f=g", 9, "/a/b/c…/e");
        check("/a/b/c/d/e?f=g", 11, "/a/b/c/d/e…");
        check("sensors/kitchen/temperature", 20, "sensors…/temperature");
        check("no path of any kind", 9, "no p…kind");
    }

    #[test]
    fn texts_fit_whatever_is_cut() {
        let check = |text: &str, columns: usize, expected: [&str; 3]| {
            let given = [end(text, columns, "…"), middle(text, columns, "…"), start(text, columns, "…")];
            assert_eq!(given, expected, "{text} in {columns}");
            assert!(given.iter().all(|text| width(text) <= columns));
        };
        check("abcdefgh", 8, ["abcdefgh"; 3]);
        check("abcdefgh", 5, ["abcd…", "ab…gh", "…efgh"]);
        check("abcdefgh", 4, ["abc…", "ab…h", "…fgh"]);
        check("abcdefgh", 1, ["…"; 3]);
        check("abcdefgh", 0, [""; 3]);
        check("検索ページ", 6, ["検索…", "検…ジ", "…ージ"]);
        check("e\u{301}e\u{301}e\u{301}e\u{301}", 3, ["e\u{301}e\u{301}…", "e\u{301}…e\u{301}", "…e\u{301}e\u{301}"]);
    }
}
