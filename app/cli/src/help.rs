//! The table of options as joptsimple 5.0.4 lays it out (upstream `BuiltinHelpFormatter`): two columns in 80 characters.

/// The width of the table.
const WIDTH: usize = 80;
/// Spaces between the columns.
const GAP: usize = 2;
/// A line that goes on is indented.
const INDENT: &str = "  ";

/// A table with a heading of two lines and a row for each option, given in order.
#[must_use]
pub(crate) fn table(any_required: bool, rows: &[(String, String)]) -> String {
    let heading = if any_required { "Option (* = required)" } else { "Option" };
    let mut all = vec![(heading.to_owned(), "Description".to_owned()), ("-".repeat(heading.len()), "-".repeat(11))];
    all.extend_from_slice(rows);
    let (option_width, description_width) = widths(&all);
    let fitted: Vec<(String, String)> = all.iter().flat_map(|row| fit(row, option_width, description_width)).collect();
    let (option_width, description_width) = widths(&fitted);
    let gap = " ".repeat(GAP);
    let mut text = String::new();
    for (option, description) in fitted {
        text += &format!("{option:option_width$}{gap}{description:description_width$}\n");
    }
    text
}

fn widths(rows: &[(String, String)]) -> (usize, usize) {
    let widest = |part: fn(&(String, String)) -> &String| rows.iter().map(|row| length(part(row))).max().unwrap_or(0);
    let option = widest(|row| &row.0).min((WIDTH - GAP) / 2);
    (option, widest(|row| &row.1).min(WIDTH - option - GAP))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn fit(row: &(String, String), option_width: usize, description_width: usize) -> Vec<(String, String)> {
    let (options, descriptions) = (pieces(&row.0, option_width), pieces(&row.1, description_width));
    let at = |lines: &[String], index: usize| lines.get(index).cloned().unwrap_or_default();
    (0..options.len().max(descriptions.len())).map(|index| (at(&options, index), at(&descriptions, index))).collect()
}

fn pieces(text: &str, width: usize) -> Vec<String> {
    text.trim().split('\n').flat_map(|line| pieces_of_line(line, width)).collect()
}

fn pieces_of_line(line: &str, width: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for word in words(line) {
        if length(&piece) + length(word) > width {
            pieces.push(piece.trim_end().to_owned());
            piece = format!("{INDENT}{word}");
        } else {
            piece += word;
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// Cuts a line wherever Java's `BreakIterator` allows a line to end.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    for (at, letter) in line.char_indices() {
        let (before, _) = line.split_at(at);
        if may_break(before, letter) {
            words.extend(line.get(start..at));
            start = at;
        }
    }
    words.extend(line.get(start..).filter(|rest| !rest.is_empty()));
    words
}

/// Whether a line may end in front of a character; asked of the JVM for all pairs in ASCII, and before digits for what is
/// in front of the pair.
fn may_break(text: &str, after: char) -> bool {
    let opens = matches!(after, '(' | '[' | '{');
    let Some(before) = text.chars().next_back() else { return false };
    match before {
        '.' | ',' if after.is_ascii_digit() => !ends_in_number(text),
        ':' | ';' | ')' | ']' | '}' | '!' | '%' | '?' if after.is_ascii_digit() => true,
        '\t' => true,
        ' ' => !matches!(after, ' ' | '\t'),
        '-' => !matches!(after, ' ' | '\t' | '-' | '\'' | '$'),
        '(' | '[' | '{' | '\'' | '$' => false,
        '.' | ',' | ':' | ';' | ')' | ']' | '}' | '"' | '!' | '%' | '?' => {
            opens || after.is_ascii_alphabetic() || "-/<>=+*`~@#^&_|\\".contains(after)
        }
        _ => opens,
    }
}

/// Whether digits that belong to no word stand in front of the last character.
fn ends_in_number(text: &str) -> bool {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ','));
    let digits = text.get(number.len()..text.len() - 1).unwrap_or_default();
    digits.ends_with(|letter: char| letter.is_ascii_digit()) && !number.ends_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_those_of_the_jvm_do() {
        assert_eq!(words("a log.dir --x y"), ["a ", "log.", "dir ", "--", "x ", "y"]);
        assert_eq!(words("topics/clients"), ["topics/clients"]);
        assert_eq!(words("1.5 (default: 3)"), ["1.5 ", "(default: ", "3)"]);
        assert_eq!(words("host:9092 `t1:0,1` a.5 a1,5"), ["host:", "9092 ", "`t1:", "0,1` ", "a.", "5 ", "a1,", "5"]);
        assert_eq!(words("\tsegment.ms"), ["\t", "segment.", "ms"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn a_table() {
        let rows = [("--a <String: one two three four five six>".to_owned(), "What it does".to_owned())];
        assert_eq!(
            table(false, &rows),
            "Option                                Description \n\
             ------                                ----------- \n\
             --a <String: one two three four five  What it does\n  six>                                            \n"
        );
    }
}
