//! Times of the command line: a date with a time (upstream: `Utils.getDateTime`), and a time before now
//! (`java.time.Duration`).

use std::time::Duration;

use crate::console::Thrown;

/// What `java.time.Instant` can hold, in seconds since 1970.
const INSTANT_SECONDS: std::ops::RangeInclusive<i128> = -31_557_014_167_219_200..=31_556_889_864_403_199;
const SECONDS_PER_DAY: i128 = 86_400;
const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970 of `2020-01-31T12:30:00.000`, with a zone or in UTC.
///
/// As with `SimpleDateFormat`, numbers may have any count of digits, what is too much carries over, and what follows
/// the zone is not looked at.
pub(super) fn timestamp_ms(text: &str) -> Result<i64, Thrown> {
    let parse = |message: String| Thrown::new("java.text.ParseException", message);
    let Some(time) = text.split('T').nth(1).filter(|_| !text.trim_end_matches('T').is_empty()) else {
        return Err(parse("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".to_owned()));
    };
    if time.is_empty() {
        // Java's split drops what is empty at the end, so that nothing is found behind a `T` there.
        let message = if text.matches('T').count() == text.len() - text.trim_end_matches('T').len() {
            "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format"
        } else {
            "Error parsing timestamp. Time part after 'T' is null or empty"
        };
        return Err(parse(message.to_owned()));
    }
    let text = if time.contains(['+', '-', 'Z']) { text.to_owned() } else { format!("{text}Z") };
    parsed(&text).ok_or_else(|| parse(format!("Unparseable date: \"{text}\"")))
}

fn parsed(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut numbers = [0_i64; 7];
    for (place, number) in numbers.iter_mut().enumerate() {
        let text = rest.trim_start_matches([' ', '\t']);
        let (digits, behind) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
        *number = digits.parse().ok()?;
        rest = match ["-", "-", "T", ":", ":", ".", ""].get(place) {
            Some(separator) => behind.strip_prefix(separator)?,
            None => behind,
        };
    }
    let [year, month, day, hours, minutes, seconds, ms] = numbers;
    let zone_ms = zone_minutes(rest.trim_start_matches([' ', '\t']))?.checked_mul(60_000)?;
    let of_day = hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    let days = days_since_1970(year, month)?.checked_add(day - 1)?;
    days.checked_mul(MS_PER_DAY)?.checked_add(of_day.checked_mul(1_000)?)?.checked_add(ms)?.checked_sub(zone_ms)
}

/// Minutes east of Greenwich of `Z`, `+02:00` or `+02`; text behind is passed over.
fn zone_minutes(text: &str) -> Option<i64> {
    let sign = match text.chars().next()? {
        'Z' => return Some(0),
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = |from: usize| text.get(from..from + 2).filter(|two| two.bytes().all(|byte| byte.is_ascii_digit()));
    let hours: i64 = digits(1)?.parse().ok().filter(|hours| *hours < 24)?;
    let minutes = (text.get(3..4) == Some(":")).then(|| digits(4)).flatten().and_then(|two| two.parse::<i64>().ok());
    Some(sign * (hours * 60 + minutes.filter(|minutes| *minutes < 60).unwrap_or(0)))
}

/// Days from 1970 to the first of a month, which may be past the twelfth.
fn days_since_1970(year: i64, month: i64) -> Option<i64> {
    let months = year.checked_mul(12)?.checked_add(month - 1)?;
    let (year, month) = (i32::try_from(months.div_euclid(12)).ok()?, u32::try_from(months.rem_euclid(12)).ok()? + 1);
    let first = chrono::NaiveDate::from_ymd_opt(year, month, 1)?;
    Some(first.signed_duration_since(chrono::NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days())
}

/// Milliseconds since 1970 of a moment so long before `now` (since 1970): `P1DT2H3M4.5S`.
pub(super) fn before(now: Duration, text: &str) -> Result<i64, Thrown> {
    let (seconds, nanoseconds) = duration(text)?;
    let total = now.as_nanos() as i128 - (seconds * 1_000_000_000 + nanoseconds);
    if !INSTANT_SECONDS.contains(&total.div_euclid(1_000_000_000)) {
        return Err(Thrown::new("java.time.DateTimeException", "Instant exceeds minimum or maximum instant"));
    }
    i64::try_from(total.div_euclid(1_000_000))
        .map_err(|_| Thrown::new("java.lang.ArithmeticException", "long overflow"))
}

/// Seconds and nanoseconds of a duration.
fn duration(text: &str) -> Result<(i128, i128), Thrown> {
    const UNPARSED: &str = "Text cannot be parsed to a Duration";
    let refused = || Thrown::new("java.time.format.DateTimeParseException", UNPARSED);
    let upper = text.to_ascii_uppercase();
    let (sign, rest) = match upper.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, upper.strip_prefix('+').unwrap_or(&upper)),
    };
    let rest = rest.strip_prefix('P').ok_or_else(refused)?;
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    if time == Some("") || (time.is_none() && date.is_empty()) {
        return Err(refused());
    }
    let (mut seconds, mut nanoseconds) = (0_i128, 0_i128);
    let mut add = |number: &str, scale: i128, unit: &str| {
        let number = whole(number).ok_or_else(refused)?;
        let scaled = number.and_then(|number| i64::try_from(i128::from(number) * scale).ok()).ok_or_else(|| {
            let overflow = Thrown::new("java.lang.ArithmeticException", "long overflow");
            let message = format!("{UNPARSED}: {unit}");
            Thrown::new("java.time.format.DateTimeParseException", message).caused_by(overflow)
        })?;
        seconds += i128::from(scaled);
        Ok::<(), Thrown>(())
    };
    if !date.is_empty() {
        add(date.strip_suffix('D').ok_or_else(refused)?, SECONDS_PER_DAY, "days")?;
    }
    let mut time = time.unwrap_or_default();
    for (mark, scale, unit) in [('H', 3_600, "hours"), ('M', 60, "minutes")] {
        if let Some((number, behind)) = time.split_once(mark) {
            add(number, scale, unit)?;
            time = behind;
        }
    }
    if !time.is_empty() {
        let number = time.strip_suffix('S').ok_or_else(refused)?;
        let (number, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
        add(number, 1, "seconds")?;
        if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let fraction: i128 = format!("{fraction:0<9}").parse().map_err(|_| refused())?;
        nanoseconds = if number.starts_with('-') { -fraction } else { fraction };
    }
    Ok((sign * seconds, sign * nanoseconds))
}

/// A number with or without a sign: none if it is no number, `Some(None)` if it is too large.
fn whole(text: &str) -> Option<Option<i64>> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_java_reads_them() {
        // Each asked of Utils.getDateTime of 2.7.1.
        for (text, ms) in [
            ("1970-01-01T00:00:00.000", 0),
            ("2020-02-29T12:30:45.678", 1_582_979_445_678),
            ("2020-02-29T12:30:45.678Z", 1_582_979_445_678),
            ("2020-02-29T12:30:45.678+02:00", 1_582_972_245_678),
            ("2020-02-29T12:30:45.678+0230", 1_582_972_245_678),
            ("2020-02-29T12:30:45.678-02", 1_582_986_645_678),
            ("2020-1-1T0:0:0.5", 1_577_836_800_005),
            ("2019-13-32T25:61:61.1000", 1_580_608_922_000),
            (" 2020- 1-01T00:00:00.000 Zx", 1_577_836_800_000),
        ] {
            assert_eq!(timestamp_ms(text), Ok(ms), "{text}");
        }
        for (text, message) in [
            ("2020-01-01", "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format"),
            ("2020-01-01T", "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format"),
            ("2020-01-01TT1", "Error parsing timestamp. Time part after 'T' is null or empty"),
            ("2020-01-01T00:00:00", "Unparseable date: \"2020-01-01T00:00:00Z\""),
            ("x2020-01-01T00:00:00.000+02:00", "Unparseable date: \"x2020-01-01T00:00:00.000+02:00\""),
        ] {
            assert_eq!(timestamp_ms(text).unwrap_err().message, message, "{text}");
        }
    }

    #[test]
    fn moments_before_now() {
        let now = Duration::from_millis(1_600_000_000_000);
        for (text, ms_before) in [
            ("PT0S", 0),
            ("P1D", 86_400_000),
            ("p1dt2h3m4.5s", 93_784_500),
            ("-PT1M", -60_000),
            ("PT-1.5S", -1_500),
            ("PT-0.5S", -500),
            ("PT1.S", 1_000),
            ("P-1DT+1H", -82_800_000),
        ] {
            assert_eq!(before(now, text), Ok(1_600_000_000_000 - ms_before), "{text}");
        }
        let message = |text: &str| before(now, text).unwrap_err().message;
        for text in ["1D", "P", "PT", "P1DT", "P1H", "PT1S2M", "PT1.1234567890S", "PT,5S", "PT1H1H", ""] {
            assert_eq!(message(text), "Text cannot be parsed to a Duration", "{text}");
        }
        assert_eq!(message("P99999999999999999D"), "Text cannot be parsed to a Duration: days");
        assert_eq!(message("P999999999999D"), "Instant exceeds minimum or maximum instant");
    }
}
