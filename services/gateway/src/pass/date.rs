//! Moments as `2026-01-31T23:59:59Z`, to and from seconds since 1970.

const SECONDS_PER_DAY: u64 = 86_400;
/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
const DAYS_IN_400_YEARS: u64 = 146_097;
/// The last moment that is written with four digits for the year.
pub(crate) const LAST: u64 = 253_402_300_799;

/// The moment in words.
pub(crate) fn write(seconds: u64) -> String {
    let (days, rest) =
        (seconds.min(LAST) / SECONDS_PER_DAY + DAYS_TO_1970, seconds.min(LAST) % SECONDS_PER_DAY);
    // Years from March on, so that the leap day is the last one.
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The seconds; `None` if it is no such moment.
pub(crate) fn read(text: &str) -> Option<u64> {
    if text.len() != 20 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u64>().ok());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let march = if month > 2 { year } else { year.checked_sub(1)? };
    let (era, year) = (march / 400, march % 400);
    let day_of_year = (153 * if month > 2 { month - 3 } else { month + 9 } + 2) / 5 + day - 1;
    let days = era * DAYS_IN_400_YEARS + year * 365 + year / 4 - year / 100 + day_of_year;
    let seconds = days.checked_sub(DAYS_TO_1970)? * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second;
    // Refuses days that there are not, and other separators.
    (write(seconds) == text).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!((write(seconds).as_str(), read(text)), (text, Some(seconds)));
        }
        for text in [
            "",
            "2023-02-29T00:00:00Z",
            "2023-11-14 22:13:20Z",
            "1969-12-31T23:59:59Z",
            "2023-13-01T00:00:00Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
