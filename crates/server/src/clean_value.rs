//! Parses the value of an option or variable, without the white space around it.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, str::FromStr};

use clap::{
    Arg, Command, Error, ValueEnum,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
    error::ErrorKind,
};

/// A parser that removes white space from both ends of a value, rejects a control character inside
/// it, and parses the rest.
///
/// An env file with Windows line endings adds a carriage return to each value. As part of a path,
/// it would name another file.
#[derive(Clone)]
pub(crate) struct CleanValue<P>(P);

/// The parser of a value that is read with [`FromStr`].
pub(crate) type Parsed<T> = CleanValue<fn(&str) -> Result<T, <T as FromStr>::Err>>;

/// Returns a parser that cleans a value and reads it with [`FromStr`].
pub(crate) fn parsed<T: FromStr>() -> Parsed<T> {
    CleanValue(T::from_str)
}

/// Returns a parser that cleans a value, which must be one of the variants.
pub(crate) fn choice<T: ValueEnum + Clone + Send + Sync + 'static>()
-> CleanValue<EnumValueParser<T>> {
    clean(EnumValueParser::new())
}

/// Returns a parser that cleans a value before `parser` parses it. Every option has one.
pub(crate) const fn clean<P: TypedValueParser>(parser: P) -> CleanValue<P> {
    CleanValue(parser)
}

impl<P: TypedValueParser> TypedValueParser for CleanValue<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, Error> {
        let value = value.as_bytes().trim_ascii();
        if String::from_utf8_lossy(value).chars().any(char::is_control) {
            // The message does not repeat the value, which may contain a password.
            let name = arg.map(ToString::to_string).unwrap_or_default();
            let message =
                format!("the value of '{name}' contains a control character, such as a line break");
            return Err(command.clone().error(ErrorKind::ValueValidation, message));
        }
        self.0.parse_ref(command, arg, OsStr::from_bytes(value))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}
