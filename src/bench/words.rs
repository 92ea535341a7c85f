//! Numbers as people read them: three digits that mean something, and a unit that fits.
//!
//! Used by the table of the command line and by the page of `report`, so that
//! both say the same. Plain text: it knows nothing of HTML. Start reading at [`time`].

use crate::bench::results::{Extra, Faults, Unit};

/// What stands where there is no figure.
pub const NOTHING: &str = "–";

/// Units of time, and how many nanoseconds each is.
const TIMES: &[(f64, &str)] = &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")];

/// Units of size, and how many bytes each is.
const SIZES: &[(f64, &str)] = &[
    (1.0, "bytes"),
    (1024.0, "KiB"),
    (1024.0 * 1024.0, "MiB"),
    (1024.0 * 1024.0 * 1024.0, "GiB"),
    (1024.0 * 1024.0 * 1024.0 * 1024.0, "TiB"),
];

/// A time of so many nanoseconds: `850 ns`, `12.3 µs`, `1.20 s`, `1,250 s`.
pub fn time(nanoseconds: f64) -> String {
    scaled(nanoseconds, TIMES, 999.5)
}

/// A size of so many bytes: `100 bytes`, `1.50 KiB`, `64.0 MiB`.
pub fn size(bytes: f64) -> String {
    if bytes == 1.0 { "1 byte".to_owned() } else { scaled(bytes, SIZES, 1023.5) }
}

/// How often in a second: `12.5/s`, `1,234,568/s`.
pub fn rate(per_second: f64) -> String {
    if per_second.is_finite() { number(per_second) + "/s" } else { NOTHING.to_owned() }
}

/// How many times as much: `0.41×`, `1.08×`, `12.3×`.
pub fn ratio(times: f64) -> String {
    match times {
        0.01..9.995 => format!("{times:.2}×"),
        _ if times.is_finite() => number(times) + "×",
        _ => NOTHING.to_owned(),
    }
}

/// A share of 0 to 1 in percent: `99.9 %`; with as many nines as it takes not to say `100 %`.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return NOTHING.to_owned();
    }
    let digits = (1..8).find(|digits| share >= 1.0 || rounded(share * 100.0, *digits) < 100.0);
    trimmed(format!("{:.*}", digits.unwrap_or(8), share * 100.0)) + " %"
}

/// How long something took, in seconds: `0.50 s`, `42 s`, `3 min 5 s`, `1 h 2 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return NOTHING.to_owned();
    }
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A whole number with its thousands apart: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with three digits that count, and from 100 on all in front of the point: `0.0123`,
/// `1.20`, `45.0`, `1,234`; zero is `0`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let sign = if value < 0.0 { "−" } else { "" };
    let text = match size {
        0.0 => "0".to_owned(),
        99.95.. => count(size.round() as u64),
        9.995.. => format!("{size:.1}"),
        0.9995.. => format!("{size:.2}"),
        0.09995.. => format!("{size:.3}"),
        0.0001.. => trimmed(format!("{size:.4}")),
        _ => format!("{size:.1e}"),
    };
    format!("{sign}{text}")
}

/// A number in as few letters as the scale of a plot needs: `0`, `250`, `1.5 k`, `20 M`.
pub fn compact(value: f64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")];
    let fits = STEPS.iter().find(|(factor, _)| value.abs() >= factor * 0.9995);
    let (factor, unit) = fits.unwrap_or(&STEPS[3]);
    brief(&number(value / factor)) + unit
}

/// A number with its unit, less the zeros behind the point that say nothing: `1.00 ms` as `1 ms`.
pub fn brief(text: &str) -> String {
    let end = text.find(|letter: char| !"0123456789.,−".contains(letter)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    trimmed(number.to_owned()) + unit
}

/// What a text says of so many things: `1 socket`, `2 sockets`, `1,000 sockets`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// What a cost is counted by, one of it: `delivery`.
pub fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Delivery => "delivery",
        Unit::Publish => "publish",
        Unit::Connect => "connect",
    }
}

/// What a cost is counted by, many of it: `deliveries`.
pub fn units(unit: Unit) -> &'static str {
    match unit {
        Unit::Delivery => "deliveries",
        Unit::Publish => "publishes",
        Unit::Connect => "connects",
    }
}

/// A further figure: bytes and times with the unit that fits, all others with their own.
pub fn extra(extra: &Extra) -> String {
    match extra.unit.as_str() {
        "" => figure(extra.value),
        "bytes" => size(extra.value),
        "ns" => time(extra.value),
        "µs" => time(extra.value * 1e3),
        "ms" => time(extra.value * 1e6),
        "s" => time(extra.value * 1e9),
        "%" => percent(extra.value / 100.0),
        other => format!("{} {other}", figure(extra.value)),
    }
}

/// What was wrong, each kind that there was: `3 lost, 1 doubled`; `none` if there was nothing.
pub fn faults(faults: &Faults) -> String {
    let kinds = [
        (faults.lost, "lost"),
        (faults.doubled, "doubled"),
        (faults.altered, "altered"),
        (faults.disordered, "out of order"),
        (faults.refused, "refused"),
        (faults.closed, "closed"),
        (faults.failed_publishes, "failed to publish"),
    ];
    let named: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, kind)| format!("{} {kind}", count(*number)))
        .collect();
    if named.is_empty() { "none".to_owned() } else { named.join(", ") }
}

/// A moment in UTC as RFC 3339 writes it, made to be read: `2026-01-31 12:34:56 UTC`.
///
/// What is not written like that stays as it is.
pub fn moment(rfc3339: &str) -> String {
    let Some((day, time)) = rfc3339.strip_suffix('Z').and_then(|text| text.split_once('T')) else {
        return rfc3339.to_owned();
    };
    let seconds = time.split('.').next().unwrap_or(time);
    format!("{day} {seconds} UTC")
}

/// A whole number as it is, any other with three digits that count.
fn figure(value: f64) -> String {
    let whole = value.fract() == 0.0 && (0.0..1e15).contains(&value);
    if whole { count(value as u64) } else { number(value) }
}

/// `value` in the first of `units` in which it has no more than three digits in front of the
/// point, or four below 1,024; that is, less than `limit`.
fn scaled(value: f64, units: &[(f64, &str)], limit: f64) -> String {
    let fits = units.iter().find(|(factor, _)| value.abs() / factor < limit);
    let Some((factor, unit)) = fits.or(units.last()).filter(|_| value.is_finite()) else {
        return NOTHING.to_owned();
    };
    let scaled = value / factor;
    // Parts of a byte or of a nanosecond say nothing, unless there are only a few of them.
    let whole = *factor == 1.0 && (scaled.fract() == 0.0 || scaled.abs() >= 9.995);
    let text = if whole { count(scaled.abs().round() as u64) } else { number(scaled.abs()) };
    let sign = if scaled < 0.0 { "−" } else { "" };
    format!("{sign}{text} {unit}")
}

/// `value` with so many digits behind the point.
fn rounded(value: f64, digits: usize) -> f64 {
    let shift = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    (value * shift).round() / shift
}

/// The text of a number without zeros at its end that say nothing.
fn trimmed(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_the_unit_that_fits() {
        let times = [0.0, 5.0, 5.25, 85.4, 850.0, 999.6, 12_340.0, 1e6, 1.2e9, 1.25e12];

        assert_eq!(
            times.map(time),
            [
                "0 ns", "5 ns", "5.25 ns", "85 ns", "850 ns", "1.00 µs", "12.3 µs", "1.00 ms",
                "1.20 s", "1,250 s"
            ]
        );
    }

    #[test]
    fn a_size_is_counted_in_powers_of_two() {
        let sizes = [0.0, 1.0, 100.0, 1023.0, 1024.0, 1536.0, 67_108_864.0, 8.0 * 1_073_741_824.0];

        assert_eq!(
            sizes.map(size),
            [
                "0 bytes",
                "1 byte",
                "100 bytes",
                "1,023 bytes",
                "1.00 KiB",
                "1.50 KiB",
                "64.0 MiB",
                "8.00 GiB"
            ]
        );
    }

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 7, 999, 1_000, 12_345, 123_456, 1_234_567, u64::MAX];

        assert_eq!(
            numbers.map(count),
            [
                "0",
                "7",
                "999",
                "1,000",
                "12,345",
                "123,456",
                "1,234,567",
                "18,446,744,073,709,551,615"
            ]
        );
    }

    #[test]
    fn a_number_keeps_three_digits_that_count() {
        let numbers = [0.0, 0.012_34, 0.5, 0.9999, 1.204, 9.999, 45.0, 99.97, 1234.4, -2.5, 1e-7];

        assert_eq!(
            numbers.map(number),
            [
                "0", "0.0123", "0.500", "1.00", "1.20", "10.0", "45.0", "100", "1,234", "−2.50",
                "1.0e-7"
            ]
        );
    }

    #[test]
    fn what_is_no_number_is_nothing() {
        assert_eq!(
            [time, size, rate, ratio, percent, duration].map(|word| word(f64::NAN)),
            [NOTHING; 6]
        );
        assert_eq!([time, size, rate, ratio].map(|word| word(f64::INFINITY)), [NOTHING; 4]);
    }

    #[test]
    fn less_than_all_is_never_a_hundred_percent() {
        let shares = [0.0, 0.5, 0.99, 0.999, 0.999_99, 0.999_999_9, 1.0];

        assert_eq!(
            shares.map(percent),
            ["0 %", "50 %", "99 %", "99.9 %", "99.999 %", "99.99999 %", "100 %"]
        );
    }

    #[test]
    fn a_duration_is_said_in_the_units_of_a_clock() {
        let durations = [0.5, 9.999, 42.0, 60.0, 185.4, 3600.0, 3725.0];

        assert_eq!(
            durations.map(duration),
            ["0.50 s", "10 s", "42 s", "1 min", "3 min 5 s", "1 h", "1 h 2 min"]
        );
    }

    #[test]
    fn only_the_faults_that_there_were_are_named() {
        let some = Faults { lost: 3, disordered: 1200, ..Faults::default() };

        assert_eq!(faults(&Faults::default()), "none");
        assert_eq!(faults(&some), "3 lost, 1,200 out of order");
    }

    #[test]
    fn further_figures_are_said_in_units_that_fit() {
        let figures = [(1500.0, "ms"), (2048.0, "bytes"), (40_000.0, ""), (1.5, ""), (7.0, "rows")];
        let said = figures.map(|(value, unit)| {
            extra(&Extra { name: String::new(), value, unit: unit.to_owned() })
        });

        assert_eq!(said, ["1.50 s", "2.00 KiB", "40,000", "1.50", "7 rows"]);
    }

    #[test]
    fn a_moment_is_said_without_letters_between_and_another_text_is_left_alone() {
        assert_eq!(moment("2026-01-31T12:34:56Z"), "2026-01-31 12:34:56 UTC");
        assert_eq!(moment("2026-01-31T12:34:56.789Z"), "2026-01-31 12:34:56 UTC");
        assert_eq!(moment("yesterday"), "yesterday");
    }

    #[test]
    fn the_scale_of_a_plot_gets_few_letters() {
        let numbers = [0.0, 0.25, 12.5, 250.0, 1500.0, 20e6, 2e9];

        assert_eq!(numbers.map(compact), ["0", "0.25", "12.5", "250", "1.5 k", "20 M", "2 G"]);
        assert_eq!(
            ["1.00 ms", "1.50×", "100 µs", "20.0"].map(brief),
            ["1 ms", "1.5×", "100 µs", "20"]
        );
    }

    #[test]
    fn one_is_said_in_the_singular() {
        assert_eq!(counted(1, "socket", "sockets"), "1 socket");
        assert_eq!(counted(1000, "socket", "sockets"), "1,000 sockets");
    }
}
