//! Command lines of the shell's commands, as `PosixParser` of commons-cli reads them.

use std::collections::BTreeMap;

/// What a command's line may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Grammar {
    /// Options without an argument.
    pub(super) flags: &'static [&'static str],
    /// Options with one argument.
    pub(super) valued: &'static [&'static str],
    /// Options of which one at most may be given, with their descriptions.
    pub(super) group: &'static [(&'static str, &'static str)],
    /// One of the group must be given.
    pub(super) group_required: bool,
}

impl Grammar {
    fn find(&self, name: &str) -> Option<(&'static str, bool)> {
        let flag = self.flags.iter().find(|flag| **flag == name).map(|flag| (*flag, false));
        flag.or_else(|| self.valued.iter().find(|valued| **valued == name).map(|valued| (*valued, true)))
    }

    /// The option that a word names, with one or two hyphens.
    fn option(&self, word: &str) -> Option<(&'static str, bool)> {
        let rest = word.strip_prefix('-')?;
        self.find(rest.strip_prefix('-').unwrap_or(rest))
    }

    fn in_group(&self, name: &str) -> bool {
        self.group.iter().any(|(member, _)| *member == name)
    }
}

/// A line that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    options: BTreeMap<&'static str, String>,
    /// The command's name, and the words that belong to no option.
    pub(super) words: Vec<String>,
}

impl Line {
    /// Whether an option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The argument of an option.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The word at a place; the command's name is at 0.
    pub(super) fn word(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    /// The path, where the grammar says that there is one.
    pub(super) fn path(&self) -> &str {
        self.word(1).unwrap_or_default()
    }
}

/// Reads a line; the error is the exception with its class, as the shell prints it.
pub(super) fn parse(grammar: &Grammar, words: &[String]) -> Result<Line, String> {
    let exception = |class: &str, message: String| Err(format!("org.apache.commons.cli.{class}: {message}"));
    let mut line = Line::default();
    let mut selected: Option<&str> = None;
    let mut tokens = flatten(grammar, words).into_iter().peekable();
    while let Some(token) = tokens.next() {
        if token == "--" {
            line.words.extend(tokens.filter(|token| token != "--"));
            break;
        }
        if token == "-" || !token.starts_with('-') {
            line.words.push(token);
            continue;
        }
        let Some((name, takes_value)) = grammar.option(&token) else {
            return exception("UnrecognizedOptionException", format!("Unrecognized option: {token}"));
        };
        if grammar.in_group(name) {
            if let Some(other) = selected.filter(|other| *other != name) {
                return exception(
                    "AlreadySelectedException",
                    format!(
                        "The option '{name}' was specified but an option from this group has already been selected: \
                         '{other}'"
                    ),
                );
            }
            selected = Some(name);
        }
        let mut value = String::new();
        if takes_value {
            match tokens.next_if(|next| grammar.option(next).is_none()) {
                Some(next) => value = strip_quotes(&next).to_owned(),
                None => return exception("MissingArgumentException", format!("Missing argument for option: {name}")),
            }
        }
        line.options.entry(name).or_insert(value);
    }
    if grammar.group_required && selected.is_none() {
        let group: Vec<String> = grammar.group.iter().map(|(name, about)| format!("-{name} {about}")).collect();
        return exception("MissingOptionException", format!("Missing required option: [{}]", group.join(", ")));
    }
    Ok(line)
}

/// Takes joined options apart: `-sw` is `-s -w`, `-v3` is `-v 3`, `--v=3` is `--v 3`.
fn flatten(grammar: &Grammar, words: &[String]) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in words {
        let short = word.strip_prefix('-').filter(|rest| rest.len() > 1 && !rest.starts_with('-'));
        if let Some((option, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
            if grammar.option(option).is_some() {
                tokens.extend([option.to_owned(), value.to_owned()]);
            } else {
                tokens.push(word.clone());
            }
        } else if let Some(letters) = short.filter(|_| grammar.option(word).is_none()) {
            burst(grammar, word, letters, &mut tokens);
        } else {
            tokens.push(word.clone());
        }
    }
    tokens
}

fn burst(grammar: &Grammar, word: &str, letters: &str, tokens: &mut Vec<String>) {
    for (at, letter) in letters.char_indices() {
        let rest = letters.get(at + letter.len_utf8()..).unwrap_or_default();
        match grammar.find(&letter.to_string()) {
            Some((name, takes_value)) => {
                tokens.push(format!("-{name}"));
                if takes_value && !rest.is_empty() {
                    tokens.push(rest.to_owned());
                    return;
                }
            }
            None => return tokens.push(word.to_owned()),
        }
    }
}

fn strip_quotes(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|rest| !rest.contains('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAMMAR: Grammar = Grammar {
        flags: &["s", "w"],
        valued: &["v", "n", "b", "file"],
        group: &[("b", "bytes quota"), ("n", "num quota")],
        group_required: false,
    };

    fn read(line: &str) -> Result<Line, String> {
        parse(&GRAMMAR, &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_anywhere_and_may_be_joined() {
        let line = read("get -sw /x -v -1 -file f --v=2").unwrap();
        assert!(line.has("s") && line.has("w") && !line.has("n"));
        assert_eq!((line.value("v"), line.value("file"), line.path()), (Some("-1"), Some("f"), "/x"));
        assert_eq!(read("get -v3 /x").unwrap().value("v"), Some("3"));
        assert_eq!(read("set - -- -s").unwrap().words, ["set", "-", "-s"]);
    }

    #[test]
    fn what_is_wrong_is_said_as_commons_cli_says_it() {
        let cli = "org.apache.commons.cli.";
        assert_eq!(read("x -q").unwrap_err(), format!("{cli}UnrecognizedOptionException: Unrecognized option: -q"));
        assert_eq!(read("x -sq").unwrap_err(), format!("{cli}UnrecognizedOptionException: Unrecognized option: -sq"));
        assert_eq!(
            read("x -v -s").unwrap_err(),
            format!("{cli}MissingArgumentException: Missing argument for option: v")
        );
        assert!(read("x -n 1 -b 2").unwrap_err().ends_with("group has already been selected: 'n'"));
        let required = Grammar { group_required: true, ..GRAMMAR };
        let missing = parse(&required, &["setquota".to_owned()]).unwrap_err();
        assert_eq!(
            missing,
            format!("{cli}MissingOptionException: Missing required option: [-b bytes quota, -n num quota]")
        );
    }
}
