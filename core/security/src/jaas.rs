//! JAAS files (`com.sun.security.auth.login.ConfigFile`): sections with login modules and their options.
//!
//! ```text
//! Server {
//!     org.apache.zookeeper.server.auth.DigestLoginModule required
//!     user_bob="secret";
//! };
//! ```

/// A file: sections by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jaas(Vec<(String, Vec<LoginModule>)>);

/// One way to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginModule {
    /// Java's class.
    pub class: String,
    /// In the file's order.
    pub options: Vec<(String, String)>,
}

impl std::fmt::Debug for LoginModule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LoginModule({}, [hidden])", self.class)
    }
}

/// What is wrong with a file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Configuration Error:\n\tLine {line}: {what}")]
pub struct JaasError {
    /// Counted from 1.
    pub line: usize,
    /// In words.
    pub what: String,
}

impl LoginModule {
    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Jaas {
    /// Reads a file.
    ///
    /// # Errors
    /// [`JaasError`].
    pub fn parse(text: &str) -> Result<Self, JaasError> {
        let mut tokens = Tokens { rest: text, line: 1 };
        let mut sections: Vec<(String, Vec<LoginModule>)> = Vec::new();
        while let Some(name) = tokens.next()? {
            let name = tokens.word(name)?;
            tokens.expect("{")?;
            let mut modules = Vec::new();
            loop {
                let token = tokens.required()?;
                if token == Token::Mark('}') {
                    break;
                }
                modules.push(tokens.module(token)?);
            }
            tokens.expect(";")?;
            if sections.iter().any(|(known, _)| *known == name) {
                return tokens.wrong(format!("Can not specify multiple entries for {name}"));
            }
            sections.push((name, modules));
        }
        Ok(Self(sections))
    }

    /// The login modules of a section.
    pub fn section(&self, name: &str) -> Option<&[LoginModule]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, modules)| modules.as_slice())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// One of `{};=`.
    Mark(char),
}

struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl Tokens<'_> {
    fn wrong<T>(&self, what: impl Into<String>) -> Result<T, JaasError> {
        Err(JaasError { line: self.line, what: what.into() })
    }

    fn next(&mut self) -> Result<Option<Token>, JaasError> {
        self.skip_blanks();
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        if let mark @ ('{' | '}' | ';' | '=') = first {
            self.take(first.len_utf8());
            return Ok(Some(Token::Mark(mark)));
        }
        if let quote @ ('"' | '\'') = first {
            self.take(1);
            return self.quoted(quote).map(Some);
        }
        let is_end = |character: char| character.is_whitespace() || "{};=\"".contains(character);
        let length = self.rest.find(is_end).unwrap_or(self.rest.len());
        Ok(Some(Token::Word(self.take(length).to_owned())))
    }

    /// Blanks, and comments in the manner of C.
    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start().len();
            self.take(blanks);
            let length = if self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                self.rest.find("*/").map_or(self.rest.len(), |end| end + 2)
            } else {
                return;
            };
            self.take(length);
        }
    }

    fn take(&mut self, length: usize) -> &str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn quoted(&mut self, quote: char) -> Result<Token, JaasError> {
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '\n' => break,
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, other)) => value.push(other),
                    None => break,
                },
                end if end == quote => {
                    self.take(place + 1);
                    return Ok(Token::Word(value));
                }
                other => value.push(other),
            }
        }
        self.wrong("a quote has no end")
    }

    fn required(&mut self) -> Result<Token, JaasError> {
        match self.next()? {
            Some(token) => Ok(token),
            None => self.wrong("expected more, found the end of the file"),
        }
    }

    fn word(&self, token: Token) -> Result<String, JaasError> {
        match token {
            Token::Word(word) => Ok(word),
            Token::Mark(mark) => self.wrong(format!("expected a name, found [{mark}]")),
        }
    }

    fn expect(&mut self, mark: &str) -> Result<(), JaasError> {
        match self.required()? {
            Token::Mark(found) if mark.contains(found) => Ok(()),
            Token::Mark(found) => self.wrong(format!("expected [{mark}], found [{found}]")),
            Token::Word(found) => self.wrong(format!("expected [{mark}], found [{found}]")),
        }
    }

    /// A class, how much it counts, and options up to a semicolon.
    fn module(&mut self, first: Token) -> Result<LoginModule, JaasError> {
        let class = self.word(first)?;
        let flag = self.required()?;
        let flag = self.word(flag)?.to_ascii_lowercase();
        if !matches!(flag.as_str(), "required" | "requisite" | "sufficient" | "optional") {
            return self.wrong(format!("Invalid control flag, {flag}"));
        }
        let mut options = Vec::new();
        loop {
            let token = self.required()?;
            if token == Token::Mark(';') {
                return Ok(LoginModule { class, options });
            }
            let name = self.word(token)?;
            self.expect("=")?;
            let value = self.required()?;
            let value = self.word(value)?;
            if value.contains("${") {
                return self.wrong(format!("{name}: properties in values are not filled in: write the value itself"));
            }
            options.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_modules_with_options() {
        let text = "// who may log in\nServer {\n  org.apache.zookeeper.server.auth.DigestLoginModule required /* of \n ZooKeeper */\n  \
                    user_super=\"adm;n\"\n user_bob=\"b\\\"ob\" debug=true;\n a.B OPTIONAL;\n};\nClient{x.Y required username=\"u\";};\n";
        let jaas = Jaas::parse(text).unwrap();
        let server = jaas.section("Server").unwrap();
        assert_eq!(server.len(), 2);
        assert_eq!(server[0].class, "org.apache.zookeeper.server.auth.DigestLoginModule");
        assert_eq!(server[0].option("user_super"), Some("adm;n"));
        assert_eq!(server[0].option("user_bob"), Some("b\"ob"));
        assert_eq!((server[0].option("debug"), server[0].option("other")), (Some("true"), None));
        assert_eq!(jaas.section("Client").unwrap()[0].option("username"), Some("u"));
        assert!(jaas.section("Other").is_none() && Jaas::parse("").unwrap().section("Server").is_none());
        assert!(!format!("{jaas:?}").contains("adm;n"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, what) in [
            ("Server {\n a.B required", 2, "the end of the file"),
            ("Server {\n a.B needed;\n};", 2, "Invalid control flag, needed"),
            ("Server {\n a.B required user=;\n};", 2, "expected a name, found [;]"),
            ("Server {\n a.B required user \"x\";\n};", 2, "expected [=], found [x]"),
            ("Server {\n a.B required user=\"x;\n};", 2, "a quote has no end"),
            ("Server {};\nServer {};", 2, "multiple entries for Server"),
            ("Server {}", 1, "the end of the file"),
            ("Server {\n a.B required user=\"${home}\";\n};", 2, "write the value itself"),
        ] {
            let error = Jaas::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.what.contains(what), "{text}: {error}");
        }
    }
}
