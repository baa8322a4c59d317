//! Pure core: values, keys, expressions, plan, report, limits. No async, no IO, no clock.
