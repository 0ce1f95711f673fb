//! Fuzzes the JSON of events, which a store contains and a client of the API receives. Any text is
//! an event or an error. The text of an event is read as the same event.

#![no_main]

use keywright_core::Event;
use libfuzzer_sys::fuzz_target;

/// The length of the largest event.
const MAX_LENGTH: usize = 14_799;

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = serde_json::from_slice::<Event>(bytes) else {
        return;
    };
    let written = serde_json::to_string(&event).expect("an event has a JSON form");
    assert!(written.len() <= MAX_LENGTH, "{written}");
    let read: Event = serde_json::from_str(&written).expect("the text is an event");
    assert_eq!(read, event);
    let again = serde_json::to_string(&read).expect("an event has a JSON form");
    assert_eq!(again, written);
});
