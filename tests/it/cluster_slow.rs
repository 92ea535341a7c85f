//! Faults that take long: part of `make faults` alone, by the feature `faults`.
