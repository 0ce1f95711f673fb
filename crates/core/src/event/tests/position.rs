//! The position of a reader.

use std::collections::BTreeSet;

use super::{event, id, time};
use crate::{Event, EventPosition};

const SECOND: i64 = 1_000;
const START: i64 = 1_795_578_173_543;

/// Returns the events that a reader has not read, the oldest first, as the issuer does.
fn unread(log: &BTreeSet<(i64, u64)>, position: &EventPosition, limit: usize) -> Vec<Event> {
    log.iter()
        .map(|&(millis, number)| event(millis, number))
        .filter(|event| event.id > position.start() && !position.has_read(event))
        .take(limit)
        .collect()
}

#[test]
fn a_position_begins_before_the_first_event_at_its_time() {
    let position = EventPosition::since(time(START));
    assert!(position.has_read(&event(START - 1, u64::from(u16::MAX))));
    assert!(!position.has_read(&event(START, 1)));
    assert_eq!(
        position.to_string(),
        format!("{}", crate::EventId::first_at(time(START)))
    );
}

#[test]
fn a_position_is_read_back_from_its_text() {
    let mut position = EventPosition::since(time(START));
    for number in 1..=3 {
        position.mark_read(&event(START + 100, number));
    }
    let text = position.to_string();
    assert_eq!(text.parse::<EventPosition>().unwrap(), position);
    let first = crate::EventId::first_at(time(START));
    let [one, two, three] = [1, 2, 3].map(|number| id(START + 100, number));
    assert_eq!(text, format!("{first} {one} {two} {three}"));
    for malformed in [
        String::new(),
        " ".into(),
        format!("{text} "),
        format!(" {text}"),
        text.replace(' ', "  "),
        text.replace(' ', ","),
        text.replace("evt_", "key_"),
        text.replacen("evt_", "", 1),
    ] {
        assert!(malformed.parse::<EventPosition>().is_err(), "{malformed:?}");
    }
}

#[test]
fn each_event_that_appears_up_to_a_minute_late_is_read_once() {
    // Event `number` has the time `number` seconds after the start, and appears up to 59 seconds
    // later, in an order without a pattern.
    const COUNT: i64 = 120;
    let appears = |number: i64| number + number * number * 7 % 60;
    for limit in [1, 3, 100] {
        let mut log = BTreeSet::new();
        let mut position = EventPosition::since(time(START));
        let mut delivered = Vec::new();
        for now in 0..COUNT + 60 {
            for number in (0..COUNT).filter(|number| appears(*number) == now) {
                log.insert((START + number * SECOND, number.unsigned_abs() + 1));
            }
            loop {
                let events = unread(&log, &position, limit);
                if events.is_empty() {
                    break;
                }
                for event in events {
                    delivered.push(event.id);
                    position.mark_read(&event);
                    // The reader restarts after each event.
                    position = position.to_string().parse().unwrap();
                }
            }
        }
        let mut expected: Vec<_> = (0..COUNT)
            .map(|number| id(START + number * SECOND, number.unsigned_abs() + 1))
            .collect();
        delivered.sort_unstable();
        expected.sort_unstable();
        assert_eq!(delivered, expected, "in pages of {limit}");
    }
}

#[test]
fn events_of_one_millisecond_are_read_in_pages() {
    let log: BTreeSet<(i64, u64)> = (1..=50).map(|number| (START, number)).collect();
    let mut position = EventPosition::since(time(START));
    for page in 0..5 {
        let events = unread(&log, &position, 10);
        let first = events.first().map(|event| event.id);
        assert_eq!(first, Some(id(START, page * 10 + 1)));
        events.iter().for_each(|event| position.mark_read(event));
    }
    assert!(unread(&log, &position, 10).is_empty());
}

#[test]
fn a_position_contains_the_events_of_the_last_minute_only() {
    let mut position = EventPosition::since(time(START));
    for number in 0..1_000 {
        position.mark_read(&event(START + number * SECOND, 1));
        let ids = position.to_string().split(' ').count();
        assert!(ids <= 62, "{ids} ids after {number} seconds");
    }
    // The start and those of the last 60 seconds.
    assert_eq!(position.to_string().split(' ').count(), 62);
    // An event that appears late does not move the position back.
    let before = position.start();
    position.mark_read(&event(START + 970 * SECOND, 2));
    assert_eq!(position.start(), before);
    assert!(position.has_read(&event(START, 7)));
}
