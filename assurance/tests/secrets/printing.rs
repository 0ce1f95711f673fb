//! Prints values in every way that their types support, and records the types.

use std::{any::type_name, collections::BTreeSet, error::Error, fmt};

use serde::Serialize;

/// The printed text, and the names of the types.
#[derive(Default)]
pub(crate) struct Printed {
    pub(crate) text: String,
    types: BTreeSet<String>,
}

impl Printed {
    /// Records a type by its crate and name, without path and parameters. For a reference or an
    /// `Arc`, records the type that it points to.
    pub(crate) fn record<T: ?Sized>(&mut self) {
        let name = type_name::<T>().trim_start_matches('&');
        let name = name
            .trim_start_matches("alloc::sync::Arc<")
            .trim_end_matches('>');
        let path = name.split('<').next().unwrap();
        let krate = path.split("::").next().unwrap();
        let own = path.rsplit("::").next().unwrap();
        self.types.insert(format!("{krate}::{own}"));
    }

    pub(crate) fn add(&mut self, text: Option<String>) {
        self.text.extend(text);
        self.text.push('\n');
    }

    /// Returns the public types of a crate that were not recorded, according to the list at the end
    /// of a module's source.
    pub(crate) fn missing(&self, krate: &str, module: &str) -> Vec<String> {
        let (_, list) = module.split_once("// The public interface is:").unwrap();
        let is_type =
            |name: &&str| name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase);
        let names = list
            .split(|character: char| !character.is_alphanumeric())
            .filter(is_type);
        let names = names.map(|name| format!("{krate}::{name}"));
        names.filter(|name| !self.types.contains(name)).collect()
    }
}

/// Formats an error and all its causes with `Display`, as in a log, and with `Debug`, as in a
/// panic.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        text.push_str(&format!("{error}: {error:?}; "));
        cause = error.source();
    }
    text
}

/// Selects how to print a value by its traits.
///
/// Of each pair of traits below, method resolution finds the first if `T` implements `Display`,
/// `Serialize` or `Error`. Otherwise it takes one more reference and finds the second, which prints
/// nothing.
pub(crate) struct Value<'a, T>(pub(crate) &'a T);

pub(crate) trait AsText {
    fn as_text(&self) -> Option<String>;
}

impl<T: fmt::Display> AsText for Value<'_, T> {
    fn as_text(&self) -> Option<String> {
        Some(format!("{} {:#}", self.0, self.0))
    }
}

pub(crate) trait NotAsText {
    fn as_text(&self) -> Option<String>;
}

impl<T> NotAsText for &Value<'_, T> {
    fn as_text(&self) -> Option<String> {
        None
    }
}

pub(crate) trait AsJson {
    fn as_json(&self) -> Option<String>;
}

impl<T: Serialize> AsJson for Value<'_, T> {
    fn as_json(&self) -> Option<String> {
        Some(serde_json::to_string(self.0).unwrap())
    }
}

pub(crate) trait NotAsJson {
    fn as_json(&self) -> Option<String>;
}

impl<T> NotAsJson for &Value<'_, T> {
    fn as_json(&self) -> Option<String> {
        None
    }
}

pub(crate) trait AsError {
    fn as_error(&self) -> Option<String>;
}

impl<T: Error + 'static> AsError for Value<'_, T> {
    fn as_error(&self) -> Option<String> {
        Some(causes(self.0))
    }
}

pub(crate) trait NotAsError {
    fn as_error(&self) -> Option<String>;
}

impl<T> NotAsError for &Value<'_, T> {
    fn as_error(&self) -> Option<String> {
        None
    }
}

/// Prints values with `Debug`, and with `Display`, `Serialize` and their causes if their types
/// support it.
macro_rules! print_all {
    ($printed:expr; $($value:expr),+ $(,)?) => {$({
        #[expect(unused_imports, reason = "each value uses one trait of each pair")]
        use crate::printing::{
            AsError as _, AsJson as _, AsText as _, NotAsError as _, NotAsJson as _, NotAsText as _,
        };
        let value = &$value;
        let printed: &mut crate::printing::Printed = &mut $printed;
        crate::printing::record_type_of(printed, value);
        printed.add(Some(format!("{value:?} {value:#?}")));
        printed.add((&crate::printing::Value(value)).as_text());
        printed.add((&crate::printing::Value(value)).as_json());
        printed.add((&crate::printing::Value(value)).as_error());
    })+};
}
pub(crate) use print_all;

pub(crate) fn record_type_of<T>(printed: &mut Printed, _: &T) {
    printed.record::<T>();
}

/// Asserts at compile time that types cannot be printed, copied, compared, serialised or converted
/// to text.
macro_rules! cannot_be_printed {
    ($printed:expr; $($type:ty),+ $(,)?) => {$({
        static_assertions::assert_not_impl_any!(
            $type: std::fmt::Debug, std::fmt::Display, std::error::Error, Clone, Copy, PartialEq,
            std::hash::Hash, serde::Serialize, std::ops::Deref, AsRef<str>, AsRef<[u8]>,
            std::borrow::Borrow<str>, std::borrow::Borrow<[u8]>, Into<String>, Into<Vec<u8>>,
            Into<Box<str>>, Into<bytes::Bytes>, IntoIterator
        );
        $printed.record::<$type>();
    })+};
}
pub(crate) use cannot_be_printed;

#[test]
fn missing_types_are_reported_and_values_are_printed_in_every_way() {
    let mut printed = Printed::default();
    print_all!(printed; keywright_core::Status::Active, keywright_core::error::NameError::Empty);
    let lib = "pub use x;\n\
               // The public interface is:\n\
               pub use {a::{Status, NameError, fold_case}, Tag};";
    assert_eq!(
        printed.missing("keywright_core", lib),
        ["keywright_core::Tag"]
    );
    for expected in [
        "Active",
        "active",
        "Empty",
        "name should not be empty: Empty; ",
    ] {
        assert!(printed.text.contains(expected), "{}", printed.text);
    }
    let mut printed = Printed::default();
    print_all!(printed; keywright_core::Environment::Live);
    assert!(printed.text.contains("\"live\""), "{}", printed.text);
}
